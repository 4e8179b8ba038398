"""Counts what arrived, by day and thing: `<cloud>/arrivals/YYYY-MM-DD.json`.

What was stored, came twice, came late or out of order, was set aside; and how far a device's clock
is from ours, as its heartbeats tell: those are sent when they are made.
"""

import json
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backends.files import replace_file
from backends.telemetry.flattening import moment

logger = logging.getLogger(__name__)

LATE = timedelta(hours=1)
"""A message that says so much less than the time of its arrival was held up on its way."""
CLOCK = timedelta(minutes=2)
"""A device whose clock is further from ours has it wrong."""
MOST_THINGS = 10_000
OTHERS = "(other)"
FLUSH_SECONDS = 5
_DEVICE_TIME = {"results": "taken_at", "statistics": "window_end", "heartbeats": "sent_at"}


@dataclass(slots=True)
class Counts:
    """Of a thing on a day. `lag_s`: least and most of arrival less device time, of heartbeats."""

    stored: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    unusable: int = 0
    late: int = 0
    out_of_order: int = 0
    set_aside: dict[str, int] = field(default_factory=dict)
    lag_s: list[float] = field(default_factory=list)

    @property
    def clock(self) -> str:
        """What is wrong with the device's clock, as far as heartbeats tell; empty: nothing."""
        if not self.lag_s:
            return ""
        least = timedelta(seconds=self.lag_s[0])
        if least < -CLOCK:
            return f"{-least.total_seconds():.0f} s ahead"
        if least > CLOCK:
            return f"{least.total_seconds():.0f} s behind, or every message is held up as long"
        return ""


class Arrivals:
    """Counts, and writes them down when told to; a kill loses those of the last seconds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._day = ""
        self._things: dict[str, Counts] = {}
        self._latest: OrderedDict[tuple[str, str, str], datetime] = OrderedDict()
        self._written_at = datetime.min.replace(tzinfo=UTC)
        self._changed = False

    def stored(self, table: str, row: Mapping[str, Any], now: datetime) -> None:
        counts = self._of(str(row["thing"]), now)
        counts.stored[table] = counts.stored.get(table, 0) + 1
        counts.unusable += bool(row.get("problem"))
        told = moment(_device_time(table, row))
        if told is None:
            return
        lag = now - told
        counts.late += lag > LATE
        counts.out_of_order += self._is_behind(table, row, told)
        if table == "heartbeats":
            seconds = round(lag.total_seconds(), 1)
            known = [*counts.lag_s, seconds]
            counts.lag_s = [min(known), max(known)]

    def repeated(self, thing: str, now: datetime) -> None:
        self._of(thing, now).repeated += 1

    def set_aside(self, thing: str, kind: str, now: datetime) -> None:
        """`kind` is one of few."""
        counts = self._of(thing, now)
        counts.set_aside[kind] = counts.set_aside.get(kind, 0) + 1

    def flush(self, now: datetime, *, at_once: bool = False) -> None:
        """Never raises: counts must not stop what they count."""
        if not self._changed:
            return
        if not at_once and now - self._written_at < timedelta(seconds=FLUSH_SECONDS):
            return
        document = {thing: asdict(counts) for thing, counts in sorted(self._things.items())}
        try:
            replace_file(self._folder / f"{self._day}.json", json.dumps(document))
        except OSError as error:
            logger.warning("the counts of %s cannot be written: %s", self._day, error)
            return
        self._changed, self._written_at = False, now

    def _of(self, thing: str, now: datetime) -> Counts:
        day = now.astimezone(UTC).date().isoformat()
        if day != self._day:
            self.flush(now, at_once=True)
            self._day, self._things = day, dict(read_counts(self._folder / f"{day}.json"))
        self._changed = True
        known = thing in self._things or len(self._things) < MOST_THINGS
        return self._things.setdefault(thing if known else OTHERS, Counts())

    def _is_behind(self, table: str, row: Mapping[str, Any], told: datetime) -> bool:
        """Whether a later message of the same kind has arrived before."""
        key = table, str(row["thing"]), str(row.get("model_version") or "")
        latest = self._latest.pop(key, told)
        self._latest[key] = max(latest, told)
        if len(self._latest) > MOST_THINGS:
            self._latest.popitem(last=False)
        return told < latest


def read_counts(path: Path) -> Mapping[str, Counts]:
    """The counts of a day, by thing; none, where the file is damaged or not there."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {str(thing): Counts(**counts) for thing, counts in document.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        logger.warning("%s holds no counts: %s", path, error)
        return {}


def _device_time(table: str, row: Mapping[str, Any]) -> object:
    name = _DEVICE_TIME.get(table)
    if name is None:
        return None
    if name in row:
        return row[name]
    try:  # heartbeats have it in the message alone
        return json.loads(row["payload"]).get(name)
    except (ValueError, AttributeError):
        return None
