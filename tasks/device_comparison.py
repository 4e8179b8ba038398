"""What a device saw, measured against what its model was trained on."""

import math
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from edge.contract import OTHER_LABELS
from edge.statistics import PICTURE_FEATURES, Distribution, Summary
from tasks.drift.baseline import Baseline
from tasks.drift.mixture import Expected, Spread, expect
from tasks.effect_sizes import (
    Effect,
    as_jensen_shannon,
    jensen_shannon,
    population_stability,
    surprise,
)

COMPARISONS = len(PICTURE_FEATURES) + 2
"""Image statistics, label mix and confidence are judged together."""


class MonitorLimits(BaseModel):
    """How far a device may move from its baseline. The first two come from targets.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_psi: float = Field(0.25, gt=0, description="Largest population stability index.")
    min_samples: int = Field(100, ge=1, description="Fewer pictures than this prove nothing.")
    max_confidence_drop: float = Field(
        0.1, gt=0, le=1, description="Most that the mean confidence may lose."
    )
    max_unreadable_share: float = Field(
        0.2, ge=0, le=1, description="Most pictures of a device that cannot be decoded."
    )


def measure(before: Baseline, now: Summary, limits: MonitorLimits) -> Iterator[dict[str, Any]]:
    """One row per check; a measured value is what is left of a change without chance."""
    expected = expect(before, now)
    enough = now.distinct >= limits.min_samples
    for name in PICTURE_FEATURES if enough else ():
        if old := expected.features.get(name):
            new = now.features[name]
            effect = _moved(old, new, now.distinct)
            says = f"mean {name} {_number(old.mean)} in training, {_number(new.mean)} now"
            says = f"PSI {effect.size:.3g}; {says}"
            yield _row(f"input.{name}", effect.size, limits.max_psi, says)
    if enough and expected.labels and now.labels:
        mix = _label_mix(expected, now)
        says = f"Jensen-Shannon divergence {mix.size:.3g} bits; {_biggest_move(expected, now)}"
        yield _row("prediction.labels", mix.size, as_jensen_shannon(limits.max_psi), says)
    sure, unsure = expected.features.get("confidence"), now.features["confidence"]
    if enough and sure and unsure.count:
        says = f"mean confidence {_number(sure.mean)} in training, {_number(unsure.mean)} now"
        yield _row(
            "confidence", _drop(sure, unsure, now.distinct), limits.max_confidence_drop, says
        )
    unreadable = now.unreadable / (now.count + now.unreadable)
    says = f"{now.unreadable} of {now.count + now.unreadable} pictures could not be read"
    yield _row("pictures.unreadable", unreadable, limits.max_unreadable_share, says)


def _row(check: str, measured: float, limit: float, says: str) -> dict[str, Any]:
    return {"check": check, "measured": float(measured), "limit": float(limit), "says": says}


def _moved(before: Spread, now: Distribution, different: int) -> Effect:
    counts = [share * before.pictures for share in before.bins]
    return population_stability(counts, now.bins, COMPARISONS, (before.pictures, different))


def _drop(before: Spread, now: Distribution, different: int) -> float:
    """How much lower the mean is, or 0 where chance could have done it."""
    if now.mean is None or now.std is None:
        return 0.0
    drop = before.mean - now.mean
    error = math.sqrt(before.std**2 / before.pictures + now.std**2 / different)
    return max(0.0, drop) if drop > surprise(COMPARISONS) * error else 0.0


def _label_mix(expected: Expected, now: Summary) -> Effect:
    """Of the same labels; what one side added up as "(other)" is added up on both."""
    before = {label: share * expected.labelled for label, share in expected.labels.items()}
    labels = sorted({*before, *now.labels} - {OTHER_LABELS})
    if OTHER_LABELS in now.labels:
        labels = [label for label in labels if label in now.labels]
    held = [before.get(label, 0.0) for label in labels]
    holds = [now.labels.get(label, 0) for label in labels]
    held.append(max(0.0, sum(before.values()) - sum(held)))
    holds.append(sum(now.labels.values()) - sum(holds))
    return jensen_shannon(held, holds, COMPARISONS, (expected.labelled, now.distinct))


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
