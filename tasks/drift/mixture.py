"""The mixture of a model's regimes that explains what a device saw best.

A device sees nights, days, or some of each. Which, nobody knows; so its window is held against the
convex mixture of the regimes whose picture statistics are most likely to have given it: the weights
come from expectation maximisation over all histograms together (Dempster, Laird and Rubin 1977,
"Maximum likelihood from incomplete data via the EM algorithm"). With one regime nothing is fitted.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edge.statistics import BINS, FEATURES, PICTURE_FEATURES, Summary
from tasks.drift.baseline import Baseline, Regime

_ROUNDS = 200
_SETTLED = 1e-6
_SMOOTHING = 0.5  # pictures added to each bin, so that an empty one is not impossible
_NEGLIGIBLE = 0.02  # a regime with less weight than this explains nothing
_KNOWN = 0.8  # of the weight must be of regimes that have a feature, or it is not judged


@dataclass(frozen=True, slots=True)
class Spread:
    """A feature as it is expected: shares of the bins, and what sample they are as good as.

    `pictures` is how many different ones would know as much: (sum of squared weights over each
    regime's number) to the power of -1.
    """

    bins: tuple[float, ...]
    mean: float
    std: float
    pictures: float


@dataclass(frozen=True, slots=True)
class Expected:
    """What a window should look like. A feature that no regime has is left out of `features`.

    `labels`: share by label, empty where unknown; they are worth `labelled` pictures.
    """

    weights: Mapping[str, float]
    features: Mapping[str, Spread]
    labels: Mapping[str, float]
    labelled: float


def expect(baseline: Baseline, now: Summary) -> Expected:
    """What the regimes of `baseline`, mixed as fits `now` best, would have given."""
    regimes = [regime for regime in baseline.regimes if regime.summary.count]
    weighed = [
        (weight, regime)
        for weight, regime in zip(_weights(regimes, now), regimes, strict=True)
        if weight >= _NEGLIGIBLE
    ]
    whole = sum(weight for weight, _ in weighed)
    weighed = [(weight / whole, regime) for weight, regime in weighed]
    spreads = {name: _spread(weighed, name) for name in FEATURES}
    labels, labelled = _labels(weighed)
    return Expected(
        weights={regime.name: weight for weight, regime in weighed},
        features={name: spread for name, spread in spreads.items() if spread},
        labels=labels,
        labelled=labelled,
    )


def _weights(regimes: Sequence[Regime], now: Summary) -> list[float]:
    """The most likely share of each regime; equal ones where there is nothing to tell by."""
    weights = [1 / len(regimes)] * len(regimes)
    if len(regimes) == 1:
        return weights
    likely = [
        (held, [_smoothed(regime.summary.features[name].bins)[index] for regime in regimes])
        for name in PICTURE_FEATURES
        for index, held in enumerate(now.features[name].bins)
        if held
    ]
    seen = sum(held for held, _ in likely)
    for _ in range(_ROUNDS if seen else 0):
        grown = [0.0] * len(regimes)
        for held, shares in likely:
            whole = sum(map(math.prod, zip(weights, shares, strict=True)))
            for number, share in enumerate(shares):
                grown[number] += held * weights[number] * share / whole
        fresh = [mass / seen for mass in grown]
        moved = max(abs(new - old) for new, old in zip(fresh, weights, strict=True))
        weights = fresh
        if moved < _SETTLED:
            break
    return weights


def _smoothed(bins: Sequence[int]) -> list[float]:
    whole = sum(bins) + _SMOOTHING * len(bins)
    return [(held + _SMOOTHING) / whole for held in bins]


def _spread(weighed: Sequence[tuple[float, Regime]], name: str) -> Spread | None:
    known, pictures = _known(weighed, lambda summary: summary.features[name].count)
    if not known:
        return None
    bins = [0.0] * BINS
    mean = squares = 0.0
    for weight, regime in known:
        held = regime.summary.features[name]
        for index, number in enumerate(held.bins):
            bins[index] += weight * number / held.count
        middle, width = held.mean or 0.0, held.std or 0.0
        mean += weight * middle
        squares += weight * (width**2 + middle**2)
    return Spread(tuple(bins), mean, math.sqrt(max(0.0, squares - mean**2)), pictures)


def _labels(weighed: Sequence[tuple[float, Regime]]) -> tuple[dict[str, float], float]:
    known, pictures = _known(weighed, lambda summary: sum(summary.labels.values()))
    shares: dict[str, float] = {}
    for weight, regime in known:
        held = sum(regime.summary.labels.values())
        for label, number in regime.summary.labels.items():
            shares[label] = shares.get(label, 0.0) + weight * number / held
    return shares, pictures


def _known(
    weighed: Sequence[tuple[float, Regime]], count: Callable[[Summary], int]
) -> tuple[list[tuple[float, Regime]], float]:
    """The regimes that have values, weighed anew; none where they are too little of it all."""
    known = [(weight, regime) for weight, regime in weighed if count(regime.summary)]
    whole = sum(weight for weight, _ in known)
    if whole < _KNOWN:
        return [], 0.0
    known = [(weight / whole, regime) for weight, regime in known]
    doubt = sum(
        weight**2 / min(regime.summary.distinct, count(regime.summary)) for weight, regime in known
    )
    return known, 1 / doubt
