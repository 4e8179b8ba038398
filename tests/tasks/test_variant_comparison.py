"""What is recommended of two models, and on how much; each recommendation is shown to occur."""

import random
from typing import Any

import pytest

from backends.artifacts import DeviceResult
from tasks.business_understanding import Targets
from tasks.variant_comparison import (
    VariantComparison,
    VariantLimits,
    agreement_of,
    compare,
    paired_gain,
    sort_results,
    unpaired_gain,
    variant_limits,
)

LIMITS = VariantLimits(min_pictures=100, max_latency_p95_ms=50)


def said(
    number: int,
    label: str,
    score: float,
    variant: str = "champion",
    version: str = "1.0.0",
    latency_ms: float = 1.0,
    shadow: dict[str, Any] | None = None,
) -> DeviceResult:
    payload: dict[str, Any] = {"variant": variant}
    if shadow:
        payload["shadow"] = shadow
    return DeviceResult(
        "hub-1", version, f"picture-{number}", label, score, latency_ms, "", payload
    )


def shadowed(
    pictures: int, gain: float, differing: int = 0, noise: float = 0.02, latency_ms: float = 2.0
) -> list[DeviceResult]:
    """A champion's results with the challenger's shadow: surer by `gain`, and noisy about it."""
    draw = random.Random(3)
    results = []
    for number in range(pictures):
        score = draw.uniform(0.6, 0.8)
        shadow = {
            "model_version": "1.0.1",
            "label": "dog" if number < differing else "cat",
            "score": score + gain + draw.gauss(0, noise),
            "latency_ms": latency_ms,
        }
        results.append(said(number, "cat", score, shadow=shadow))
    return results


def split(pictures: int, gain: float) -> list[DeviceResult]:
    """Every fifth picture is the challenger's."""
    draw = random.Random(4)
    results = []
    for number in range(pictures):
        score = draw.gauss(0.7, 0.05)
        if number % 5 == 0:
            results.append(said(number, "dog", score + gain, "challenger", "1.0.1", 3.0))
        else:
            results.append(said(number, "cat", score))
    return results


def judged(results: list[DeviceResult], limits: VariantLimits = LIMITS) -> VariantComparison:
    return compare("hub-1", "2026-11-22T00:00:00+00:00", sort_results(results), limits)


@pytest.mark.parametrize(
    ("results", "recommendation", "reason"),
    [
        pytest.param(
            shadowed(99, 0.1), "more data", "99 different pictures each", id="too few pictures"
        ),
        pytest.param(shadowed(200, 0.0), "challenger", "good enough", id="the same"),
        pytest.param(shadowed(200, -0.1), "champion", "not as good", id="less sure"),
        pytest.param(shadowed(200, -0.02, noise=0.1), "more data", "either way", id="on the fence"),
        pytest.param(shadowed(200, 0.1, latency_ms=51), "champion", "takes 51.0 ms", id="too slow"),
        pytest.param(
            shadowed(200, -0.01, differing=40),
            "champion",
            "they agree on 80.0%",
            id="other answers, and no surer",
        ),
        pytest.param(
            shadowed(200, 0.1, differing=40), "challenger", "80.0%", id="other answers, and surer"
        ),
        pytest.param(split(600, 0.1), "challenger", "good enough", id="split, surer"),
        pytest.param(split(600, -0.1), "champion", "not as good", id="split, less sure"),
        pytest.param(split(400, 0.1), "more data", "80 different", id="split, a small share"),
        pytest.param([said(1, "cat", 0.9)], "more data", "no challenger answered", id="none"),
        pytest.param([], "more data", "no challenger answered", id="silence"),
    ],
)
def test_a_model_is_recommended_for_a_reason(
    results: list[DeviceResult], recommendation: str, reason: str
) -> None:
    comparison = judged(results)

    assert comparison.recommendation == recommendation, comparison.reason
    assert reason in comparison.reason


def test_the_same_picture_counts_once_and_its_latency_each_time() -> None:
    """A camera before a still scene would otherwise prove anything within minutes."""
    comparison = judged(shadowed(10, 0.1) * 50)

    assert comparison.recommendation == "more data"
    assert comparison.champion is not None
    assert (comparison.champion.pictures, comparison.champion.answers) == (10, 500)


