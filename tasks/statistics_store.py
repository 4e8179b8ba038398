"""Reads the windows that a device reported, each once, whatever order they arrived in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backends.artifacts import Unusable
from backends.errors import InvalidInputError
from backends.ports import StatisticsStore
from edge.contract import THING_NAME
from edge.fields import read_instant
from edge.statistics import Summary
from tasks.telemetry.cursor import Cursor, key_of, moved, read_cursor, write_cursor

__all__ = ["NewWindows", "Window", "advanced", "read_cursor", "read_new_windows", "write_cursor"]


@dataclass(frozen=True, slots=True)
class Window:
    """A device's window as it was stored. `key` recognises a message that was sent twice."""

    key: bytes
    received_at: str
    summary: Summary


@dataclass(frozen=True, slots=True)
class NewWindows:
    """Windows that were not judged before, by arrival. `skipped` counts unusable rows by reason."""

    thing: str
    windows: tuple[Window, ...]
    skipped: Mapping[str, int]
    skipped_keys: Mapping[bytes, str]
    repeated: int


def read_new_windows(store: StatisticsStore, home: Path, thing: str) -> NewWindows:
    """Every window of a thing that its cursor, which lies in `home`, does not know.

    A message that cannot be understood is counted with its reason, and never stops the others.
    Raises InvalidInputError for what is no name of a thing, and a damaged cursor.
    """
    from backends.telemetry.flattening import summary_of

    cursor = read_cursor(home, checked_thing(thing))
    windows: dict[bytes, Window] = {}
    skipped: dict[str, int] = {}
    skipped_keys: dict[bytes, str] = {}
    repeated = 0
    for table in store.windows(thing, cursor.first_day):
        if isinstance(table, Unusable):
            skipped[table.reason] = skipped.get(table.reason, 0) + 1
            continue
        for row in table.to_pylist():
            key = key_of(row["message_id"])
            if key in cursor.judged or key in windows or key in skipped_keys:
                repeated += key in windows
                continue
            arrival = read_instant(row["received_at"].isoformat(), "received_at")
            if row["problem"] is None:
                windows[key] = Window(key, arrival, summary_of(row))
            else:
                skipped[row["problem"]] = skipped.get(row["problem"], 0) + 1
                skipped_keys[key] = arrival
    ordered = sorted(windows.values(), key=lambda window: (window.received_at, window.key))
    return NewWindows(thing, tuple(ordered), skipped, skipped_keys, repeated)


def advanced(cursor: Cursor, found: NewWindows, model_versions: frozenset[str]) -> Cursor:
    """The cursor after the windows of `model_versions` were judged; the others stay to be read."""
    done = {}
    waiting = ""
    for window in found.windows:
        if window.summary.model_version in model_versions:
            done[window.key] = window.received_at
        else:
            waiting = min(waiting or window.received_at, window.received_at)
    return moved(cursor, done, found.skipped_keys, waiting)


def checked_thing(thing: str) -> str:
    """Raises InvalidInputError for what is no name of a thing: it becomes a path."""
    if not re.fullmatch(THING_NAME, thing):
        raise InvalidInputError(
            f"thing {thing!r}", "no such name", "Use letters, digits, colon, underscore, hyphen."
        )
    return thing
