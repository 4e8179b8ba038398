"""Reads the windows that devices reported, each once, whatever order they arrived in.

A thing's cursor, `<home>/monitor/<thing>.json`, says which of them were judged.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from backends.artifacts import StoredMessage, Unusable
from backends.errors import InvalidInputError
from backends.files import replace_file
from backends.ports import StatisticsStore
from edge.contract import THING_NAME
from edge.fields import read_instant
from edge.statistics import Summary

_LATE = timedelta(days=1)
"""A message may be stored this long after it was received."""
_REMEMBERED = timedelta(days=3)
"""A message that is sent twice comes within this time; afterwards its key is forgotten."""


@dataclass(frozen=True, slots=True)
class Window:
    """A device's window as it was stored. `key` recognises a message that was sent twice."""

    key: str
    received_at: str
    summary: Summary


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to where windows were judged; `judged` maps the keys of recent ones to their arrival."""

    since: str = ""
    judged: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewWindows:
    """Windows that were not judged before, by arrival. `skipped` counts unusable rows by reason."""

    thing: str
    windows: tuple[Window, ...]
    skipped: Mapping[str, int]
    skipped_keys: Mapping[str, str]
    repeated: int


def read_cursor(home: Path, thing: str) -> Cursor:
    """Where the last monitoring run got to. Raises InvalidInputError for a damaged file."""
    path = _cursor_file(home, thing)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        since = read_instant(document["since"], "since") if document["since"] else ""
        judged = {str(key): str(arrival) for key, arrival in document["judged"].items()}
    except FileNotFoundError:
        return Cursor()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            str(path), f"the monitor's cursor is damaged: {error}", "Delete it to read all again."
        ) from error
    return Cursor(since, judged)


def write_cursor(home: Path, thing: str, cursor: Cursor) -> None:
    """Remember where a run got to: all of it, or nothing."""
    path = _cursor_file(home, thing)
    document = {"since": cursor.since, "judged": dict(cursor.judged)}
    replace_file(path, json.dumps(document, indent=1))


def read_new_windows(store: StatisticsStore, home: Path, thing: str) -> NewWindows:
    """Every window of a thing that its cursor, which lies in `home`, does not know.

    A message that cannot be understood is counted with its reason, and never stops the others.
    Raises InvalidInputError for what is no name of a thing, and a damaged cursor.
    """
    if not re.fullmatch(THING_NAME, thing):
        raise InvalidInputError(
            f"thing {thing!r}", "no such name", "Use letters, digits, colon, underscore, hyphen."
        )
    cursor = read_cursor(home, thing)
    windows: dict[str, Window] = {}
    skipped: dict[str, int] = {}
    skipped_keys: dict[str, str] = {}
    repeated = 0
    for message in _messages(store, thing, _before(cursor.since, _LATE), skipped):
        payload, arrival = message.payload, message.received_at
        key = _key(payload)
        if key in cursor.judged or key in windows or key in skipped_keys:
            repeated += key in windows
            continue
        try:
            received_at = read_instant(arrival, "received_at")
            summary = Summary.from_dict(_summary(payload, thing))
        except ValueError as error:
            skipped[str(error)] = skipped.get(str(error), 0) + 1
            skipped_keys[key] = arrival
            continue
        windows[key] = Window(key, received_at, summary)
    ordered = sorted(windows.values(), key=lambda window: (window.received_at, window.key))
    return NewWindows(thing, tuple(ordered), skipped, skipped_keys, repeated)


def advanced(cursor: Cursor, found: NewWindows, model_versions: frozenset[str]) -> Cursor:
    """The cursor after the windows of `model_versions` were judged; the others stay to be read."""
    done = [one for one in found.windows if one.summary.model_version in model_versions]
    waiting = [one for one in found.windows if one.summary.model_version not in model_versions]
    arrivals = [one.received_at for one in (waiting or done)]
    if not arrivals:
        since = cursor.since
    else:
        since = max(cursor.since, min(arrivals) if waiting else max(arrivals))
    judged = {**cursor.judged, **found.skipped_keys, **{one.key: one.received_at for one in done}}
    oldest = _before(since, _REMEMBERED)
    kept = {key: arrival for key, arrival in judged.items() if arrival >= oldest}
    return Cursor(since, kept)


def _messages(
    store: StatisticsStore, thing: str, since: str, skipped: dict[str, int]
) -> Iterator[StoredMessage]:
    """Every stored message that may be new."""
    for one in store.stored(thing, since[:10]):
        if isinstance(one, Unusable):
            skipped[one.reason] = skipped.get(one.reason, 0) + 1
        elif one.received_at >= since[:10]:  # the day: spellings of an instant differ after it
            yield one


def _key(payload: str) -> str:
    """A message's own id, or a digest where it has none."""
    try:
        own = json.loads(payload)["message_id"]
    except (ValueError, KeyError, TypeError):
        own = None
    return own if isinstance(own, str) else hashlib.sha256(payload.encode()).hexdigest()[:32]


def _summary(payload: str, thing: str) -> Any:
    """The summary in a message: what is left without the message's own fields."""
    try:
        document = json.loads(payload)
    except ValueError:
        raise ValueError("payload: is not JSON") from None
    if not isinstance(document, dict):
        raise ValueError("payload: is not a JSON object")  # noqa: TRY004
    if document.get("thing", thing) != thing:
        raise ValueError("thing: is not the thing that it was stored for")
    return {name: value for name, value in document.items() if name not in ("thing", "message_id")}


def _before(instant: str, time: timedelta) -> str:
    """An earlier instant; nothing is before the first run."""
    if not instant:
        return ""
    return read_instant((datetime.fromisoformat(instant) - time).isoformat(), "since")


def _cursor_file(home: Path, thing: str) -> Path:
    return home / "monitor" / f"{thing}.json"
