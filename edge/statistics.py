"""What a device tells about its pictures without sending one: fixed-size, mergeable summaries.

The same code makes a device's windows and the training baseline, so like is compared with like.
Sums are kept in whole millionths: merging is exactly associative and commutative, in any order,
on any machine. Standard library only.
"""

import math
from bisect import bisect_right
from typing import Any, Dict, List, Mapping, Optional, Tuple

from edge.distinct import DistinctPictures
from edge.fields import (
    expect_keys,
    read_amount,
    read_count,
    read_counts,
    read_instant,
    read_share,
    read_text,
)

FORMAT_VERSION = 1
PICTURE_FEATURES: Tuple[str, ...] = ("brightness", "contrast", "saturation", "sharpness", "entropy")
"""Image statistics of edge.pictures, each in [0, 1]."""
FEATURES: Tuple[str, ...] = (*PICTURE_FEATURES, "confidence")
"""What is summarised per picture; confidence is the score of the best label."""
BINS = 20
"""Equal-width bins over [0, 1]; the last one is closed."""
LATENCY_BOUNDS_MS: Tuple[float, ...] = tuple(10 ** (step / 4 - 1) for step in range(1, 24))
"""Inner bounds of 24 log-spaced bins: a factor of 1.78, from 0.1 ms to 100 s; the ends are open."""

_MILLIONTHS = 1_000_000


