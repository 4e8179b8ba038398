"""Holds a new model against the one before it: the same device, the same kind of pictures.

Chance is taken out of every difference (tasks/effect_sizes.py). Where the pictures themselves have
moved, a change of what the model says of them proves nothing against the model.
"""

import math
from collections.abc import Mapping

from edge.contract import OTHER_LABELS
from edge.statistics import PICTURE_FEATURES, Distribution, Summary
from tasks.business_understanding import QualityTargets, Targets
from tasks.device_comparison import measure, monitor_limits
from tasks.drift.baseline import Baseline
from tasks.effect_sizes import jensen_shannon, population_stability, surprise
from tasks.quality.report import QualityCheck
from tasks.quality.telemetry import BeforeAndAfter
from tasks.quality.verdicts import Judged
from tasks.variant_comparison import VariantComparison, agreement_of

CONFIDENCE = "quality.confidence"
LABELS = "quality.labels"
AGREEMENT = "quality.agreement"
DENIED = "quality.denied-alerts"
OF_PICTURES = "input."
"""How the checks of the monitor begin that judge pictures, and no answers."""
COMPARISONS = 4
"""Of the four, any can take a model back: each is tested the more strictly."""


def judge_telemetry(
    seen: BeforeAndAfter, drifted: str, targets: Targets
) -> tuple[QualityCheck, QualityCheck]:
    """Mean confidence and label mix, before and after.

    `drifted` says what `drift_before` found: a model that is sure of such pictures may be wrong, so
    neither its confidence nor its labels are a yardstick.
    """
    before, after = seen.before, seen.after
    limits = targets.quality
    limit = (limits.max_confidence_drop, limits.max_label_shift)
    if (missing := _missing(before, after, limits)) or before is None or after is None:
        return _open(CONFIDENCE, limit[0], missing), _open(LABELS, limit[1], missing)
    if moved := _moved(before, after, targets.drift.max_psi):
        told = f"the pictures changed with the model: {moved}"
        return _open(CONFIDENCE, limit[0], told), _open(LABELS, limit[1], told)
    if drifted:
        return _open(CONFIDENCE, limit[0], drifted), _open(LABELS, limit[1], drifted)
    return _confidence(before, after, limit[0]), _labels(before, after, limit[1])


def drift_before(seen: BeforeAndAfter, baseline: Baseline | None, targets: Targets) -> str:
    """Why what the former model said is no yardstick; empty: it is one.

    `baseline` is the former model's: where the device had drifted from it, other answers than its
    own are what the new model is there for.
    """
    before = seen.before
    if before is None or baseline is None or not before.count:
        return ""
    found = measure(baseline, before, monitor_limits(targets))
    moved = [one.says for one in found if one.check.startswith(OF_PICTURES) and one.broken]
    if not moved:
        return ""
    told = "; ".join(moved)
    return f"the former model's answers are no yardstick, its pictures had drifted: {told}"


def judge_agreement(
    compared: VariantComparison | None, drifted: str, limits: QualityTargets
) -> QualityCheck | None:
    """How often both call the same picture alike; None where no shadow was asked for."""
    if compared is None:
        return None
    if drifted:
        return _open(AGREEMENT, limits.min_agreement, drifted)
    champion, agreement = compared.champion, compared.agreement
    if champion is None or agreement is None or champion.pictures < limits.min_samples:
        had = champion.pictures if champion else 0
        few = f"{had} different pictures in shadow, and {limits.min_samples} are needed"
        return _open(AGREEMENT, limits.min_agreement, few)
    says = (
        f"both models call {agreement.value:.0%} of {champion.pictures} pictures alike "
        f"({agreement.low:.0%} to {agreement.high:.0%})"
    )
    passed = agreement.high >= limits.min_agreement
    high = round(agreement.high, 4)
    return QualityCheck(AGREEMENT, passed, None, agreement.value, high, limits.min_agreement, says)


