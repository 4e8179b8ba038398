"""Decisions about retraining on a real Prefect server: kept once, gone on with, told once."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backends.errors import InvalidInputError
from backends.local.example_requests import StoredExample
from backends.settings import PROJECT, Settings, load_settings
from flows.labelling import CollectPlan, ask_for_labels, queue_examples, tell_labelled
from flows.reconsider import waiting
from flows.retrain import RetrainPlan, decide, retrain, tell_if_stopped
from tasks.labelling.answers import Answer, give_answers
from tasks.labelling.finishing import finish_batch
from tasks.recording import INTERRUPTED, Run, note, recorded
from tasks.retraining.decisions import CUT_OFF, Decision, keep_decision, read_decisions, tries
from tests.architecture.effects.retraining import deployed
from tests.flows.test_watch import heard

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

THING = "hub-1"
RUN = "20260201-000000-0001"


@pytest.fixture
def settings(home: Path, tmp_path: Path) -> Settings:
    """Of somebody whose device runs a model."""
    deployed(tmp_path)
    return load_settings()


def said_yes(home: Path, run_id: str, episode: str = "e") -> Decision:
    """A decision to train again; what came of it is in the run's folder."""
    at = datetime.now(UTC).isoformat()
    yes = Decision(
        at, THING, "s", "drift", episode, True, "", (), "1", (run_id,), 60, run_id=run_id
    )
    keep_decision(home, yes)
    return yes


def ended(home: Path, run_id: str, status: str, reason: str = "so it was") -> None:
    with recorded(Run(run_id, home / "runs" / run_id), {"thing": THING}):
        note(Run(run_id, home / "runs" / run_id), status=status, reason=reason)


def test_the_same_request_twice_is_one_decision(settings: Settings, home: Path) -> None:
    for _ in range(2):
        assert retrain(RetrainPlan(cause="drift", episode="hub-1/1")) == ""

    (decision,) = read_decisions(home)
    assert "0 newly labelled pictures, and 50 are needed" in decision.reason
    assert [guard.name for guard in decision.guards if not guard.passed] == ["labels"]


def test_a_decision_whose_run_never_began_is_gone_on_with(settings: Settings, home: Path) -> None:
    yes = said_yes(home, "20260201-000000-0001")

    again = decide(settings, RetrainPlan(cause="labelled"))

    assert again == yes
    assert read_decisions(home) == [yes]
    assert [one.status for one in tries(home, THING)] == [CUT_OFF]


@pytest.mark.parametrize(
    ("status", "reason", "goes_on"),
    [
        pytest.param("failed", INTERRUPTED, True, id="interrupted"),
        pytest.param("failed", "the device is away", False, id="failed"),
        pytest.param("refused", "a gate", False, id="refused"),
        pytest.param("deployed", "", False, id="deployed"),
    ],
)
def test_what_was_cut_off_goes_on_and_what_ended_does_not(
    settings: Settings, home: Path, status: str, reason: str, goes_on: bool
) -> None:
    yes = said_yes(home, "20260201-000000-0001")
    ended(home, yes.run_id, status, reason)

    again = decide(settings, RetrainPlan())

    assert (again == yes) is goes_on


@pytest.fixture
def busy(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is at work on a retraining, RUN."""
    said_yes(home, RUN)
    script = (
        "import sys, time; from pathlib import Path; from tasks.recording import Run, recorded\n"
        "run = Run(sys.argv[1], Path(sys.argv[2]))\n"
        "with recorded(run, {'thing': 'hub-1'}): print('begun', flush=True); time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, RUN, str(home / "runs" / RUN)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.usefixtures("busy")
def test_not_even_a_person_starts_a_second_one_beside_it(settings: Settings) -> None:
    decision = decide(settings, RetrainPlan(force="I would have it"))

    assert not decision.retrain
    assert f"run {RUN} is under way" in decision.reason


def test_a_killed_one_is_found_by_the_schedule(
    settings: Settings, home: Path, busy: subprocess.Popen[str]
) -> None:
    assert list(waiting(home)) == []

    busy.kill()
    busy.wait()

    assert [one.run_id for one in waiting(home)] == [RUN]


def test_the_loop_stops_itself_and_tells_it_once(settings: Settings, home: Path) -> None:
    for number in (1, 2):
        said_yes(home, f"20260201-000000-000{number}", episode="stopped/1")
        ended(home, f"20260201-000000-000{number}", "refused", "a gate")
    plan = RetrainPlan(cause="drift", episode="stopped/1")

    retrain(plan)
    tell_if_stopped(settings, plan)

    (event,) = heard("edgeward.retraining.stopped", f"edgeward.thing.{THING}")
    assert "a person is needed" in event["payload"]["reason"]
    assert event["payload"]["episode"] == "stopped/1"
    assert len(event["payload"]["runs"]) == 2
    last = read_decisions(home)[-1]
    assert [one.name for one in last.guards if not one.passed] == [
        "failed-tries",
        "labels",
        "cool-down",
    ]


def test_labels_are_asked_for_and_thanked_for_once(
    settings: Settings, home: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"a picture")
    stored = [StoredExample(THING, "ab" * 32, picture, {"label": "cat", "score": 0.4})]
    plan = CollectPlan(reason="brightness moved", episode="asked/1")
    batch = queue_examples(home, plan, stored)
    assert batch
    assert queue_examples(home, plan, stored) is None

    ask_for_labels(batch)
    ask_for_labels(batch)
    give_answers(batch, [Answer("ab" * 32, "label", "dog")], "Ada")
    labelled = finish_batch(home, batch, tell_labelled)
    tell_labelled(labelled)

    (wanted,) = heard("edgeward.labels-wanted", f"edgeward.thing.{THING}")
    (told,) = heard("edgeward.labelled", f"edgeward.thing.{THING}")
    assert wanted["payload"]["next"] == f"edgeward label --batch {batch.id}"
    assert wanted["payload"]["pictures"] == 1
    assert (told["payload"]["batch"], told["payload"]["episode"]) == (batch.id, "asked/1")


def test_without_a_model_on_the_device_there_is_nothing_to_train_again(home: Path) -> None:
    with pytest.raises(InvalidInputError, match="no run was deployed to it"):
        retrain(RetrainPlan(thing="stranger"))
