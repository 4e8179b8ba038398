"""What a device saw, measured against what its model was trained on."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from edge.contract import OTHER_LABELS
from edge.statistics import PICTURE_FEATURES, Distribution, Summary
from tasks.effect_sizes import as_jensen_shannon, jensen_shannon, population_stability, surprise

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


def measure(before: Summary, now: Summary, limits: MonitorLimits) -> Iterator[dict[str, Any]]:
    """One row per check; a measured value is what is left of a change without chance."""
    different = before.distinct, now.distinct
    enough = before.count and now.distinct >= limits.min_samples
    for name in PICTURE_FEATURES if enough else ():
        old, new = before.features[name], now.features[name]
        effect = population_stability(old.bins, new.bins, COMPARISONS, different)
        says = f"mean {name} {_number(old.mean)} in training, {_number(new.mean)} now"
        yield _row(f"input.{name}", effect.size, limits.max_psi, f"PSI {effect.size:.3g}; {says}")
    held, holds = _label_counts(before.labels, now.labels)
    if enough and any(held) and any(holds):
        mix = jensen_shannon(held, holds, COMPARISONS, different)
        says = f"Jensen-Shannon divergence {mix.size:.3g} bits; {_biggest_move(before, now)}"
        yield _row("prediction.labels", mix.size, as_jensen_shannon(limits.max_psi), says)
    sure, unsure = before.features["confidence"], now.features["confidence"]
    if enough and sure.count and unsure.count:
        says = f"mean confidence {_number(sure.mean)} in training, {_number(unsure.mean)} now"
        yield _row("confidence", _drop(sure, unsure, *different), limits.max_confidence_drop, says)
    unreadable = now.unreadable / (now.count + now.unreadable)
    says = f"{now.unreadable} of {now.count + now.unreadable} pictures could not be read"
    yield _row("pictures.unreadable", unreadable, limits.max_unreadable_share, says)


def _row(check: str, measured: float, limit: float, says: str) -> dict[str, Any]:
    return {"check": check, "measured": float(measured), "limit": float(limit), "says": says}


def _drop(before: Distribution, now: Distribution, n: int, m: int) -> float:
    """How much lower the mean is, or 0 where chance could have done it."""
    if before.mean is None or now.mean is None or before.std is None or now.std is None:
        return 0.0
    drop = before.mean - now.mean
    error = math.sqrt(before.std**2 / n + now.std**2 / m)
    return max(0.0, drop) if drop > surprise(COMPARISONS) * error else 0.0


def _label_counts(before: Mapping[str, int], now: Mapping[str, int]) -> tuple[list[int], list[int]]:
    """Counts of the same labels; what one side added up as "(other)" is added up on both."""
    labels = sorted({*before, *now} - {OTHER_LABELS})
    if OTHER_LABELS in now:
        labels = [label for label in labels if label in now]
    counts = [[side.get(label, 0) for label in labels] for side in (before, now)]
    rest = [
        sum(side.values()) - sum(held) for side, held in zip((before, now), counts, strict=True)
    ]
    return [*counts[0], rest[0]], [*counts[1], rest[1]]


def _biggest_move(before: Summary, now: Summary) -> str:
    n, m = sum(before.labels.values()), sum(now.labels.values())
    moves = {
        label: now.labels.get(label, 0) / m - before.labels.get(label, 0) / n
        for label in {*before.labels, *now.labels}
    }
    label = max(sorted(moves), key=lambda name: abs(moves[name]))
    was, is_now = before.labels.get(label, 0) / n, now.labels.get(label, 0) / m
    return f"{label} {was:.0%} in training, {is_now:.0%} now"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
