"""What a device reported while the one model ran, and while the other did."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce

from backends.artifacts import StoredMessage
from backends.moments import parse_moment
from backends.ports import StatisticsStore
from edge.statistics import Summary, merge
from tasks.quality.deployments import Watched

LOOK_BACK = timedelta(days=7)
"""The former model's figures are not older than this."""
_OWN_FIELDS = ("thing", "message_id")


@dataclass(frozen=True, slots=True)
class BeforeAndAfter:
    """Everything the former model saw next to the deployment, and the new one since it."""

    before: Summary | None
    after: Summary | None


def read_telemetry(store: StatisticsStore, watched: Watched) -> BeforeAndAfter:
    """Read the windows around a deployment, each message once; what is none is left out.

    Of the former model those nearest to the deployment are taken, as many different pictures as
    the new one saw (and as the targets want at least): what is compared is close in time.
    """
    first = watched.began - LOOK_BACK
    seen: dict[str, Summary] = {}
    for message in store.stored(watched.thing, first.date().isoformat()):
        if isinstance(message, StoredMessage) and (read := _window(message)):
            seen.setdefault(*read)
    windows = sorted(seen.values(), key=lambda window: window.start)
    after = _merged(
        window
        for window in windows
        if window.model_version == watched.model_version
        and watched.began <= parse_moment(window.start) <= watched.until
    )
    wanted = max(watched.targets.quality.min_samples, after.distinct if after else 0)
    nearest: list[Summary] = []
    for window in reversed(windows):
        enough = (whole := _merged(nearest)) is not None and whole.distinct >= wanted
        if enough:
            break
        if (
            window.model_version == watched.former_version
            and first <= parse_moment(window.start) < watched.began
        ):
            nearest.append(window)
    return BeforeAndAfter(_merged(nearest), after)


def _window(message: StoredMessage) -> tuple[str, Summary] | None:
    """A window and the key that tells it from one that was sent twice."""
    try:
        document = json.loads(message.payload)
        kept = {name: value for name, value in document.items() if name not in _OWN_FIELDS}
        return str(document.get("message_id") or message.payload), Summary.from_dict(kept)
    except (ValueError, AttributeError):
        return None  # the monitor counts and tells of these


def _merged(windows: Iterable[Summary]) -> Summary | None:
    held = list(windows)
    return reduce(merge, held) if held else None
