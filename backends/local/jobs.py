"""Runs the programs of jobs/ in their own environment, under the SageMaker training contract."""

import errno
import math
import os
import re
import signal
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backends.errors import EnvironmentMissingError, InvalidInputError, JobError
from backends.local import job_process
from backends.local.job_folder import JobFolder, Record, fingerprint
from backends.ports import OnLine
from backends.settings import PROJECT

JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
FAILURE_CHARACTERS = 1024
LAST_LINES = 5
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class JobOutput:
    """What a finished job left. `model_archive` is None where it made no model.

    `log` holds the lines of every attempt; `seconds` is the running time of all of them.
    """

    folder: Path
    model_archive: Path | None
    output_folder: Path
    log: Path
    seconds: float


class LocalJobs:
    """One folder per job, `<root>/jobs/<job>`.

    The same name and inputs again: a finished job is joined, a half-done one goes on from its
    checkpoints. Other inputs under the same name start afresh.

    A job computes with `threads` threads; 0: one per core. A training's last bits depend on it.
    No job may take longer than `seconds`, nor all jobs of this object longer than `budget`.
    """

    def __init__(
        self,
        root: Path,
        python: Path,
        seconds: float,
        programs: Path = PROJECT / "jobs",
        threads: int = 0,
        budget: float = math.inf,
    ) -> None:
        self._root = root
        self._python = python
        self._seconds = seconds
        self._programs = programs
        self._threads = threads
        self._budget = budget

    def run(
        self,
        job: str,
        program: str,
        hyperparameters: Mapping[str, str],
        channels: Mapping[str, Path],
        on_line: OnLine,
    ) -> JobOutput:
        """Run `program` (a file of jobs/) and return what it left; lines go to `on_line` live.

        A channel is a folder, or one file. Raises InvalidInputError (the job's name, a channel
        that is not there), EnvironmentMissingError, JobError.
        """
        if not JOB_NAME.fullmatch(job):
            raise InvalidInputError(
                f"job name {job!r}",
                "it is not a SageMaker job name",
                "Use at most 63 letters, digits and single hyphens.",
            )
        for name, path in channels.items():
            if not path.exists():
                raise InvalidInputError(f"channel {name}", f"there is no {path}", "Make it first.")
        folder = JobFolder(self._root / "jobs" / job)
        try:
            with folder.locked(self._seconds) as lock:
                inputs = fingerprint(self._programs / program, hyperparameters, channels)
                record = folder.record()
                if record is None or record.inputs != inputs:
                    folder.clear()
                    record = Record(inputs, "running")
                if record.state != "finished" or not folder.is_whole():
                    folder.prepare(hyperparameters, channels)
                    record = self._attempt(folder, program, record, lock, on_line)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise JobError(job, f"the disk that holds {folder.path} is full") from error
            raise
        archive = folder.archive if folder.archive.exists() else None
        return JobOutput(folder.path, archive, folder.output, folder.log, record.seconds)

    def _attempt(
        self, folder: JobFolder, program: str, before: Record, lock: int, on_line: OnLine
    ) -> Record:
        """Run the program once and record how it ended."""
        began = time.monotonic()
        folder.write_record(Record(before.inputs, "running", before.seconds))
        ended: Record | None = None
        try:
            self._execute(folder, program, lock, on_line)
            folder.pack_model()
            ended = Record(before.inputs, "finished", before.seconds + time.monotonic() - began)
        finally:
            self._budget -= time.monotonic() - began
            spent = before.seconds + time.monotonic() - began
            folder.write_record(ended or Record(before.inputs, "failed", spent))
        folder.drop_checkpoints()
        return ended

    def _execute(self, folder: JobFolder, program: str, lock: int, on_line: OnLine) -> None:
        job = folder.path.name
        limit = min(self._seconds, self._budget)
        if limit <= 0:
            raise JobError(job, "the run has spent what it may cost (cost.max_usd, usd_per_hour)")
        arguments = [str(self._python), str(self._programs / program)]
        last: deque[str] = deque(maxlen=LAST_LINES)
        with folder.log.open("a", encoding="utf-8", buffering=1) as log:

            def take(line: str) -> None:
                log.write(f"{line}\n")
                last.append(line)
                on_line(line)

            environment = _environment(folder.path, self._threads or len(os.sched_getaffinity(0)))
            wanted = job_process.Program(arguments, environment, folder.path, limit, (lock,))
            try:
                status = job_process.run(wanted, take)
            except job_process.TimeLimitError as error:
                reason = f"it took longer than {limit:g} seconds, the limit (job_seconds, max_usd)"
                raise JobError(job, reason) from error
            except (FileNotFoundError, PermissionError) as error:
                raise EnvironmentMissingError("jobs", f"cannot run {self._python}") from error
        if status != 0:
            raise JobError(job, _reason(folder, status, last))


def _environment(root: Path, threads: int) -> dict[str, str]:
    """What a job may know: nothing of ours, no credentials."""
    given = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return given | {
        "SM_ML_ROOT": str(root),
        "TRAINING_JOB_NAME": root.name,
        "EDGEWARD_JOB_STDIN_IS_ALIVE": "1",
        "OMP_NUM_THREADS": str(threads),
        "MXNET_SUBGRAPH_VERBOSE": "0",
        "TOPHUB_LOCATION": "NONE",
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
    }


def _reason(folder: JobFolder, status: int, last: deque[str]) -> str:
    """The job's own words, or else how it ended and the last it said."""
    if folder.failure.exists():
        return folder.failure.read_text(encoding="utf-8", errors="replace")[:FAILURE_CHARACTERS]
    how = f"exit status {status}"
    if status < 0:
        how = f"killed by {signal.Signals(-status).name}"
        if -status == signal.SIGKILL:
            how += " (out of memory?)"
    said = " | ".join(line.strip() for line in last if line.strip())
    return f"{how}; last it said: {said}" if said else how
