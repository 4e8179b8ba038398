"""Which attempt at a piece of work is joined, begun or given up, whatever the work is."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from backends.aws import remote_jobs
from backends.aws.remote_jobs import Outcome, State, run, work_name
from backends.errors import BackendUnavailableError, JobError
from backends.ports import OnLine

JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
POLL = 0.01


@dataclass
class Work:
    """Jobs of which each look gives the next outcome, and then the last one again."""

    jobs: dict[str, list[Outcome]]
    begins: list[Outcome] = field(default_factory=lambda: list[Outcome](["completed"]))
    started: list[tuple[str, str]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    def state(self, name: str) -> State | None:
        outcomes = self.jobs.get(name)
        if not outcomes:
            return None
        outcome = outcomes.pop(0) if len(outcomes) > 1 else outcomes[0]
        return State(outcome, (outcome,))

    def start(self, name: str, resumes: str) -> None:
        self.started.append((name, resumes))
        self.jobs[name] = list(self.begins)

    def stop(self, name: str) -> None:
        self.stopped.append(name)

    def read_log(self, name: str, on_line: OnLine) -> int:
        on_line(f"log of {name}")
        return 0


def ran(work: Work, limit: float = 60, on_line: Callable[[str], None] | None = None) -> str:
    return run(work, "job", "base", limit, POLL, on_line or (lambda _line: None))


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience of tenths of a second."""
    for name in ("APPEARS_WITHIN", "STOPS_WITHIN", "OVERTIME"):
        monkeypatch.setattr(remote_jobs, name, 0.2)


@pytest.mark.parametrize(
    ("before", "attempt", "resumes"),
    [
        pytest.param({}, "base", "base", id="first"),
        pytest.param({"base": ["failed"]}, "base-2", "base-2", id="failed"),
        pytest.param({"base": ["stopped"]}, "base-2", "base", id="stopped"),
        pytest.param({"base": ["stopping", "stopping", "stopped"]}, "base-2", "base", id="ends"),
        pytest.param(
            {"base": ["failed"], "base-2": ["stopped"]},
            "base-3",
            "base-2",
            id="failed-then-stopped",
        ),
    ],
)
def test_the_next_attempt_takes_on_what_a_stopped_one_left(
    before: dict[str, list[Outcome]], attempt: str, resumes: str
) -> None:
    """What made a job fail may be in its checkpoints; what a stopped one learned is sound."""
    work = Work(before)

    assert ran(work) == attempt
    assert work.started == [(attempt, resumes)]


@pytest.mark.parametrize("outcome", ["running", "completed"])
def test_what_runs_or_has_run_is_joined(outcome: Outcome) -> None:
    work = Work({"base": ["failed"], "base-2": [outcome, "completed"]})

    assert ran(work) == "base-2"
    assert work.started == []


def test_no_more_attempts_are_begun_than_a_name_has_room_for() -> None:
    names = ["base", *(f"base-{number}" for number in range(2, 51))]

    with pytest.raises(JobError, match="50 attempts gave no result"):
        ran(Work({name: ["failed"] for name in names}))


@pytest.mark.usefixtures("hurried")
def test_a_job_that_never_ends_is_stopped() -> None:
    work = Work({}, begins=["running"])

    with pytest.raises(JobError, match="base does not end"):
        ran(work, limit=0)

    assert work.stopped == ["base"]


@pytest.mark.usefixtures("hurried")
def test_a_job_that_is_not_to_be_found_is_not_taken_for_stopped() -> None:
    work = Work({}, begins=[])

    with pytest.raises(BackendUnavailableError, match="not to be found"):
        ran(work)

    assert work.stopped == []


@pytest.mark.usefixtures("hurried")
def test_a_job_that_does_not_stop_is_worth_another_try_later() -> None:
    with pytest.raises(BackendUnavailableError, match="does not stop"):
        ran(Work({"base": ["stopping"]}))


def test_an_error_of_ours_stops_the_job_and_is_what_is_told() -> None:
    work = Work({}, begins=["running"])

    def broken(line: str) -> None:
        if line.startswith("log of"):
            raise ValueError("the tracker is full")

    with pytest.raises(ValueError, match="the tracker is full"):
        ran(work, on_line=broken)

    assert work.stopped == ["base"]


@pytest.mark.parametrize("job", ["train-1234", "a__b..c", "x" * 200, "-", "über"])
def test_a_name_is_one_that_sagemaker_takes_with_room_for_attempts(job: str) -> None:
    name = work_name(job, {"image": "one"})

    assert JOB_NAME.fullmatch(f"{name}-{remote_jobs.MOST_ATTEMPTS}")


def test_other_content_is_another_name() -> None:
    names = {
        work_name("train", {"image": "one"}),
        work_name("train", {"image": "other"}),
        work_name("train-", {"image": "one"}),
    }

    assert len(names) == 3
    assert work_name("train", {"a": 1, "b": 2}) == work_name("train", {"b": 2, "a": 1})
