"""Adds up windows by the thousand, exactly as `edge.statistics.merge` does one by one.

Within a batch sums are NumPy's, 64 bits wide (a window has at most 2**22 pictures, a batch 2**16
windows: no sum comes near); across batches they are Python's, which have no end.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backends.telemetry.schema import MILLIONTHS
from edge.distinct import BITS, DistinctPictures
from edge.statistics import BINS, FEATURES, LATENCY_BOUNDS_MS, Distribution, Summary

BATCH = 2**13
"""Windows that are read at once: some 10 MB."""
_LATENCIES = len(LATENCY_BOUNDS_MS) + 1


@dataclass(frozen=True, slots=True)
class VersionTotal:
    """All windows of one model version as one, how many they were, and their arrivals (UTC)."""

    summary: Summary
    windows: int
    first_arrival: str
    last_arrival: str


class Totals:
    """Sums by model version; holds one summary for each, however many windows are added."""

    def __init__(self) -> None:
        self._by_version: dict[str, _Sum] = {}

    def add(self, windows: Any) -> None:
        """Count all rows of a table of WINDOWS; none has a problem."""
        if not windows.num_rows:
            return
        versions = windows.column("model_version")
        known = pc.unique(versions).to_pylist()
        for version in known:
            mine = windows if len(known) == 1 else windows.filter(pc.equal(versions, version))
            self._by_version.setdefault(version, _Sum()).add(mine.combine_chunks())

    def found(self) -> Mapping[str, VersionTotal]:
        """What was added, by model version, in order of first appearance."""
        return {version: total.made(version) for version, total in self._by_version.items()}


class _Sum:
    """Of one model version."""

    def __init__(self) -> None:
        self.windows = 0
        self.start = self.end = self.first = self.last = ""
        self.counts = [0, 0, 0]
        self.bins = {name: [0] * BINS for name in FEATURES}
        self.sums = {name: [0, 0] for name in FEATURES}
        self.ends: dict[str, tuple[int | None, int | None]] = dict.fromkeys(FEATURES, (None, None))
        self.latency = [0] * _LATENCIES
        self.labels: dict[str, int] = {}
        self.bits = np.zeros(BITS // 8, np.uint8)

    def add(self, windows: Any) -> None:
        column = _Columns(windows)
        arrivals = pc.min_max(column["received_at"])
        self._span(
            pc.min(column["window_start"]).as_py(),
            pc.max(column["window_end"]).as_py(),
            arrivals["min"].as_py().isoformat(),
            arrivals["max"].as_py().isoformat(),
        )
        self.windows += windows.num_rows
        names = ("count", "unreadable", "seen_unnamed")
        self.counts = _plus(self.counts, [_sum(column[name]) for name in names])
        for name in FEATURES:
            self.bins[name] = _plus(self.bins[name], _binned(column[f"{name}_bins"], BINS))
            total, squares = (
                column[f"{name}_sum{MILLIONTHS}"],
                column[f"{name}_squares{MILLIONTHS}"],
            )
            self.sums[name] = _plus(self.sums[name], [_sum(total), _sum(squares)])
            low = pc.min(column[f"{name}_low{MILLIONTHS}"]).as_py()
            high = pc.max(column[f"{name}_high{MILLIONTHS}"]).as_py()
            least, most = self.ends[name]
            self.ends[name] = _least(low, least), _most(high, most)
        self.latency = _plus(self.latency, _binned(column["latency_bins"], _LATENCIES))
        for label, count in _labelled(column["labels"]):
            self.labels[label] = self.labels.get(label, 0) + count
        self.bits |= _all_bits(column["seen_bits"])

    def made(self, version: str) -> VersionTotal:
        summary = Summary(version, self.start, self.end)
        summary.count, summary.unreadable, unnamed = self.counts
        for name in FEATURES:
            total, squares = self.sums[name]
            low, high = self.ends[name]
            summary.features[name] = Distribution.of_parts(
                list(self.bins[name]), total, squares, low, high
            )
        summary.latency_bins = list(self.latency)
        summary.labels = dict(sorted(self.labels.items()))
        summary.seen = DistinctPictures.of_bits(self.bits.tobytes(), unnamed)
        return VersionTotal(summary, self.windows, self.first, self.last)

    def _span(self, start: str, end: str, first: str, last: str) -> None:
        if not self.windows:
            self.start, self.end, self.first, self.last = start, end, first, last
            return
        self.start, self.end = min(self.start, start), max(self.end, end)
        self.first, self.last = min(self.first, first), max(self.last, last)


class _Columns:
    """Columns of a table as single arrays, by name."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __getitem__(self, name: str) -> Any:
        column = self._table.column(name)
        return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def merged_totals(parts: Iterable[Mapping[str, VersionTotal]]) -> dict[str, VersionTotal]:
    """Totals of several readings as one."""
    from edge.statistics import merge

    whole: dict[str, VersionTotal] = {}
    for part in parts:
        for version, more in part.items():
            before = whole.get(version)
            whole[version] = (
                more
                if before is None
                else VersionTotal(
                    merge(before.summary, more.summary),
                    before.windows + more.windows,
                    min(before.first_arrival, more.first_arrival),
                    max(before.last_arrival, more.last_arrival),
                )
            )
    return whole


def _sum(values: Any) -> int:
    return int(pc.sum(values).as_py() or 0)


def _binned(lists: Any, width: int) -> list[int]:
    """Sums by place, of fixed-size lists."""
    held = lists.flatten().to_numpy(zero_copy_only=False)
    summed: list[int] = held.reshape(-1, width).sum(axis=0, dtype=np.int64).tolist()
    return summed


def _labelled(maps: Any) -> list[tuple[str, int]]:
    """Sums by key."""
    start, end = maps.offsets[0].as_py(), maps.offsets[-1].as_py()
    table = pa.table(
        {"label": maps.keys[start:end], "count": maps.items[start:end].cast(pa.int64())}
    )
    summed = table.group_by("label").aggregate([("count", "sum")])
    return list(zip(summed["label"].to_pylist(), summed["count_sum"].to_pylist(), strict=True))


def _all_bits(sketches: Any) -> Any:
    width = BITS // 8
    whole = np.frombuffer(sketches.buffers()[1], np.uint8)
    begin = sketches.offset * width
    rows = whole[begin : begin + len(sketches) * width].reshape(-1, width)
    return np.bitwise_or.reduce(rows, axis=0)


def _plus(mine: list[int], theirs: list[int]) -> list[int]:
    return [one + other for one, other in zip(mine, theirs, strict=True)]


def _least(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return min(known) if known else None


def _most(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return max(known) if known else None
