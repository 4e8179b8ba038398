"""Whether to train again: each guard refuses with its reason, and says when to look again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backends.sources.collected import Collected
from tasks.business_understanding import RetrainingTargets
from tasks.retraining.deciding import Situation, Try, due, judge, words

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
READY = Situation(
    now=NOW,
    episode="e-1",
    champion="3",
    known=frozenset({"old"}),
    collected=Collected({"old": {"car": 200}, "night": {"car": 40, "cat": 20}}, {}, 20),
    tries=(),
    usd=1.0,
)
LIMITS = RetrainingTargets()


def tried(days: float = 30, status: str = "refused", **other: object) -> Try:
    one = Try("r", NOW - timedelta(days=days), "e-1", "3", ("other",), status, 1.0)
    return replace(one, **other)  # type: ignore[arg-type]


def refusing(situation: Situation, limits: RetrainingTargets = LIMITS) -> list[str]:
    return [guard.name for guard in judge(situation, limits) if not guard.passed]


def test_all_guards_let_pass_what_is_called_for() -> None:
    assert refusing(READY) == []
    assert READY.new_labels == 60, "pictures that the champion knows are no news"


@pytest.mark.parametrize(
    ("change", "guard", "says"),
    [
        pytest.param(
            {"collected": Collected({"night": {"car": 49}}, {"deer": 7}, 20)},
            "labels",
            "49 newly labelled pictures, and 50 are needed (new classes that wait: deer with 7",
            id="few-labels",
        ),
        pytest.param(
            {"tries": (tried(), tried())}, "failed-tries", "a person is needed", id="failed-twice"
        ),
        pytest.param(
            {"tries": (tried(batches=("night", "old")),)},
            "something-new",
            "tried just this and was refused; label more",
            id="the-same-again",
        ),
        pytest.param(
            {"tries": (tried(days=0.5, status="deployed"),)},
            "cool-down",
            "began 12.0 hours ago, of 24",
            id="cool-down",
        ),
        pytest.param(
            {"tries": tuple(tried(days=n, status="deployed") for n in (6, 4, 2))},
            "week",
            "3 retrainings in seven days, of at most 3",
            id="week",
        ),
        pytest.param({"usd": 20.5}, "budget", "20.50 to come, of 20", id="budget"),
    ],
)
def test_each_guard_refuses_alone_and_says_why(
    change: dict[str, object], guard: str, says: str
) -> None:
    situation = replace(READY, **change)  # type: ignore[arg-type]

    assert refusing(situation) == [guard]
    assert says in words(judge(situation, LIMITS))


def test_tries_that_failed_in_another_episode_do_not_stop_this_one() -> None:
    before = tuple(tried(episode="e-0") for _ in range(5))

    assert refusing(replace(READY, tries=before)) == []


def test_without_an_episode_those_since_the_last_deployed_count() -> None:
    failed = (tried(), tried())
    ended = (*failed, tried(status="deployed"))

    assert refusing(replace(READY, episode="", tries=failed)) == ["failed-tries"]
    assert refusing(replace(READY, episode="", tries=ended)) == []


def test_where_only_time_is_missing_it_says_until_when() -> None:
    cooling = replace(READY, tries=(tried(days=0.5, status="deployed"),))
    unlabelled = replace(cooling, collected=Collected({}, {}, 20))

    assert due(judge(cooling, LIMITS)) == (NOW + timedelta(hours=12)).isoformat()
    assert due(judge(unlabelled, LIMITS)) == "", "waiting brings no labels"
    assert due(judge(READY, LIMITS)) == ""


def test_after_a_week_a_try_is_forgotten() -> None:
    tries = tuple(tried(days=n, status="deployed") for n in (6.5, 4, 2))
    busy = judge(replace(READY, tries=tries), LIMITS)

    assert due(busy) == (NOW + timedelta(days=0.5)).isoformat()
    assert refusing(replace(READY, tries=tries, now=NOW + timedelta(days=0.6))) == []
