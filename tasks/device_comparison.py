"""What a device saw, measured against what its model was trained on."""

import math
from collections.abc import Iterator, Sequence

from edge.contract import OTHER_LABELS
from edge.statistics import LATENCY_BOUNDS_MS, PICTURE_FEATURES, Distribution, Summary
from tasks.business_understanding import DriftTargets, Targets
from tasks.drift.alarms import Finding
from tasks.drift.baseline import Baseline
from tasks.drift.mixture import Expected, Spread, expect
from tasks.effect_sizes import (
    Effect,
    as_jensen_shannon,
    jensen_shannon,
    population_stability,
    surprise,
)

TESTS = 2 * (len(PICTURE_FEATURES) + 4)
"""Image statistics, label mix, confidence, unsure answers and latency: the newest look's, and the
last few together."""
LOOKS = 24 * 4
"""Of a day, one each quarter of an hour. Chance may surprise on one day in a thousand."""
_UNSURE = 0.25  # of the held-out answers at most are less sure than where "unsure" begins


class MonitorLimits(DriftTargets):
    """How far a device may move from its baseline: `[drift]` of targets.toml."""


NEGLIGIBLE_MS = 5.0
"""So short an inference troubles nobody."""


def monitor_limits(targets: Targets) -> MonitorLimits:
    """The limits that a targets file sets."""
    return MonitorLimits.model_validate(targets.drift.model_dump())


def measure(
    before: Baseline,
    now: Summary,
    limits: MonitorLimits,
    latency: Sequence[int] = (),
    scopes: int = 1,
) -> Iterator[Finding]:
    """One finding per check; a measured value is what is left of a change without chance.

    `latency` are the device's own first latencies, in the bins of a summary; empty: unknown yet.
    `scopes` is how many things and groups are looked at in the same way.
    """
    comparisons = TESTS * LOOKS * scopes
    expected = expect(before, now)
    if now.distinct >= limits.min_samples:
        yield from _pictures(expected, now, limits, comparisons)
        yield from _answers(expected, now, limits, comparisons)
        if any(latency) and any(now.latency_bins):
            yield _latency(latency, now, limits, comparisons)
    if before.classes:
        yield _strange_labels(before, now)
    unreadable = now.unreadable / (now.count + now.unreadable)
    says = f"{now.unreadable} of {now.count + now.unreadable} pictures could not be read"
    limit = limits.max_unreadable_share
    yield Finding("pictures.unreadable", "trouble", unreadable, limit, unreadable, says)


def _pictures(
    expected: Expected, now: Summary, limits: MonitorLimits, comparisons: int
) -> Iterator[Finding]:
    for name in PICTURE_FEATURES:
        if (old := expected.features.get(name)) is None:
            continue
        new = now.features[name]
        counts = [share * old.pictures for share in old.bins]
        different = (old.pictures, now.distinct)
        effect = population_stability(counts, new.bins, comparisons, different)
        says = f"mean {name} {_number(old.mean)} in training, {_number(new.mean)} now"
        says = f"PSI {effect.size:.3g}; {says}"
        yield Finding(f"input.{name}", "drift", effect.size, limits.max_psi, effect.raw, says)


def _answers(
    expected: Expected, now: Summary, limits: MonitorLimits, comparisons: int
) -> Iterator[Finding]:
    if expected.labels and now.labels:
        mix = _label_mix(expected, now, comparisons)
        says = f"Jensen-Shannon divergence {mix.size:.3g} bits; {_biggest_move(expected, now)}"
        limit = as_jensen_shannon(limits.max_psi)
        yield Finding("prediction.labels", "drift", mix.size, limit, mix.raw, says)
    old, new = expected.features.get("confidence"), now.features["confidence"]
    if old and new.count:
        drop = _drop(old, new, now.distinct, comparisons)
        says = f"mean confidence {_number(old.mean)} in training, {_number(new.mean)} now"
        yield Finding("confidence", "drift", drop.size, limits.max_confidence_drop, drop.raw, says)
        yield _unsure(old, new, drop, limits)


def _drop(before: Spread, now: Distribution, different: int, comparisons: int) -> Effect:
    """How much lower the mean is; `size` is 0 where chance could have done it."""
    if now.mean is None or now.std is None:
        return Effect(0.0, 0.0)
    drop = max(0.0, before.mean - now.mean)
    error = math.sqrt(before.std**2 / before.pictures + now.std**2 / different)
    return Effect(drop, drop if drop > surprise(comparisons) * error else 0.0)


