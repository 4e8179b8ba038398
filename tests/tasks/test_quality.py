"""Whether a new model does worse than the one before it on the same device, and what then."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.artifacts import DeviceResult, PastDeployment
from backends.errors import InvalidInputError
from edge.contract import MODEL_COMPONENT
from edge.statistics import Summary
from tasks.business_understanding import QualityTargets, Targets, parse_targets
from tasks.quality.deployments import Unwatched, Watched, watched_deployment, way_back
from tasks.quality.judging import drift_before, judge_agreement, judge_alerts, judge_telemetry
from tasks.quality.rollbacks import decide, judge_version, rollbacks_of, rolled_back
from tasks.quality.telemetry import BeforeAndAfter, read_telemetry
from tasks.quality.verdicts import (
    Judged,
    alert_id,
    count_verdicts,
    find_alert,
    give_verdict,
    verdict_on,
)
from tasks.variant_comparison import VariantLimits, compare, sort_results
from tests.tasks.windows import NOON, knows, seen, store, stored

BEGAN = NOON + timedelta(hours=10)
OLD, NEW = "1.0.0", "1.0.1"


def watched(**targets: Any) -> Watched:
    quality = {"min_samples": 100, **targets}
    return Watched(
        thing="hub-1",
        run="run-2",
        model_version=NEW,
        former_version=OLD,
        began=BEGAN,
        ended=BEGAN + timedelta(minutes=5),
        targets=parse_targets({"quality": quality}, "here"),
    )


def after(count: int = 200, **more: Any) -> Summary:
    return seen(count, seed=3, model_version=NEW, hour=11, **more)


def judged(now: Summary | None, before: Summary | None = None, **quality: Any) -> dict[str, Any]:
    targets = parse_targets({"quality": quality}, "here")
    both = BeforeAndAfter(before or seen(200), now)
    drifted = drift_before(both, knows(seen(400, seed=9)), targets)
    checks = judge_telemetry(both, drifted, targets)
    return {check.name: check for check in checks}


def test_a_model_that_is_less_sure_of_the_same_pictures_crosses_the_limit() -> None:
    check = judged(after(confidence=0.6))["quality.confidence"]

    assert check.passed is False
    assert check.measured == pytest.approx(0.25, abs=0.03)
    assert check.measured < check.before - check.after  # chance is taken out
    assert check.reason == "mean confidence 0.852 before, 0.592 now"


def test_a_model_that_is_as_good_passes() -> None:
    checks = judged(after(confidence=0.86))

    assert [check.passed for check in checks.values()] == [True, True]


def test_a_quiet_device_is_left_alone() -> None:
    """200 comparisons of the same model with itself."""
    crossed = [
        check.reason
        for seed in range(200)
        for check in judge_telemetry(
            BeforeAndAfter(
                seen(120, seed=seed), seen(120, seed=1000 + seed, model_version=NEW, hour=11)
            ),
            "",
            Targets.model_validate(
                {"quality": {"max_confidence_drop": 0.01, "max_label_shift": 0.01}}
            ),
        )
        if check.passed is False
    ]

    assert len(crossed) <= 2


def test_a_change_of_the_pictures_themselves_is_not_the_models_fault() -> None:
    checks = judged(after(confidence=0.5, brightness=0.15, labels=("car",)))

    assert [check.passed for check in checks.values()] == [None, None]
    assert (
        "the pictures changed with the model: brightness 0.492" in checks["quality.labels"].reason
    )


@pytest.mark.parametrize(
    ("now", "before", "reason"),
    [
        (None, None, "the new model saw 0 different pictures, and 100 are needed"),
        (after(40, confidence=0.2), None, "the new model saw 4"),
        (after(confidence=0.2), seen(30), "the former model saw 3"),
        (after(5, confidence=0.2, repeated=100), None, "the new model saw 5 different"),
    ],
    ids=["nothing", "few", "few before", "a still camera"],
)
def test_too_few_pictures_are_not_judged(
    now: Summary | None, before: Summary | None, reason: str
) -> None:
    checks = judged(now, before, min_samples=100)

    assert [check.passed for check in checks.values()] == [None, None]
    assert reason in checks["quality.confidence"].reason


def test_a_model_that_calls_everything_the_same_crosses_the_limit() -> None:
    check = judged(after(labels=("car",)))["quality.labels"]

    assert check.passed is False
    assert check.reason.startswith("car 2")


def test_what_a_model_said_of_pictures_that_it_never_knew_is_no_yardstick() -> None:
    """At night the former model called all of it a car; the new one was trained on the night."""
    night = seen(200, brightness=0.15, labels=("car",))

    checks = judged(after(brightness=0.15), night)

    for check in (checks["quality.confidence"], checks["quality.labels"]):
        assert check.passed is None
        assert "no yardstick, its pictures had drifted" in check.reason
        assert "brightness" in check.reason


def results(agreeing: int, differing: int) -> Sequence[DeviceResult]:
    return [
        DeviceResult(
            "hub-1",
            NEW,
            f"picture-{number}",
            "cat",
            0.9,
            5.0,
            BEGAN.isoformat(),
            {
                "shadow": {
                    "model_version": OLD,
                    "label": "cat" if number < agreeing else "dog",
                    "score": 0.8,
                    "latency_ms": 4.0,
                }
            },
        )
        for number in range(agreeing + differing)
    ]


@pytest.mark.parametrize(
    ("agreeing", "differing", "passed"),
    [(190, 10, True), (40, 160, False), (15, 15, None)],
)
def test_two_models_that_disagree_in_shadow_cross_the_limit(
    agreeing: int, differing: int, passed: bool | None
) -> None:
    heard = sort_results(results(agreeing, differing))
    compared = compare("hub-1", BEGAN.isoformat(), heard, VariantLimits())

    check = judge_agreement(compared, "", QualityTargets(min_agreement=0.5))

    assert check
    assert check.passed is passed


@pytest.mark.parametrize(
    ("before", "now", "passed"),
    [
        (Judged(10, 1), Judged(1, 12), False),
        (Judged(0, 0), Judged(0, 6), False),
        (Judged(10, 1), Judged(0, 2), True),  # two may be chance
        (Judged(1, 30), Judged(1, 12), True),  # it was no better before
        (Judged(10, 1), Judged(0, 0), None),
    ],
)
def test_alerts_that_people_deny_speak_against_a_model(
    before: Judged, now: Judged, passed: bool | None
) -> None:
    assert judge_alerts(before, now, QualityTargets()).passed is passed


def test_windows_are_of_the_model_and_near_to_the_deployment_and_each_counts_once(
    home: Path,
) -> None:
    near, far = seen(120, 1, hour=8), seen(500, 2, hour=1, confidence=0.2)
    store(home, far, near, near)
    store(home, after(100), after(100), seen(100, 5, model_version="9.9.9", hour=11), "no window")
    store(home, seen(100, 6, model_version=NEW, hour=2))  # it ran before already, some other time

    found = read_telemetry(stored(home), watched())

    assert found.before
    assert found.after
    assert (found.before.count, found.after.count) == (120, 100)


def test_windows_of_after_the_watch_do_not_count(home: Path) -> None:
    store(home, after(100))

    assert read_telemetry(stored(home), watched(watch_hours=0.5)).after is None
    assert read_telemetry(stored(home), watched(watch_hours=24)).after


def past(version: str, hour: float, **merge: object) -> PastDeployment:
    at = (NOON + timedelta(hours=hour)).isoformat()
    return PastDeployment(at, {MODEL_COMPONENT: version, "other": "1.0.0"}, {"other": merge})


def shipped(home: Path, run: str, version: str, began: datetime, status: str = "deployed") -> None:
    record = {
        "run_id": run,
        "thing": "hub-1",
        "status": status,
        "model_version": version,
        "deployment": {"began_at": began.isoformat()},
        "ended_at": (began + timedelta(minutes=5)).isoformat(),
        "targets": {"quality": {"watch_hours": 2}},
    }
    (home / "runs" / run).mkdir(parents=True)
    (home / "runs" / run / "run.json").write_text(json.dumps(record))


def test_what_is_watched_is_the_newest_deployment_against_what_ran_before_it(home: Path) -> None:
    shipped(home, "run-1", OLD, NOON)
    shipped(home, "run-2", NEW, BEGAN)

    found = watched_deployment(home / "runs", "hub-1", [past(NEW, 10.01), past(OLD, 0.01)])

    assert isinstance(found, Watched)
    assert (found.run, found.model_version, found.former_version) == ("run-2", NEW, OLD)
    assert found.until == BEGAN + timedelta(hours=2, minutes=5)


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ([past("7.0.0", 11), past(NEW, 10.01), past(OLD, 0)], "it runs model 7.0.0"),
        ([past(NEW, 10.01)], "nothing ran before model 1.0.1"),
        ([past(NEW, 10.01), past(NEW, 1)], "model 1.0.1 ran before as well"),
        ([], "it runs model none"),
    ],
)
def test_where_nothing_can_be_compared_it_is_said_why(
    home: Path, history: Sequence[PastDeployment], reason: str
) -> None:
    shipped(home, "run-2", NEW, BEGAN)

    found = watched_deployment(home / "runs", "hub-1", history)

    assert isinstance(found, Unwatched)
    assert reason in found.reason


def test_the_way_back_leads_to_what_ran_before_and_over_what_was_given_back(home: Path) -> None:
    shipped(home, "run-4", "1.0.3", NOON + timedelta(hours=3))
    history = [past("1.0.3", 3), past("1.0.2", 2), past("1.0.1", 1, Key="x"), past("1.0.0", 0)]

    by_default = way_back(home / "runs", "hub-1", history, "", {"1.0.2"})
    chosen = way_back(home / "runs", "hub-1", history, "1.0.0", ())

    assert (by_default.from_version, by_default.to_version) == ("1.0.3", "1.0.1")
    assert (by_default.before, by_default.run) == (history[1].at, "run-4")
    assert by_default.changes == (
        f"{MODEL_COMPONENT}: 1.0.3 -> 1.0.1",
        "other: 1.0.0, configured as it was then",
    )
    assert (chosen.to_version, chosen.before) == ("1.0.0", history[2].at)


@pytest.mark.parametrize(
    ("history", "to", "message"),
    [
        ([], "", "nothing to go back from: it runs no model. Deploy one"),
        ([past(NEW, 1)], "", "nothing to go back to: it ran no other model before"),
        ([past(NEW, 1), past(OLD, 0)], NEW, "runs that version"),
        ([past(NEW, 1), past(OLD, 0)], "5.0.0", "5.0.0 never ran on it: it ran 1.0.0 before"),
        ([past(OLD, 2), past(NEW, 1)], "", "it ran 1.0.1 before. Name one with --to"),
    ],
)
def test_where_there_is_no_way_back_it_is_said_why(
    home: Path, history: Sequence[PastDeployment], to: str, message: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        way_back(home / "runs", "hub-1", history, to, {NEW})

    assert message in str(refused.value)
    assert refused.value.exit_status == 2


def test_a_version_that_was_given_back_is_not_deployed_there_again(home: Path) -> None:
    decide(home, "hub-1", "run-2", (NEW, OLD), BEGAN.isoformat(), "less sure", "edgeward")

    gate = judge_version(home, "hub-1", NEW)

    assert gate.refuses
    assert gate.reason.endswith("UTC: less sure")
    assert judge_version(home, "hub-2", NEW).passed
    assert judge_version(home, "hub-1", OLD).passed
    assert rolled_back(home, "hub-1") == {NEW}


ALERT: Mapping[str, Any] = {
    "thing": "hub-1",
    "model_version": NEW,
    "alert": "child alone",
    "message_id": "3f0c9a12b7",
    "taken_at": "2026-11-22T23:00:00Z",
}


def test_the_same_verdict_twice_is_one_and_another_replaces_it(home: Path) -> None:
    assert give_verdict(home, ALERT, "denied", "Ada")
    assert not give_verdict(home, ALERT, "denied", "Bob")
    assert count_verdicts(home, "hub-1", NEW) == Judged(0, 1)

    assert give_verdict(home, ALERT, "confirmed", "Bob")

    assert verdict_on(home, ALERT) == "confirmed"
    assert count_verdicts(home, "hub-1", NEW) == Judged(1, 0)
    assert count_verdicts(home, "hub-1", OLD) == Judged(0, 0)
    (kept,) = (home / "quality" / "verdicts" / "hub-1").glob("*.json")
    assert [one["by"] for one in json.loads(kept.read_text())["earlier"]] == ["Ada"]


def test_an_alert_is_found_by_how_its_id_begins() -> None:
    other = {**ALERT, "message_id": "3f0c77"}
    nameless = {"thing": "hub-1", "alert": "x"}
    known = [dict(ALERT), other, nameless]

    assert find_alert(known, "3f0c9") == ALERT
    assert find_alert(known, alert_id(nameless)[:8]) == nameless
    with pytest.raises(InvalidInputError, match="several alerts"):
        find_alert(known, "3f0c")
    with pytest.raises(InvalidInputError, match="no such alert"):
        find_alert(known, "beef")
    with pytest.raises(InvalidInputError, match=r"several|no such"):
        find_alert(known, "")


def test_an_id_that_a_device_made_up_writes_nowhere_else(home: Path) -> None:
    give_verdict(home, {**ALERT, "message_id": "../../../evil"}, "denied", "Ada")

    written = list(home.rglob("*.json"))
    assert [path.parent for path in written] == [home / "quality" / "verdicts" / "hub-1"]


def test_a_damaged_record_of_a_rollback_is_told_of_and_never_taken_for_none(home: Path) -> None:
    made = decide(home, "hub-1", "run-2", (NEW, OLD), BEGAN.isoformat(), "less sure", "edgeward")
    (home / "quality" / "rollbacks" / f"{made.id}.json").write_text("{")

    with pytest.raises(InvalidInputError, match="holds no rollback"):
        rollbacks_of(home)
