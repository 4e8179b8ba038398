"""How far two histograms are apart, with what chance alone explains taken out.

Population stability index: sum of (p - q) ln(p / q) over bins; above 0.25 is commonly called a
shift. Between samples of n and m of one population it is distributed about as
(1/n + 1/m) chi-squared with (bins - 1) degrees of freedom (Yurdakul 2018, "Statistical properties
of the population stability index"), which gives both its bias and what counts as surprising.
For small changes the Jensen-Shannon divergence is an eighth of it.
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
    before: Sequence[int],
    now: Sequence[int],
    comparisons: int,
    different: tuple[int, int] | None = None,
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
    return _without_chance(raw, 1.0, len(first), n, m, comparisons)


def jensen_shannon(
    before: Sequence[int],
    now: Sequence[int],
    comparisons: int,
    different: tuple[int, int] | None = None,
) -> Effect:
    """Jensen-Shannon divergence in bits, 0..1, of two counts of the same categories."""
    n, m = sum(before), sum(now)
    raw = 0.0
    for held, holds in zip(before, now, strict=True):
        a, b = held / n, holds / m
        middle = (a + b) / 2
        raw += sum(x / 2 * math.log2(x / middle) for x in (a, b) if x)
    kinds = sum(1 for held, holds in zip(before, now, strict=True) if held or holds)
    return _without_chance(raw, _BITS / 8, kinds, *(different or (n, m)), comparisons)


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
    raw: float, scale: float, bins: int, n: int, m: int, comparisons: int
) -> Effect:
    freedom = bins - 1
    if freedom < 1:
        return Effect(raw, 0.0)
    unit = scale * (1 / n + 1 / m)
    if raw <= unit * surprising_chi_squared(freedom, comparisons):
        return Effect(raw, 0.0)
    return Effect(raw, max(0.0, raw - unit * (freedom + 2 * math.sqrt(2 * freedom))))


def _joined(before: Sequence[int], now: Sequence[int]) -> tuple[list[int], list[int]]:
    """Join neighbouring bins until each holds enough of the two samples' average."""
    n, m = sum(before), sum(now)
    first, second = [0], [0]
    for held, holds in zip(before, now, strict=True):
        if (first[-1] / n + second[-1] / m) / 2 >= _LEAST_MASS:
            first.append(0)
            second.append(0)
        first[-1] += held
        second[-1] += holds
    if len(first) > 1 and (first[-1] / n + second[-1] / m) / 2 < _LEAST_MASS:
        last, final = first.pop(), second.pop()
        first[-1] += last
        second[-1] += final
    return first, second


def _shares(counts: Sequence[int]) -> list[float]:
    whole = sum(counts) + _SMOOTHING * len(counts)
    return [(count + _SMOOTHING) / whole for count in counts]
