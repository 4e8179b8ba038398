"""Jobs on this machine: joined, resumed, ended, and never left behind. Real processes, no MXNet."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from backends.errors import EnvironmentMissingError, InvalidInputError, JobError
from backends.local import job_folder, job_process
from backends.local.jobs import JobOutput, LocalJobs
from backends.settings import PROJECT

PROGRAM = "keep_contract.py"
Run = Callable[..., JobOutput]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of jobs: the real container module, and a program that misbehaves on request."""
    folder = tmp_path_factory.mktemp("programs")
    shutil.copy(PROJECT / "jobs/container.py", folder)
    shutil.copy(PROJECT / "tests/fakes/jobs" / PROGRAM, folder)
    return folder


@pytest.fixture
def run(tmp_path: Path, programs: Path) -> Run:
    """Run the program under the name `job-1` with `act`; further options as keywords."""

    def start(
        act: str = "work",
        seconds: float = 30,
        on_line: Callable[[str], None] = lambda _line: None,
        python: Path = Path(sys.executable),
        channels: dict[str, Path] | None = None,
        job: str = "job-1",
    ) -> JobOutput:
        jobs = LocalJobs(tmp_path, python, seconds, programs)
        return jobs.run(job, PROGRAM, {"act": act}, channels or {}, on_line)

    return start


def pids(root: Path) -> list[int]:
    return [int(pid) for pid in (root / "jobs/job-1/pids").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def test_a_finished_job_is_joined_instead_of_run_again(run: Run) -> None:
    first = run()
    lines: list[str] = []

    second = run(on_line=lines.append)

    assert second == first
    assert lines == []


def test_a_finished_job_whose_model_was_deleted_runs_again(run: Run) -> None:
    archive = run().model_archive
    assert archive is not None
    before = archive.read_bytes()
    archive.unlink()

    assert run().model_archive == archive
    assert archive.read_bytes() == before


def test_other_inputs_under_the_same_name_start_afresh(run: Run, tmp_path: Path) -> None:
    channel = tmp_path / "channel"
    channel.mkdir()
    (channel / "picture").write_bytes(b"one")
    run(channels={"data": channel})
    (channel / "picture").write_bytes(b"two")
    lines: list[str] = []

    run(channels={"data": channel}, on_line=lines.append)

    assert lines == ["attempt 1", "done"]


def test_a_failed_job_resumes_with_its_checkpoints(run: Run) -> None:
    lines: list[str] = []
    with pytest.raises(JobError, match="exit status 3; last it said: attempt 1"):
        run("fail-once")

    output = run("fail-once", on_line=lines.append)

    assert lines == ["attempt 2", "done"]
    assert output.log.read_text() == "attempt 1\nattempt 2\ndone\n"


def test_the_model_archive_has_the_same_bytes_for_the_same_files(run: Run, tmp_path: Path) -> None:
    first, second = run().model_archive, run(job="job-2").model_archive

    assert first is not None
    assert second is not None
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        assert tar.getnames() == ["a.json", "b.params"]


def test_lines_arrive_while_the_job_still_runs(run: Run, tmp_path: Path) -> None:
    seen: list[bool] = []

    def look(line: str) -> None:
        if line == "hanging":
            seen.append(alive(pids(tmp_path)[0]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("hang", on_line=look)

    assert seen == [True]
    assert not any(map(alive, pids(tmp_path)))


def test_the_reason_of_the_failure_file_becomes_the_error(run: Run) -> None:
    with pytest.raises(JobError) as caught:
        run("refuse")

    assert caught.value.reason.startswith("hyperparameter act is 'refuse': too proud")
    assert len(caught.value.reason) == 1024


def test_a_killed_job_says_what_killed_it_and_what_it_said_last(run: Run) -> None:
    with pytest.raises(JobError, match=r"SIGKILL \(out of memory\?\).*about to crash"):
        run("crash")


def test_the_time_limit_ends_the_job_and_its_children(run: Run, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="longer than 2 seconds"):
        run("hang", seconds=2)

    assert not any(map(alive, pids(tmp_path)))


def test_a_job_that_ignores_sigterm_is_killed_after_the_grace(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_process, "GRACE_SECONDS", 0.5)

    with pytest.raises(JobError, match="longer than 2 seconds"):
        run("ignore-sigterm", seconds=2)

    assert not any(map(alive, pids(tmp_path)))


def test_a_child_that_a_finished_job_left_is_ended(run: Run, tmp_path: Path) -> None:
    run("leave-child")

    assert not any(map(alive, pids(tmp_path)))


def test_the_job_ends_when_its_parent_is_killed_and_the_next_run_waits_for_that(
    run: Run, tmp_path: Path, programs: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from backends.local.jobs import LocalJobs\n"
        f"LocalJobs(Path({str(tmp_path)!r}), Path(sys.executable), 60, Path({str(programs)!r}))"
        f".run('job-1', {PROGRAM!r}, {{'act': 'hang'}}, {{}}, print)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT)
    wait_until((tmp_path / "jobs/job-1/pids").exists)

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    wait_until(lambda: not alive(pids(tmp_path)[0]))
    assert run("work").seconds > 0


def test_a_job_learns_nothing_of_our_secrets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("EDGEWARD_MQTT__PASSWORD", "very-secret")

    seen = json.loads((run().output_folder / "environment.json").read_text())

    assert "very-secret" not in seen.values()
    assert seen["TOPHUB_LOCATION"] == "NONE"
    assert int(seen["OMP_NUM_THREADS"]) == len(os.sched_getaffinity(0))


def test_a_missing_interpreter_says_how_to_get_it(run: Run, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissingError, match="make setup"):
        run(python=tmp_path / "no/python")


@pytest.mark.parametrize("job", ["", "a b", "-a", "a" * 64, "../a"])
def test_a_name_that_sagemaker_would_not_take_is_refused(run: Run, job: str) -> None:
    with pytest.raises(InvalidInputError, match="job name"):
        run(job=job)


def test_a_channel_that_is_not_there_is_refused_by_name(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="channel train"):
        run(channels={"train": tmp_path / "nothing"})


def test_a_full_disk_is_named_and_the_next_run_works(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        # /dev/full answers every write as a full disk does
        full.setattr(job_folder.JobFolder, "__init__", _log_on_full_disk)
        with pytest.raises(JobError, match="is full"):
            run()

    assert run().model_archive is not None


_real_init = job_folder.JobFolder.__init__


def _log_on_full_disk(self: job_folder.JobFolder, path: Path) -> None:
    _real_init(self, path)
    self.log = Path("/dev/full")


def test_two_runs_of_one_job_at_once_share_one_attempt(
    run: Run, tmp_path: Path, programs: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from backends.local.jobs import LocalJobs\n"
        f"LocalJobs(Path({str(tmp_path)!r}), Path(sys.executable), 60, Path({str(programs)!r}))"
        f".run('job-1', {PROGRAM!r}, {{'act': 'work'}}, {{}}, print)"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE)
        for _ in range(2)
    ]

    said = b"".join(process.communicate(timeout=60)[0] for process in both)

    assert said.count(b"attempt") == 1
    assert [process.returncode for process in both] == [0, 0]