def judge_alerts(before: Judged, after: Judged, limits: QualityTargets) -> QualityCheck:
    """The share of alerts that people denied, of those that they judged."""
    limit = limits.max_denied_share
    if not after.count:
        return _open(DENIED, limit, "no alert of the new model was confirmed or denied")
    share = agreement_of([True] * after.denied + [False] * after.confirmed)
    was = before.denied / before.count if before.count else None
    told_before = f", {before.denied} of {before.count} before" if before.count else ""
    says = f"{after.denied} of {after.count} judged alerts were denied{told_before}"
    crossed = share.low > limit and share.low > (was or 0.0)
    return QualityCheck(
        DENIED, not crossed, was, round(share.value, 4), round(share.low, 4), limit, says
    )


def _confidence(before: Summary, after: Summary, limit: float) -> QualityCheck:
    was, is_now = before.features["confidence"], after.features["confidence"]
    drop = _drop(was, is_now, before.distinct, after.distinct)
    says = f"mean confidence {_number(was.mean)} before, {_number(is_now.mean)} now"
    return QualityCheck(
        CONFIDENCE, drop <= limit, was.mean, is_now.mean, round(drop, 4), limit, says
    )


def _drop(before: Distribution, now: Distribution, n: int, m: int) -> float:
    """How much lower the mean surely is; 0 where chance could have done it."""
    if before.mean is None or now.mean is None or before.std is None or now.std is None:
        return 0.0
    drop = before.mean - now.mean
    error = math.sqrt(before.std**2 / n + now.std**2 / m)
    return max(0.0, drop - 2 * error) if drop > surprise(COMPARISONS) * error else 0.0


def _labels(before: Summary, after: Summary, limit: float) -> QualityCheck:
    shift = _distance(before, after)
    says = f"{_biggest_move(before.labels, after.labels)}; {shift:.3f} bits"
    return QualityCheck(LABELS, shift <= limit, None, None, round(shift, 4), limit, says)


def _distance(before: Summary, after: Summary) -> float:
    held, holds = _counts(before.labels, after.labels)
    if not any(held) or not any(holds):
        return 0.0
    different = before.distinct, after.distinct
    return jensen_shannon(held, holds, COMPARISONS, different).size


def _counts(one: Mapping[str, int], other: Mapping[str, int]) -> tuple[list[int], list[int]]:
    labels = sorted({*one, *other, OTHER_LABELS})
    return [one.get(name, 0) for name in labels], [other.get(name, 0) for name in labels]


def _biggest_move(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    n, m = sum(before.values()) or 1, sum(after.values()) or 1
    moves = {name: after.get(name, 0) / m - before.get(name, 0) / n for name in {*before, *after}}
    if not moves:
        return "no labels"
    name = max(sorted(moves), key=lambda each: abs(moves[each]))
    return f"{name} {before.get(name, 0) / n:.0%} before, {after.get(name, 0) / m:.0%} now"


def _missing(before: Summary | None, after: Summary | None, limits: QualityTargets) -> str:
    for seen, who in ((after, "the new model"), (before, "the former model")):
        had = seen.distinct if seen else 0
        if had < limits.min_samples:
            return f"{who} saw {had} different pictures, and {limits.min_samples} are needed"
    return ""


def _moved(before: Summary, after: Summary, limit: float) -> str:
    """Which statistic of the pictures moved by more than drift's limit; empty: none."""
    told = []
    for name in PICTURE_FEATURES:
        old, new = before.features[name], after.features[name]
        different = before.distinct, after.distinct
        effect = population_stability(old.bins, new.bins, len(PICTURE_FEATURES), different)
        if effect.size > limit:
            told.append(f"{name} {_number(old.mean)} before, {_number(new.mean)} now")
    return "; ".join(told)


def _open(name: str, limit: float, reason: str) -> QualityCheck:
    return QualityCheck(name, None, None, None, None, limit, reason)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
