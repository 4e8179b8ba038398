"""Reads the windows of all things in one pass: sums by model version, each window once.

Columns are added up by the thousand (backends.telemetry.totals), thing by thing, on all cores or on
a cluster. What is held does not grow with the number of windows: a sum for each thing and model
version, and the names of one thing's windows. Which windows were read is kept in files,
`<home>/monitor/reading/…`, until `remember_fleet` is told which of them were judged.
"""

import functools
import shutil
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backends.artifacts import Unusable
from backends.ports import StatisticsStore
from backends.telemetry.totals import Totals, VersionTotal, merged_totals
from backends.workers import Workers, map_in_order
from tasks.statistics_store import checked_thing
from tasks.telemetry.cursor import Cursor, key_of, moved, read_cursor, write_cursor

MOST_REASONS = 100
"""Reasons of one thing that are counted apart: they can hold what a device wrote."""
OTHER_REASONS = "(other reasons)"
_WORTH_A_POOL = 8  # things; starting processes takes as long as reading these
_THINGS_AT_ONCE = 4
_A_DAY = 86_400
_ENOUGH = 4096  # windows, some 5 MB
_ARRIVAL = "%Y-%m-%dT%H:%M:%SZ"  # as edge.fields writes an instant; %S has the microseconds


@dataclass(frozen=True, slots=True)
class ThingWindows:
    """What a thing reported that was not judged before, by model version."""

    thing: str
    versions: Mapping[str, VersionTotal]
    skipped: Mapping[str, int]
    repeated: int


@dataclass(frozen=True, slots=True)
class FleetWindows:
    """Of all things, by name. `reading` is the folder that knows which windows these are."""

    things: tuple[ThingWindows, ...]
    reading: Path

    @property
    def windows(self) -> int:
        return sum(t.windows for thing in self.things for t in thing.versions.values())

    def together(self, things: Collection[str] | None = None) -> dict[str, VersionTotal]:
        """A group's windows as one, by model version; None: the whole fleet's."""
        return merged_totals(
            one.versions for one in self.things if things is None or one.thing in things
        )


def read_fleet(
    store: StatisticsStore, home: Path, things: Sequence[str], workers: Workers = 0
) -> FleetWindows:
    """Every window of `things` that their cursors, which lie in `home`, do not know.

    `workers` as in map_in_order; on a cluster, its machines must see the store and `home`. Raises
    InvalidInputError for what is no name of a thing, and a damaged cursor.
    """
    for thing in things:
        checked_thing(thing)
    readings = home / "monitor" / "reading"
    _forget_killed(readings)
    reading = readings / uuid.uuid4().hex
    reading.mkdir(parents=True)
    found = map_in_order(
        functools.partial(read_thing, store, home, reading),
        sorted(set(things)),
        workers if len(things) >= _WORTH_A_POOL else 1,
        what="read windows",
        chunk=_THINGS_AT_ONCE,
        preload=["tasks.telemetry.fleet"],
    )
    with closing(found) as read:
        return FleetWindows(tuple(read), reading)


def read_thing(store: StatisticsStore, home: Path, reading: Path, thing: str) -> ThingWindows:
    """One thing's windows; which they are goes into a file of `reading`."""
    cursor = read_cursor(home, thing)
    pass_ = _Pass(cursor)
    for table in store.windows(thing, cursor.first_day):
        if isinstance(table, Unusable):
            pass_.skip(table.reason, 1)
        else:
            pass_.take(table)
    pass_.add_up()
    pass_.write(_names_file(reading, thing))
    return ThingWindows(thing, pass_.totals.found(), pass_.skipped, pass_.repeated)


def remember_fleet(home: Path, found: FleetWindows, judged: Mapping[str, Collection[str]]) -> None:
    """Move the cursors of things past the windows of the model versions that were judged.

    Things that `judged` does not name stay where they were. What was skipped is not told of again.
    Killed in between, the others are read again: a window is judged twice at worst in a run that
    did not end, and none is lost.
    """
    for thing, versions in judged.items():
        done, skipped, waiting = _sorted_out(_names_file(found.reading, thing), frozenset(versions))
        write_cursor(home, thing, moved(read_cursor(home, thing), done, skipped, waiting))
    shutil.rmtree(found.reading, ignore_errors=True)


@dataclass
class _Pass:
    """One reading of one thing."""

    cursor: Cursor
    totals: Totals = field(default_factory=Totals)
    skipped: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    seen: dict[bytes, tuple[str, str | None]] = field(default_factory=dict)
    waiting: list[Any] = field(default_factory=list)

    def take(self, table: Any) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        counted = []
        names, problems, versions = (
            table[name].to_pylist() for name in ("message_id", "problem", "model_version")
        )
        arrivals = pc.strftime(table["received_at"], _ARRIVAL).to_pylist()
        for name, problem, version, arrival in zip(
            names, problems, versions, arrivals, strict=True
        ):
            key = key_of(name)
            known = key in self.seen
            counts = not known and key not in self.cursor.judged
            if counts:
                self.seen[key] = (arrival, version if problem is None else None)
                if problem is not None:
                    self.skip(problem, 1)
            else:
                self.repeated += known
            counted.append(counts and problem is None)
        self.waiting.append(table if all(counted) else table.filter(pa.array(counted, pa.bool_())))
        if sum(map(len, self.waiting)) >= _ENOUGH:
            self.add_up()

    def add_up(self) -> None:
        """Add what waits: a few large tables are added sooner than many small ones."""
        import pyarrow as pa

        if self.waiting:
            self.totals.add(pa.concat_tables(self.waiting))
            self.waiting.clear()

    def skip(self, reason: str, count: int) -> None:
        known = reason if reason in self.skipped or len(self.skipped) < MOST_REASONS else ""
        self.skipped[known or OTHER_REASONS] = self.skipped.get(known or OTHER_REASONS, 0) + count

    def write(self, path: Path) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        arrivals, versions = zip(*self.seen.values(), strict=True) if self.seen else ((), ())
        columns = {
            "key": pa.array(list(self.seen), pa.binary(16)),
            "arrival": pa.array(arrivals, pa.string()),
            "version": pa.array(versions, pa.string()),
        }
        parquet.write_table(pa.table(columns), path)


def _sorted_out(
    path: Path, versions: frozenset[str]
) -> tuple[dict[bytes, str], dict[bytes, str], str]:
    """Windows that were judged, those that were skipped, and the first arrival of the others."""
    from pyarrow import parquet

    done: dict[bytes, str] = {}
    skipped: dict[bytes, str] = {}
    waiting = ""
    with parquet.ParquetFile(path) as stored:
        for row in stored.read().to_pylist():
            if row["version"] is None:
                skipped[row["key"]] = row["arrival"]
            elif row["version"] in versions:
                done[row["key"]] = row["arrival"]
            else:
                waiting = min(waiting or row["arrival"], row["arrival"])
    return done, skipped, waiting


def _forget_killed(readings: Path) -> None:
    """What runs left that were killed: nothing of it was judged."""
    for left in readings.glob("*"):
        if left.stat().st_mtime < time.time() - _A_DAY:
            shutil.rmtree(left, ignore_errors=True)


def _names_file(reading: Path, thing: str) -> Path:
    return reading / f"{thing}.parquet"