def _unsure(before: Spread, now: Distribution, drop: Effect, limits: MonitorLimits) -> Finding:
    """Answers that are less sure than most held-out ones were: of something never learned?

    It tells of a class that the model does not know, also where the pictures look as ever. Whether
    chance explains it is decided by the mean confidence, which knows more than one share does.
    """
    bins = len(before.bins)
    cut = max((at for at in range(1, bins) if sum(before.bins[:at]) <= _UNSURE), default=1)
    was, is_now = sum(before.bins[:cut]), sum(now.bins[:cut]) / now.count
    gain = max(0.0, is_now - was)
    says = f"{is_now:.0%} of the answers are less sure than {cut / bins:.2g}, {was:.0%} in training"
    limit = limits.max_unsure_gain
    return Finding("prediction.unsure", "drift", gain if drop.size else 0.0, limit, gain, says)


def _latency(
    before: Sequence[int], now: Summary, limits: MonitorLimits, comparisons: int
) -> Finding:
    """By what factor the usual time of an inference grew, over the device's own first windows.

    Less than NEGLIGIBLE_MS counts as that: of so short a time, any other work makes a multiple.
    """
    (mean, std), (mean_now, std_now) = _magnitude(before), _magnitude(now.latency_bins)
    error = math.sqrt(std**2 / sum(before) + std_now**2 / now.distinct)
    grown = max(0.0, mean_now - max(mean, math.log10(NEGLIGIBLE_MS)))
    sure = max(0.0, grown - 2 * error) if grown > surprise(comparisons) * error else 0.0
    says = f"an inference took {10**mean:.2g} ms at first, {10**mean_now:.2g} ms now"
    limit = limits.max_latency_factor
    return Finding("device.latency", "trouble", 10**sure, limit, 10**grown, says)


def _magnitude(bins: Sequence[int]) -> tuple[float, float]:
    """Mean and standard deviation of the logarithm (base 10) of times in log-spaced bins."""
    first, step = (
        math.log10(LATENCY_BOUNDS_MS[0]),
        math.log10(LATENCY_BOUNDS_MS[1] / LATENCY_BOUNDS_MS[0]),
    )
    whole = sum(bins)
    places = [first + (index - 0.5) * step for index in range(len(bins))]
    mean = sum(held * place for held, place in zip(bins, places, strict=True)) / whole
    square = sum(held * (at - mean) ** 2 for held, at in zip(bins, places, strict=True)) / whole
    return mean, math.sqrt(square + step**2 / 12)  # a bin's own width counts too


def _strange_labels(before: Baseline, now: Summary) -> Finding:
    strange = {
        label: held
        for label, held in now.labels.items()
        if label not in before.classes and label != OTHER_LABELS
    }
    share = sum(strange.values()) / max(1, sum(now.labels.values()))
    names = ", ".join(sorted(strange)[:3])
    says = f"labels that the model does not have: {names}" if strange else "no label is new"
    return Finding("messages.labels", "trouble", share, 0.0, share, says)


def _label_mix(expected: Expected, now: Summary, comparisons: int) -> Effect:
    """Of the same labels; what one side added up as "(other)" is added up on both."""
    before = {label: share * expected.labelled for label, share in expected.labels.items()}
    labels = sorted({*before, *now.labels} - {OTHER_LABELS})
    if OTHER_LABELS in now.labels:
        labels = [label for label in labels if label in now.labels]
    held = [before.get(label, 0.0) for label in labels]
    holds = [now.labels.get(label, 0) for label in labels]
    held.append(max(0.0, sum(before.values()) - sum(held)))
    holds.append(sum(now.labels.values()) - sum(holds))
    return jensen_shannon(held, holds, comparisons, (expected.labelled, now.distinct))


def _biggest_move(expected: Expected, now: Summary) -> str:
    whole = sum(now.labels.values())
    moves = {
        label: now.labels.get(label, 0) / whole - expected.labels.get(label, 0.0)
        for label in {*expected.labels, *now.labels}
    }
    label = max(sorted(moves), key=lambda name: abs(moves[name]))
    was, is_now = expected.labels.get(label, 0.0), now.labels.get(label, 0) / whole
    return f"{label} {was:.0%} in training, {is_now:.0%} now"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
