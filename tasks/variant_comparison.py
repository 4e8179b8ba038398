"""Monitoring (CRISP-DM 6): which of two models does better on what a device sees right now?

Nobody knows the right answers there. So it is compared how often both agree, how sure they are, and
how long they take. The same picture counts once: a camera before a still scene proves nothing anew.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from backends.artifacts import DeviceResult
from tasks.business_understanding import Targets

CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

Recommendation = Literal["challenger", "champion", "more data"]


class VariantLimits(BaseModel):
    """When a challenger is good enough, and how many pictures it takes to say so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_pictures: int = Field(100, ge=1, description="Fewer different pictures prove nothing.")
    min_agreement: float = Field(
        0.995, ge=0, le=1, description="From here on, both give the same answers."
    )
    min_gain: float = Field(-0.02, ge=-1, le=1, description="Least gain in mean confidence.")
    max_latency_p95_ms: float = Field(100, gt=0, description="95th percentile of one inference.")


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one model said of one picture."""

    label: str
    score: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What both models said, as long as they stood against each other.

    In shadow mode, entry by entry, of the same pictures; in split mode, of different ones.
    """

    paired: bool
    champion_version: str
    challenger_version: str
    champion: tuple[tuple[str, Opinion], ...]
    challenger: tuple[tuple[str, Opinion], ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, and the interval that holds the true one in 95 of 100 cases."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Side:
    """One model by itself; `pictures` are different ones, `answers` all."""

    model_version: str
    pictures: int
    answers: int
    mean_confidence: float
    labels: dict[str, int]
    latency_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class VariantComparison:
    """What came of it. `agreement` and `confusion` are there in shadow mode only.

    `confusion[a][b]` counts pictures that the champion called a and the challenger b.
    `confidence_gain` is the challenger's mean confidence less the champion's.
    """

    thing: str
    since: str
    mode: str
    champion: Side | None
    challenger: Side | None
    agreement: Estimate | None
    confusion: dict[str, dict[str, int]]
    confidence_gain: Estimate | None
    recommendation: Recommendation
    reason: str


def variant_limits(targets: Targets) -> VariantLimits:
    """The limits that a targets file sets."""
    return VariantLimits(
        min_pictures=targets.drift.min_samples,
        min_agreement=targets.parity.min_top1_agreement,
        min_gain=targets.accuracy.min_champion_gain,
        max_latency_p95_ms=targets.device.max_latency_p95_ms,
    )


def sort_results(results: Sequence[DeviceResult]) -> Heard | None:
    """Who said what, of the two models that stood against each other last; None: none did.

    `results` are in the order of their arrival.
    """
    for result in reversed(results):
        if shadow := result.payload.get("shadow"):
            return _shadowed(results, result.model_version, str(shadow["model_version"]))
        if result.payload.get("variant") == "challenger":
            return _split(results, result.model_version)
    return None


def compare(
    thing: str, since: str, heard: Heard | None, limits: VariantLimits
) -> VariantComparison:
    """Set both models side by side, and say which one to take, or that it cannot be said yet."""
    if heard is None or not heard.champion or not heard.challenger:
        reason = f"no challenger answered on {thing} since {since}"
        return VariantComparison(
            thing, since, "off", None, None, None, {}, None, "more data", reason
        )
    champion = _side(heard.champion_version, heard.champion)
    challenger = _side(heard.challenger_version, heard.challenger)
    agreement, confusion = None, {}
    if heard.paired:
        pairs = _pairs(heard)
        gain = paired_gain([theirs.score - ours.score for ours, theirs in pairs])
        agreement = agreement_of([ours.label == theirs.label for ours, theirs in pairs])
        confusion = _confusion(pairs)
    else:
        gain = unpaired_gain(_scores(heard.champion), _scores(heard.challenger))
    recommendation, reason = recommend(champion, challenger, agreement, gain, limits)
    mode = "shadow" if heard.paired else "split"
    return VariantComparison(
        thing, since, mode, champion, challenger, agreement, confusion, gain, recommendation, reason
    )


def recommend(
    champion: Side,
    challenger: Side,
    agreement: Estimate | None,
    gain: Estimate,
    limits: VariantLimits,
) -> tuple[Recommendation, str]:
    """Hold what was measured against the limits.

    Where both surely give other answers, less confidence than the champion's is not allowed,
    whatever `min_gain` says: nobody knows who is right, and the champion has been judged.
    """
    pictures = min(champion.pictures, challenger.pictures)
    if pictures < limits.min_pictures:
        reason = f"{pictures} different pictures each, and {limits.min_pictures} are needed"
        return "more data", reason
    p95 = challenger.latency_ms["p95"]
    if p95 > limits.max_latency_p95_ms:
        reason = f"the challenger takes {p95:.1f} ms (p95), {limits.max_latency_p95_ms:g} allowed"
        return "champion", reason
    differs = agreement is not None and agreement.high < limits.min_agreement
    needed = max(0.0, limits.min_gain) if differs else limits.min_gain
    told = f"its confidence is {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    told += f", {needed:+.3f} is needed"
    if differs and agreement is not None:
        told += f"; they agree on {agreement.value:.1%} of the pictures only"
    if gain.low >= needed:
        return "challenger", f"the challenger is good enough: {told}"
    if gain.high < needed:
        return "champion", f"the challenger is not as good: {told}"
    return "more data", f"it could go either way: {told}"


def agreement_of(agrees: Sequence[bool]) -> Estimate:
    """The share that agrees, with Wilson's interval (E. B. Wilson, 1927): it holds near 1, too."""
    count, share = len(agrees), sum(agrees) / len(agrees)
    spread = 1 + _Z**2 / count
    middle = (share + _Z**2 / (2 * count)) / spread
    half = _Z / spread * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def paired_gain(differences: Sequence[float]) -> Estimate:
    """The mean of differences of the same picture, with its normal interval."""
    return _around(fmean(differences), _variance(differences) / len(differences))


def unpaired_gain(champion: Sequence[float], challenger: Sequence[float]) -> Estimate:
    """The difference of two means of different pictures, with Welch's variance of it."""
    spread = _variance(champion) / len(champion) + _variance(challenger) / len(challenger)
    return _around(fmean(challenger) - fmean(champion), spread)


def _around(value: float, spread: float) -> Estimate:
    half = _Z * math.sqrt(spread)
    return Estimate(value, value - half, value + half)


def _variance(values: Sequence[float]) -> float:
    """Of one value nothing is known: what is known is that both lie within 0 and 1."""
    return variance(values) if len(values) > 1 else 1.0


def _shadowed(results: Iterable[DeviceResult], champion: str, challenger: str) -> Heard:
    said = [
        (result.image_id, _opinion(result), _shadow(result.payload["shadow"]))
        for result in results
        if result.model_version == champion
        and result.payload.get("shadow")
        and result.payload["shadow"]["model_version"] == challenger
    ]
    return Heard(
        paired=True,
        champion_version=champion,
        challenger_version=challenger,
        champion=tuple((image_id, ours) for image_id, ours, _ in said),
        challenger=tuple((image_id, theirs) for image_id, _, theirs in said),
    )


def _split(results: Sequence[DeviceResult], challenger: str) -> Heard:
    """From the challenger's first answer on: before, the champion saw all pictures alone."""
    is_theirs = [
        result.payload.get("variant") == "challenger" and result.model_version == challenger
        for result in results
    ]
    during = results[is_theirs.index(True) :]
    ours = [result for result in during if result.payload.get("variant") == "champion"]
    champion = ours[-1].model_version if ours else ""
    return Heard(
        paired=False,
        champion_version=champion,
        challenger_version=challenger,
        champion=tuple((r.image_id, _opinion(r)) for r in ours if r.model_version == champion),
        challenger=tuple(
            (result.image_id, _opinion(result))
            for result, theirs in zip(results, is_theirs, strict=True)
            if theirs
        ),
    )


def _opinion(result: DeviceResult) -> Opinion:
    return Opinion(result.label, result.score, result.latency_ms)


def _shadow(shadow: Mapping[str, Any]) -> Opinion:
    return Opinion(str(shadow["label"]), float(shadow["score"]), float(shadow["latency_ms"]))


def _pairs(heard: Heard) -> list[tuple[Opinion, Opinion]]:
    """Both opinions of each different picture: the first ones."""
    both = zip(heard.champion, heard.challenger, strict=True)
    found: dict[str, tuple[Opinion, Opinion]] = {}
    for (image_id, ours), (_, theirs) in both:
        found.setdefault(image_id, (ours, theirs))
    return list(found.values())


def _distinct(said: Iterable[tuple[str, Opinion]]) -> list[Opinion]:
    found: dict[str, Opinion] = {}
    for image_id, opinion in said:
        found.setdefault(image_id, opinion)
    return list(found.values())


def _scores(said: Iterable[tuple[str, Opinion]]) -> list[float]:
    return [opinion.score for opinion in _distinct(said)]


def _side(version: str, said: Sequence[tuple[str, Opinion]]) -> Side:
    distinct = _distinct(said)
    p50, p95 = np.percentile([opinion.latency_ms for _, opinion in said], [50, 95])
    return Side(
        model_version=version,
        pictures=len(distinct),
        answers=len(said),
        mean_confidence=fmean(opinion.score for opinion in distinct),
        labels=dict(Counter(opinion.label for opinion in distinct).most_common()),
        latency_ms={"p50": float(p50), "p95": float(p95)},
    )


def _confusion(pairs: Iterable[tuple[Opinion, Opinion]]) -> dict[str, dict[str, int]]:
    counted: dict[str, Counter[str]] = {}
    for ours, theirs in pairs:
        counted.setdefault(ours.label, Counter())[theirs.label] += 1
    return {label: dict(others.most_common()) for label, others in sorted(counted.items())}
