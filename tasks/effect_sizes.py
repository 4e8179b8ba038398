"""How far two histograms are apart, with what chance alone explains taken out.

Population stability index: sum of (p - q) ln(p / q) over bins; above 0.25 is commonly called a
shift. Between samples of n and m of one population it is distributed about as
(1/n + 1/m) chi-squared with (bins - 1) degrees of freedom (Yurdakul 2018, "Statistical properties
of the population stability index"), which gives its bias. Far out, where many looks lead, the index
of a nearly empty bin has a heavier tail than that; what counts as surprising is therefore decided
by the likelihood ratio (G), whose tail is right there (Wilks 1938; Sanov 1957).
For small changes the Jensen-Shannon divergence is an eighth of the index.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

_LEAST_MASS = 0.1  # of both samples' average in a bin: thinner bins are joined with the next
_SMOOTHING = 0.5  # pictures added to each bin, so that an empty one is not infinitely surprising
_RARE = 0.001  # how often chance may surprise, all comparisons together
_BITS = 1 / math.log(2)


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect size: `raw` as the formula gives it, `size` what is left without chance.

    `size` is a lower bound: `raw` less what chance adds, two standard deviations above its mean,
    and 0 where a change of this size is no surprise.
    """

    raw: float
    size: float


def population_stability(
    before: Sequence[float],
    now: Sequence[float],
    comparisons: int,
    different: tuple[float, float] | None = None,
) -> Effect:
    """PSI of two histograms over the same ordered bins; neither may be empty.

    `comparisons` is how many features are compared at once (Bonferroni's correction): all of them
    together surprise by chance in one of a thousand times. `different` is how many different
    pictures each side has, where some repeat: repetition is no evidence.
    """
    first, second = _joined(before, now)
    p, q = _shares(first), _shares(second)
    raw = sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))
    n, m = different or (sum(before), sum(now))
    return _without_chance(raw, 1.0, first, second, (n, m), comparisons)


def jensen_shannon(
    before: Sequence[float],
    now: Sequence[float],
    comparisons: int,
    different: tuple[float, float] | None = None,
) -> Effect:
    """Jensen-Shannon divergence in bits, 0..1, of two counts of the same categories."""
    n, m = sum(before), sum(now)
    raw = 0.0
    for held, holds in zip(before, now, strict=True):
        a, b = held / n, holds / m
        middle = (a + b) / 2
        raw += sum(x / 2 * math.log2(x / middle) for x in (a, b) if x)
    kinds = [pair for pair in zip(before, now, strict=True) if any(pair)]
    first, second = [held for held, _ in kinds], [holds for _, holds in kinds]
    return _without_chance(raw, _BITS / 8, first, second, different or (n, m), comparisons)


def as_jensen_shannon(psi: float) -> float:
    """The Jensen-Shannon divergence, in bits, of a small change with this PSI."""
    return psi * _BITS / 8


def surprise(comparisons: int) -> float:
    """How many standard errors chance exceeds once in 1000 · comparisons (one side, normal)."""
    return NormalDist().inv_cdf(1 - _RARE / comparisons)


def surprising_chi_squared(freedom: int, comparisons: int) -> float:
    """The chi-squared that chance exceeds once in 1000 · comparisons (Wilson-Hilferty, 1931)."""
    z = surprise(comparisons)
    spread = 2 / (9 * freedom)
    return freedom * (1 - spread + z * math.sqrt(spread)) ** 3


def _without_chance(
    raw: float,
    scale: float,
    before: Sequence[float],
    now: Sequence[float],
    different: tuple[float, float],
    comparisons: int,
) -> Effect:
    freedom = len(before) - 1
    if freedom < 1:
        return Effect(raw, 0.0)
    if _likelihood_ratio(before, now, *different) <= surprising_chi_squared(freedom, comparisons):
        return Effect(raw, 0.0)
    n, m = different
    unit = scale * (1 / n + 1 / m)
    return Effect(raw, max(0.0, raw - unit * (freedom + 2 * math.sqrt(2 * freedom))))


def _likelihood_ratio(before: Sequence[float], now: Sequence[float], n: float, m: float) -> float:
    """G of two counts of the same bins, as if they were of `n` and `m` pictures."""
    first, second = sum(before), sum(now)
    ratio = 0.0
    for held, holds in zip(before, now, strict=True):
        a, b = held / first, holds / second
        middle = (n * a + m * b) / (n + m)
        ratio += 2 * sum(size * x * math.log(x / middle) for size, x in ((n, a), (m, b)) if x)
    return ratio


def _joined(before: Sequence[float], now: Sequence[float]) -> tuple[list[float], list[float]]:
    """Join neighbouring bins until each holds enough of the two samples' average."""
    n, m = sum(before), sum(now)
    first, second = [0.0], [0.0]
    for held, holds in zip(before, now, strict=True):
        if (first[-1] / n + second[-1] / m) / 2 >= _LEAST_MASS:
            first.append(0.0)
            second.append(0.0)
        first[-1] += held
        second[-1] += holds
    if len(first) > 1 and (first[-1] / n + second[-1] / m) / 2 < _LEAST_MASS:
        last, final = first.pop(), second.pop()
        first[-1] += last
        second[-1] += final
    return first, second


def _shares(counts: Sequence[float]) -> list[float]:
    whole = sum(counts) + _SMOOTHING * len(counts)
    return [(count + _SMOOTHING) / whole for count in counts]
