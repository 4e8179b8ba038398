"""The run record tells the truth, whichever way a run ends."""

import json
from pathlib import Path

import pytest

from backends.artifacts import Gate
from backends.errors import GateRefusedError, InvalidInputError, JobError
from tasks.recording import (
    VANISHED,
    Run,
    is_under_way,
    new_run_id,
    note,
    note_gates,
    read_record,
    recorded,
    stage,
)

REFUSAL = Gate("model.recall", False, {"child": 0.2}, {"child": 0.7}, "children are missed")


def test_a_run_that_ends_well_is_deployed(tmp_path: Path) -> None:
    with recorded(Run("r1", tmp_path), {"thing": "hub-1"}) as run, stage(run, "ingest"):
        note(run, data={"source": "driveway", "root": tmp_path})

    record = read_record(run)
    assert record["status"] == "deployed"
    assert record["thing"] == "hub-1"
    assert record["data"]["root"] == str(tmp_path)
    assert record["stages"]["ingest"] >= 0
    assert record["versions"]["prefect"]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        pytest.param(GateRefusedError([REFUSAL]), "refused", "children are missed", id="refused"),
        pytest.param(JobError("train-1", "out of memory"), "failed", "out of memory", id="job"),
        pytest.param(ZeroDivisionError("x"), "failed", "ZeroDivisionError: x", id="a-bug"),
        pytest.param(KeyboardInterrupt(), "failed", "interrupted", id="ctrl-c"),
    ],
)
def test_a_run_that_ends_badly_says_why_and_passes_the_error_on(
    tmp_path: Path, error: BaseException, status: str, reason: str
) -> None:
    with pytest.raises(type(error)), recorded(Run("r1", tmp_path), {}) as run:
        raise error

    record = read_record(run)
    assert record["status"] == status
    assert reason in record["reason"]


def test_a_run_that_was_killed_never_reads_as_deployed(tmp_path: Path) -> None:
    with recorded(Run("r1", tmp_path), {}) as run:
        midway = json.loads(run.record.read_text())

    assert (midway["status"], midway["reason"]) == ("failed", VANISHED)


def test_an_override_is_recorded_and_lets_the_run_go_on(tmp_path: Path) -> None:
    with recorded(Run("r1", tmp_path), {}) as run:
        (gate,) = note_gates(run, (REFUSAL,), ("model.recall",))

    assert not gate.refuses
    recorded_gate = read_record(run)["gates"][0]
    assert recorded_gate["passed"] is False
    assert recorded_gate["overridden"] is True


def test_overriding_a_gate_that_passes_records_nothing(tmp_path: Path) -> None:
    passing = Gate("model.recall", True, 1, 0, "fine")

    with recorded(Run("r1", tmp_path), {}) as run:
        note_gates(run, (passing,), ("model.recall",))

    assert read_record(run)["gates"][0]["overridden"] is False


def test_ids_sort_by_time_and_differ() -> None:
    ids = [new_run_id() for _ in range(50)]

    assert len(set(ids)) == 50
    assert ids[0][:15] <= ids[-1][:15]


def test_what_is_to_be_done_at_the_end_sees_the_outcome(tmp_path: Path) -> None:
    seen: list[str] = []
    run = Run("r1", tmp_path, [lambda run: seen.append(read_record(run)["status"])])

    with pytest.raises(GateRefusedError), recorded(run, {}):
        raise GateRefusedError([REFUSAL])

    assert seen == ["refused"]


def test_a_fault_at_the_end_hides_no_outcome(tmp_path: Path) -> None:
    def fail(_run: Run) -> None:
        raise JobError("report", "disk full")

    with recorded(Run("r1", tmp_path, [fail]), {}) as run:
        pass

    assert read_record(run)["status"] == "deployed"


def test_nobody_else_goes_on_with_a_run_that_is_under_way(tmp_path: Path) -> None:
    run = Run("mine", tmp_path)

    with (
        recorded(run, {}),
        pytest.raises(InvalidInputError, match="run mine: it is under way"),
        recorded(run, {}),
    ):
        pass

    assert read_record(run)["status"] == "deployed", "and its record is as it was"


def test_a_run_is_under_way_while_its_record_is_open(tmp_path: Path) -> None:
    run = Run("mine", tmp_path)

    with recorded(run, {}):
        assert is_under_way(run)

    assert not is_under_way(run)
