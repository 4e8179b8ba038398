"""Histograms as the KLL sketches and buckets of SageMaker Model Monitor's statistics.json.

A KLL sketch (Karnin, Lang and Liberty, 2016) has levels of items; an item at level h, from 0,
stands for 2**h values.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

BUCKETS = 10
PARAMETERS = {"c": 0.64, "k": 2048.0}
"""Those of Model Monitor's own sketches."""


def kll_of(held: Iterable[tuple[float, int]]) -> dict[str, Any]:
    """The sketch of values that were counted."""
    levels: list[list[float]] = []
    for value, count in held:
        for level in range(count.bit_length()):
            if count >> level & 1:
                while len(levels) <= level:
                    levels.append([])
                levels[level].append(value)
    return {"parameters": dict(PARAMETERS), "data": levels or [[]]}


def bins_of(kll: Mapping[str, Any], edges: Sequence[float]) -> list[int]:
    """What a sketch holds, counted between `edges`; what lies outside is in the end bins."""
    bins = [0] * (len(edges) - 1)
    for level, values in enumerate(kll["sketch"]["data"]):
        for value in values:
            bins[min(max(bisect_right(edges, value) - 1, 0), len(bins) - 1)] += 1 << level
    return bins


def buckets_of(
    bins: Sequence[int], edges: Sequence[float], low: float, high: float
) -> list[dict[str, float]]:
    """Ten buckets of equal width from `low` to `high`, as Model Monitor has them.

    A bin's values count where its middle is.
    """
    width = (high - low) / BUCKETS
    counts = [0] * BUCKETS
    for index, held in enumerate(bins):
        middle = (edges[index] + edges[index + 1]) / 2
        place = int((middle - low) / width) if width else 0
        counts[min(max(place, 0), BUCKETS - 1)] += held
    return [
        {
            "lower_bound": low + index * width,
            "upper_bound": high if index == BUCKETS - 1 else low + (index + 1) * width,
            "count": float(held),
        }
        for index, held in enumerate(counts)
    ]
