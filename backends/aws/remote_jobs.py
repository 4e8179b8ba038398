"""Jobs that SageMaker runs: found again by their names, followed to the end, stopped when left.

A job is paid for whether or not somebody waits for it. So the same work is joined, whoever began
it; and a wait that is broken off (Ctrl-C, a cancelled flow, an error of ours) stops the job. What
only keeps us from looking (a network that is away, an expired login) lets it go on: the next try
joins it.
"""

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from botocore.exceptions import ClientError

from backends.aws.faults import code_of, missing
from backends.errors import BackendUnavailableError, EdgewardError, JobError
from backends.ports import OnLine

LONGEST_NAME = 63
DIGITS = 8
MOST_ATTEMPTS = 50
APPEARS_WITHIN = 60.0  # seconds until a job that was just created must be found
STOPS_WITHIN = 600.0  # SageMaker gives a program two minutes, and then uploads what it left
OVERTIME = 1800.0  # seconds beyond a job's own limit until we give up

Outcome = Literal["running", "stopping", "completed", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class State:
    """Where a job is. `stages` are those that it has been in, in words; `reason` is AWS's.

    A stage may be shorter than the time between two looks, so all of them are told.
    """

    outcome: Outcome
    stages: tuple[str, ...]
    reason: str = ""

    @property
    def stage(self) -> str:
        return self.stages[-1]


class RemoteJob(Protocol):
    """One piece of work, under any name. All raise the errors of backends/aws/faults.py."""

    def state(self, name: str) -> State | None:
        """None: there is no job of that name."""
        ...

    def start(self, name: str, resumes: str) -> None:
        """Begin it; `resumes` names the attempt whose checkpoints it may go on from."""
        ...

    def stop(self, name: str) -> None: ...

    def read_log(self, name: str, on_line: OnLine) -> int:
        """Give what was logged since the last call; how many lines that were."""
        ...


def work_name(job: str, content: Mapping[str, object]) -> str:
    """A legal name that is the same for the same job with the same content, and for no other."""
    text = json.dumps(content, sort_keys=True, default=str)
    digest = hashlib.sha256(f"{job}\n{text}".encode()).hexdigest()[:DIGITS]
    legal = re.sub(r"[^a-zA-Z0-9]+", "-", job).strip("-")
    room = LONGEST_NAME - DIGITS - len(f"--{MOST_ATTEMPTS}")
    return f"{legal[:room].strip('-')}-{digest}".lstrip("-")


def run(work: RemoteJob, job: str, base: str, limit: float, poll: float, on_line: OnLine) -> str:
    """Run `work`, or join it where it runs or ran already; the name of the completed job.

    `limit` is AWS's own limit in seconds, `poll` how often to look. Raises JobError with AWS's
    reason, BackendUnavailableError.
    """
    name, state, resumes = _attempt(work, job, base, poll)
    try:
        if state is None:
            work.start(name, resumes)
        on_line(f"SageMaker job {name} {f'joined ({state.stage})' if state else 'started'}")
        ended = _follow(work, job, name, limit, poll, on_line)
    except BackendUnavailableError:
        raise
    except BaseException:
        with contextlib.suppress(EdgewardError):  # what broke off the wait is what to tell
            work.stop(name)
            on_line(f"SageMaker job {name} was told to stop")
        raise
    if ended.outcome != "completed":
        raise _no_result(job, name, ended)
    return name


def _attempt(work: RemoteJob, job: str, base: str, poll: float) -> tuple[str, State | None, str]:
    """The attempt to join, or the name of the next one and of the one that it may resume.

    Checkpoints are taken on after a stop, and not after a failure, which they may be the cause of.
    """
    resumes, last = base, ""
    for number in range(1, MOST_ATTEMPTS + 1):
        name = base if number == 1 else f"{base}-{number}"
        if last == "failed":
            resumes = name
        state = _once_stopped(work, name, poll)
        if state is None or state.outcome in ("running", "completed"):
            return name, state, resumes
        last = state.outcome
    raise JobError(job, f"{MOST_ATTEMPTS} attempts gave no result ({base} and its successors)")


def _once_stopped(work: RemoteJob, name: str, poll: float) -> State | None:
    """The state of a job; one that is being stopped still writes its checkpoints."""
    began = time.monotonic()
    while (state := work.state(name)) is not None and state.outcome == "stopping":
        if time.monotonic() - began > STOPS_WITHIN:
            raise BackendUnavailableError(f"SageMaker job {name}", "it does not stop")
        time.sleep(poll)
    return state


def _follow(
    work: RemoteJob, job: str, name: str, limit: float, poll: float, on_line: OnLine
) -> State:
    began = time.monotonic()
    told_of = lines = 0
    while True:
        state = work.state(name)
        if state is None:  # AWS may need a moment until it finds what it has just made
            if time.monotonic() - began > APPEARS_WITHIN:
                raise BackendUnavailableError(f"SageMaker job {name}", "it is not to be found")
        else:
            for stage in state.stages[told_of:]:
                on_line(f"SageMaker job {name}: {stage}")
            told_of = len(state.stages)
            lines += work.read_log(name, on_line)
            if state.outcome not in ("running", "stopping"):
                _read_rest(work, name, lines, poll, on_line)
                return state
        if time.monotonic() - began > limit + OVERTIME:
            raise JobError(job, f"{name} does not end, {OVERTIME:g} seconds beyond its limit")
        time.sleep(poll)


def _read_rest(work: RemoteJob, name: str, lines: int, poll: float, on_line: OnLine) -> None:
    """The log comes some seconds after the end; a few looks, and that is that."""
    for _ in range(3):
        more = work.read_log(name, on_line)
        lines += more
        if lines and not more:
            return
        time.sleep(poll)


def _no_result(job: str, name: str, state: State) -> EdgewardError:
    reason = state.reason.rstrip(".")
    if "CapacityError" in reason:  # nothing ran, and nothing is paid for
        remedy = "Try again later, or set another EDGEWARD_AWS__INSTANCE_TYPE."
        return BackendUnavailableError(f"SageMaker job {name}", reason, remedy)
    return JobError(job, f"SageMaker job {name} {state.outcome}: {reason or state.stage}")


def find[T](look: Callable[[], T]) -> T | None:
    """What `look` gives, or None where AWS says that there is no such thing."""
    try:
        return look()
    except ClientError as error:
        if missing(error):
            return None
        raise


def begin(create: Callable[[], object]) -> None:
    """Create a job, unless somebody has just created it: then it is joined.

    The SDK looks at what it made at once, which AWS may not find yet: that is no failure either.
    """
    try:
        create()
    except ClientError as error:
        if code_of(error) != "ResourceInUse" and not missing(error):
            raise