class Distribution:
    """Values in [0, 1] of one feature: a histogram, and the moments that bins would blur."""

    __slots__ = ("_high", "_low", "_squares", "_total", "bins")

    def __init__(self) -> None:
        self.bins: List[int] = [0] * BINS
        self._total = 0
        self._squares = 0
        self._low: Optional[int] = None
        self._high: Optional[int] = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Distribution) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    @property
    def count(self) -> int:
        return sum(self.bins)

    @property
    def mean(self) -> Optional[float]:
        """None without values."""
        return self._total / _MILLIONTHS / self.count if self.count else None

    @property
    def std(self) -> Optional[float]:
        """Standard deviation of the values seen (not of a sample); None without values."""
        if self.mean is None:
            return None
        return math.sqrt(max(0.0, self._squares / _MILLIONTHS / self.count - self.mean**2))

    def quantile(self, share: float) -> Optional[float]:
        """The value that `share` of them lie below, linear within a bin; None without values."""
        if self._low is None or self._high is None:
            return None
        wanted, below = share * self.count, 0
        for index, held in enumerate(self.bins):
            if held and below + held >= wanted:
                value = (index + (wanted - below) / held) / BINS
                return min(max(value, self._low / _MILLIONTHS), self._high / _MILLIONTHS)
            below += held
        return self._high / _MILLIONTHS

    def add(self, value: float) -> None:
        """Count a value in [0, 1] (checked by the caller)."""
        parts = round(value * _MILLIONTHS)
        self.bins[min(parts * BINS // _MILLIONTHS, BINS - 1)] += 1
        self._total += parts
        self._squares += round(value * value * _MILLIONTHS)
        self._low = parts if self._low is None else min(self._low, parts)
        self._high = parts if self._high is None else max(self._high, parts)

    def merged(self, other: "Distribution") -> "Distribution":
        both = Distribution()
        both.bins = [mine + theirs for mine, theirs in zip(self.bins, other.bins)]
        both._total = self._total + other._total
        both._squares = self._squares + other._squares
        lows = [low for low in (self._low, other._low) if low is not None]
        highs = [high for high in (self._high, other._high) if high is not None]
        both._low = min(lows) if lows else None
        both._high = max(highs) if highs else None
        return both

    def to_dict(self) -> Dict[str, Any]:
        return {
            "bins": list(self.bins),
            "sum": self._total / _MILLIONTHS,
            "sum_squares": self._squares / _MILLIONTHS,
            "min": None if self._low is None else self._low / _MILLIONTHS,
            "max": None if self._high is None else self._high / _MILLIONTHS,
        }

    def parts(self) -> Tuple[List[int], int, int, Optional[int], Optional[int]]:
        """Bins; sum, sum of squares, least and greatest value in whole millionths: all of it."""
        return list(self.bins), self._total, self._squares, self._low, self._high

    @classmethod
    def of_parts(
        cls, bins: List[int], total: int, squares: int, low: Optional[int], high: Optional[int]
    ) -> "Distribution":
        """What `parts` gave (not checked: it comes from a message that was)."""
        made = cls()
        made.bins, made._total, made._squares, made._low, made._high = (
            bins,
            total,
            squares,
            low,
            high,
        )
        return made

    @classmethod
    def from_dict(cls, document: Any, field: str) -> "Distribution":
        """Read what `to_dict` wrote; a ValueError names the `field` that is wrong."""
        expect_keys(document, ("bins", "sum", "sum_squares", "min", "max"), field)
        read = cls()
        read.bins = read_counts(document["bins"], BINS, f"{field}.bins")
        read._total = _millionths(document["sum"], f"{field}.sum")
        read._squares = _millionths(document["sum_squares"], f"{field}.sum_squares")
        if read.count:
            read._low = _millionths(document["min"], f"{field}.min")
            read._high = _millionths(document["max"], f"{field}.max")
            if not 0 <= read._low <= read._high <= _MILLIONTHS:
                raise ValueError(f"{field}.min: must not be above max, both within [0, 1]")
            if not read._low * read.count <= read._total <= read._high * read.count:
                raise ValueError(f"{field}.sum: does not fit count, min and max")
        elif document["min"] is not None or document["max"] is not None:
            raise ValueError(f"{field}.min: must be null where nothing was counted")
        elif read._total or read._squares:
            raise ValueError(f"{field}.sum: must be 0 where nothing was counted")
        return read


class Summary:
    """What one model version saw between `start` and `end` (UTC), in under 4 kB of JSON.

    The size does not grow with the number of pictures, only with that of labels (64 fit).
    """

    def __init__(self, model_version: str, start: str, end: Optional[str] = None) -> None:
        """`start`, `end`: ISO 8601 with a UTC offset; `end` is `start` until `close` is called."""
        self.model_version = model_version
        self.start = read_instant(start, "window.start")
        self.end = self.start if end is None else read_instant(end, "window.end")
        if self.end < self.start:
            raise ValueError("window.end: is before window.start")
        self.count = 0
        self.unreadable = 0
        self.features: Dict[str, Distribution] = {name: Distribution() for name in FEATURES}
        self.latency_bins: List[int] = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        self.labels: Dict[str, int] = {}
        self.seen = DistinctPictures()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Summary) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def add(
        self,
        statistics: Mapping[str, float],
        label: Optional[str],
        score: Optional[float],
        latency_ms: Optional[float],
        image_id: Optional[str] = None,
    ) -> None:
        """Count one picture: statistics, best label, its score, how long the model took, its name.

        `statistics` must hold all of PICTURE_FEATURES; others are left out. None: not known (a
        data set has no latency).

        Raises ValueError, and counts nothing, where a value is missing or outside its range.
        """
        values = {name: read_share(statistics.get(name), name) for name in PICTURE_FEATURES}
        if score is not None:
            values["confidence"] = read_share(score, "confidence")
        if latency_ms is not None and not (math.isfinite(latency_ms) and latency_ms >= 0):
            raise ValueError(f"latency_ms: must be a time in milliseconds, not {latency_ms!r}")
        for name, value in values.items():
            self.features[name].add(value)
        if latency_ms is not None:
            self.latency_bins[bisect_right(LATENCY_BOUNDS_MS, latency_ms)] += 1
        if label is not None:
            self.labels[label] = self.labels.get(label, 0) + 1
        self.seen.add(image_id)
        self.count += 1

    @property
    def distinct(self) -> int:
        """About how many different pictures were counted, never more than `count`.

        Statistics of the same picture over and over are no better than of it once.
        """
        return min(self.count, round(self.seen.estimate * 1.05))

    def add_unreadable(self) -> None:
        """Count a picture that could not be decoded."""
        self.unreadable += 1

    def close(self, end: str) -> None:
        """Set the end of the window (ISO 8601, UTC)."""
        closed = read_instant(end, "window.end")
        if closed < self.start:
            raise ValueError("window.end: is before window.start")
        self.end = closed

    def latency_quantile_ms(self, share: float) -> Optional[float]:
        """Upper bound of the bin that holds this share of the latencies; None without any."""
        wanted, below = share * sum(self.latency_bins), 0
        for index, held in enumerate(self.latency_bins):
            below += held
            if held and below >= wanted:
                return LATENCY_BOUNDS_MS[min(index, len(LATENCY_BOUNDS_MS) - 1)]
        return None

    def to_dict(self) -> Dict[str, Any]:
        """A JSON-able document that `from_dict` reads back equal."""
        return {
            "version": FORMAT_VERSION,
            "model_version": self.model_version,
            "window": {"start": self.start, "end": self.end},
            "count": self.count,
            "unreadable": self.unreadable,
            "features": {name: self.features[name].to_dict() for name in FEATURES},
            "latency_ms": {"bins": list(self.latency_bins)},
            "labels": dict(sorted(self.labels.items())),
            "seen": {"sketch": self.seen.sketch(), "unnamed": self.seen.unnamed},
        }

    @classmethod
    def from_dict(cls, document: Any) -> "Summary":
        """Read what `to_dict` wrote. Raises ValueError naming the field that is wrong."""
        keys = ("version", "model_version", "window", "count", "unreadable", "features")
        expect_keys(document, (*keys, "latency_ms", "labels", "seen"), "summary")
        if document["version"] != FORMAT_VERSION:
            raise ValueError(f"version: must be {FORMAT_VERSION}, not {document['version']!r}")
        expect_keys(document["window"], ("start", "end"), "window")
        window = document["window"]
        read = cls(
            read_text(document["model_version"], "model_version"), window["start"], window["end"]
        )
        read.count = read_count(document["count"], "count")
        read.unreadable = read_count(document["unreadable"], "unreadable")
        expect_keys(document["features"], FEATURES, "features")
        for name in FEATURES:
            field = f"features.{name}"
            read.features[name] = Distribution.from_dict(document["features"][name], field)
            if read.features[name].count > read.count:
                raise ValueError(f"{field}.bins: hold more values than there are pictures")
        expect_keys(document["latency_ms"], ("bins",), "latency_ms")
        bins = document["latency_ms"]["bins"]
        read.latency_bins = read_counts(bins, len(LATENCY_BOUNDS_MS) + 1, "latency_ms.bins")
        if not isinstance(document["labels"], dict):
            raise ValueError("labels: must be an object of counts")  # noqa: TRY004
        read.labels = {
            read_text(label, "labels"): read_count(held, f"labels.{label}")
            for label, held in document["labels"].items()
        }
        expect_keys(document["seen"], ("sketch", "unnamed"), "seen")
        unnamed = read_count(document["seen"]["unnamed"], "seen.unnamed")
        read.seen = DistinctPictures.read(document["seen"]["sketch"], unnamed, "seen.sketch")
        if max(sum(read.labels.values()), sum(read.latency_bins)) > read.count:
            raise ValueError("count: is less than the labels or latencies counted")
        return read


def merge(one: Summary, other: Summary) -> Summary:
    """Both as if one device had seen everything: associative and commutative, exactly.

    Raises ValueError for two model versions: their confidences and labels do not compare.
    """
    if one.model_version != other.model_version:
        raise ValueError(
            f"model_version: cannot merge {one.model_version!r} and {other.model_version!r}"
        )
    both = Summary(one.model_version, min(one.start, other.start), max(one.end, other.end))
    both.count = one.count + other.count
    both.unreadable = one.unreadable + other.unreadable
    both.features = {name: one.features[name].merged(other.features[name]) for name in FEATURES}
    both.latency_bins = [
        mine + theirs for mine, theirs in zip(one.latency_bins, other.latency_bins)
    ]
    both.seen = one.seen.merged(other.seen)
    both.labels = {
        label: one.labels.get(label, 0) + other.labels.get(label, 0)
        for label in sorted({*one.labels, *other.labels})
    }
    return both


def _millionths(value: Any, field: str) -> int:
    return round(read_amount(value, field) * _MILLIONTHS)