def test_shadows_are_paired_and_the_confusion_names_both_labels() -> None:
    comparison = judged(shadowed(200, 0.05, differing=30))

    assert comparison.mode == "shadow"
    assert comparison.confusion == {"cat": {"cat": 170, "dog": 30}}
    assert comparison.agreement is not None
    assert comparison.agreement.value == 0.85
    assert comparison.confidence_gain is not None
    assert comparison.confidence_gain.value == pytest.approx(0.05, abs=0.005)
    assert comparison.challenger is not None
    assert comparison.challenger.latency_ms == {"p50": 2.0, "p95": 2.0}


def test_in_split_mode_there_is_nothing_to_agree_on() -> None:
    comparison = judged(split(600, 0.0))

    assert comparison.mode == "split"
    assert (comparison.agreement, comparison.confusion) == (None, {})
    assert comparison.champion is not None
    assert comparison.challenger is not None
    assert comparison.champion.labels == {"cat": 480}
    assert comparison.challenger.labels == {"dog": 120}


def test_only_the_two_that_stood_against_each_other_last_are_compared() -> None:
    """An earlier challenger, an earlier champion and the time without any do not count."""
    earlier = [said(n, "cat", 0.1, version="0.9.0") for n in range(50)]
    former = [
        said(n, "cat", 0.1, shadow={**result.payload["shadow"], "model_version": "0.9.9"})
        for n, result in enumerate(shadowed(50, 0.0))
    ]
    alone = [said(n, "cat", 0.1) for n in range(1000, 1050)]

    comparison = judged([*earlier, *former, *alone, *shadowed(120, 0.0)])

    assert comparison.champion is not None
    assert comparison.challenger is not None
    assert (comparison.champion.model_version, comparison.challenger.model_version) == (
        "1.0.0",
        "1.0.1",
    )
    assert comparison.champion.answers == 120


def test_before_the_split_began_the_champion_s_answers_do_not_count() -> None:
    alone = [said(n, "cat", 0.1) for n in range(1000, 1050)]

    comparison = judged([*alone, *split(600, 0.0)])

    assert comparison.champion is not None
    assert comparison.champion.answers == 480


def test_wilson_s_interval_is_the_published_one() -> None:
    """Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263 and 15 of 148."""
    some = agreement_of([True] * 81 + [False] * 182)
    few = agreement_of([True] * 15 + [False] * 133)

    assert (round(some.low, 4), round(some.high, 4)) == (0.2553, 0.3662)
    assert (round(few.low, 4), round(few.high, 4)) == (0.0624, 0.1605)


def test_pairing_finds_a_small_gain_that_unpaired_pictures_hide() -> None:
    draw = random.Random(5)
    ours = [draw.uniform(0.3, 0.9) for _ in range(200)]
    theirs = [score + 0.01 + draw.gauss(0, 0.005) for score in ours]

    paired = paired_gain([b - a for a, b in zip(ours, theirs, strict=True)])
    unpaired = unpaired_gain(ours, theirs)

    assert paired.low > 0
    assert unpaired.low < 0 < unpaired.high


def test_the_intervals_hold_the_truth_as_often_as_they_say() -> None:
    draw = random.Random(6)
    held = {"paired": 0, "unpaired": 0}
    for _ in range(400):
        one = [draw.gauss(0.5, 0.1) for _ in range(60)]
        other = [draw.gauss(0.55, 0.2) for _ in range(40)]
        estimate = unpaired_gain(one, other)
        held["unpaired"] += estimate.low <= 0.05 <= estimate.high
        estimate = paired_gain([draw.gauss(0.02, 0.1) for _ in range(60)])
        held["paired"] += estimate.low <= 0.02 <= estimate.high

    assert all(0.92 <= times / 400 <= 0.98 for times in held.values()), held


def test_the_limits_are_those_of_the_targets() -> None:
    targets = Targets.model_validate(
        {
            "accuracy": {"min_champion_gain": 0.01},
            "parity": {"min_top1_agreement": 0.9},
            "device": {"max_latency_p95_ms": 7},
            "drift": {"min_samples": 5},
        }
    )

    assert variant_limits(targets) == VariantLimits(
        min_pictures=5, min_agreement=0.9, min_gain=0.01, max_latency_p95_ms=7
    )
