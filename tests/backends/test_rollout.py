"""Who is notified when, and when a rollout stops: with given times, so that nothing is waited for.

What would break for a user: a bad version would reach more devices than the rate allows.
"""

from typing import Any

import pytest

from backends.deployment_terms import AbortConfig, RolloutConfig
from backends.local.rollout import Status, Turn, counts, rate_per_minute, reason_to_abort, turn


def config(**given: Any) -> RolloutConfig:
    return RolloutConfig.model_validate(given)


def growing(
    base: int, factor: float, maximum: int | None = None, **criterion: int
) -> RolloutConfig:
    return config(
        maximumPerMinute=maximum,
        exponentialRate={
            "baseRatePerMinute": base,
            "incrementFactor": factor,
            "rateIncreaseCriteria": criterion,
        },
    )


def play(rollout: RolloutConfig, things: int, until: float, tick: float = 0.1) -> list[float]:
    """When each thing is notified, if the driver looks once in each `tick` seconds."""
    times: list[float] = []
    next_at, now = 0.0, 1000.0
    while now - 1000 <= until:
        due = turn(rollout, things - len(times), len(times), len(times), next_at, now)
        times += [now - 1000] * due.count
        next_at = due.next_at
        now += tick
    return times


def abort(percent: float, least: int, kind: str = "ALL") -> AbortConfig:
    criterion = {
        "failureType": kind,
        "action": "CANCEL",
        "thresholdPercentage": percent,
        "minNumberOfExecutedThings": least,
    }
    return AbortConfig.model_validate({"criteriaList": [criterion]})


def test_without_a_rate_everything_is_notified_at_once() -> None:
    assert turn(config(), 200, 0, 0, 0, 1000) == Turn(200, 1000)


def test_a_rate_spaces_the_things_evenly_and_begins_at_once() -> None:
    times = play(config(maximumPerMinute=6), things=20, until=59)

    assert [round(time) for time in times] == [0, 10, 20, 30, 40, 50]


@pytest.mark.parametrize("rate", [1, 7, 60, 1000])
def test_no_minute_has_more_than_the_rate(rate: int) -> None:
    times = play(config(maximumPerMinute=rate), things=5000, until=180)

    assert len(times) >= 2.9 * rate
    fullest = max(sum(first <= time < first + 60 for time in times) for first in times[::7])
    assert fullest <= rate + 1 + rate // 60  # a look sees what became due since the last one


def test_a_rate_grows_with_the_things_that_were_notified() -> None:
    rates = [
        rate_per_minute(growing(5, 2, numberOfNotifiedThings=10), notified, 0)
        for notified in (0, 9, 10, 29, 30)
    ]

    assert rates == [5, 5, 10, 20, 40]


def test_a_rate_that_waits_for_successes_does_not_grow_without_them() -> None:
    rollout = growing(5, 3, numberOfSucceededThings=10)

    assert rate_per_minute(rollout, 1000, 9) == 5
    assert rate_per_minute(rollout, 1000, 20) == 45


@pytest.mark.parametrize(
    ("notified", "succeeded", "rate"),
    [(9, 4, 5), (10, 4, 10), (9, 5, 10), (20, 5, 20), (10, 15, 40)],
)
def test_of_two_criteria_the_one_that_is_reached_first_counts(
    notified: int, succeeded: int, rate: float
) -> None:
    rollout = growing(5, 2, numberOfNotifiedThings=10, numberOfSucceededThings=5)

    assert rate_per_minute(rollout, notified, succeeded) == rate


def test_a_rate_grows_up_to_the_maximum_and_never_above_a_thousand() -> None:
    assert rate_per_minute(growing(5, 5, 30, numberOfNotifiedThings=1), 100, 0) == 30
    assert rate_per_minute(growing(5, 5, numberOfNotifiedThings=1), 10**9, 0) == 1000


def test_a_cloud_side_that_was_away_does_not_make_up_for_it_in_a_burst() -> None:
    due = turn(config(maximumPerMinute=60), 100, 10, 0, next_at=1000, now=5000)

    assert due.count == 2
    assert due.next_at > 5000


def test_nobody_is_notified_before_their_turn() -> None:
    assert turn(config(maximumPerMinute=1), 5, 1, 0, next_at=1060, now=1059) == Turn(0, 1060)


@pytest.mark.parametrize(
    ("statuses", "stops"),
    [
        pytest.param("FF", False, id="too-few-have-ended"),
        pytest.param("FFSSS", True, id="the-limit-is-met"),
        pytest.param("FFSSSS", False, id="below-the-limit"),
        pytest.param("FFIIIQQQ", False, id="those-in-progress-do-not-count"),
        pytest.param("FRTCC", True, id="any-kind-of-failure-counts-and-cancelled-does-not"),
        pytest.param("SSSSS", False, id="nothing-failed"),
    ],
)
def test_a_rollout_stops_when_too_many_of_the_executed_things_fail(
    statuses: str, stops: bool
) -> None:
    letters = {status.value[0]: status for status in Status if status is not Status.SUCCEEDED}
    known = {**letters, "S": Status.SUCCEEDED}

    reason = reason_to_abort(abort(40, 3), [known[letter] for letter in statuses])

    assert bool(reason) is stops


def test_a_criterion_for_one_kind_of_failure_ignores_the_others() -> None:
    statuses = [Status.FAILED, Status.FAILED, Status.TIMED_OUT]

    assert reason_to_abort(abort(50, 1, "TIMED_OUT"), statuses) == ""
    assert "2 of 3 executed things FAILED" in reason_to_abort(abort(50, 1, "FAILED"), statuses)


def test_the_reason_to_stop_names_figures_and_limit() -> None:
    assert reason_to_abort(abort(20, 1), [Status.FAILED, Status.SUCCEEDED]) == (
        "1 of 2 executed things did not succeed; the limit is 20 %"
    )


def test_only_statuses_that_occur_are_counted() -> None:
    found = counts({"a": Status.FAILED, "b": Status.QUEUED, "c": Status.FAILED})

    assert found == {"QUEUED": 1, "FAILED": 2}
