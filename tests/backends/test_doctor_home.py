"""The doctor finds what is locked, what was left behind, and what is of another version."""

import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from backends.diagnosis import diagnose
from backends.doctor.finding import Finding
from backends.files import replace_file
from backends.local.job_folder import JobFolder
from backends.local.processes import Processes
from backends.settings import PROJECT, Settings
from tasks.recording import Run, recorded

RUN = "20261125-101500-1f3a"
ABOUT = {"thing": "hub-1", "targets": {}}
AT_WORK = """
import sys, time
from pathlib import Path
from tasks.recording import Run, recorded

with recorded(Run(sys.argv[2], Path(sys.argv[1]) / "runs" / sys.argv[2]), {"thing": "hub-1"}):
    print("at work", flush=True)
    time.sleep(1000)
"""
HOLD = "import time; print('held', flush=True); time.sleep(1000)"


def findings(home: Path, subject: str) -> list[Finding]:
    found = diagnose(Settings(home=home), least_free=0, least_memory=0)
    return [one for one in found if one.subject == subject]


def finding(home: Path, subject: str) -> Finding:
    (found,) = findings(home, subject)
    return found


@contextmanager
def at_work(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the midst of a run."""
    process = subprocess.Popen(
        [sys.executable, "-c", AT_WORK, str(home), RUN],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def old(path: Path) -> None:
    when = time.time() - 7200
    os.utime(path, (when, when))


def test_all_is_well_in_a_home_that_is_not_there_yet(tmp_path: Path) -> None:
    found = diagnose(Settings(home=tmp_path / "later"), least_free=0, least_memory=0)

    assert [one for one in found if not one.healthy] == []
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_under_way_is_no_trouble_and_told_with_its_process(tmp_path: Path) -> None:
    with at_work(tmp_path) as process:
        locks, runs = finding(tmp_path, "locks"), finding(tmp_path, "runs")

    assert locks.healthy
    assert locks.found == f"run {RUN} is under way (process {process.pid})"
    assert runs.healthy


def test_a_run_that_was_killed_is_told_with_the_way_on(tmp_path: Path) -> None:
    with at_work(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()

        runs, locks = finding(tmp_path, "runs"), finding(tmp_path, "locks")

    assert not runs.healthy
    assert not runs.needed
    assert runs.found.startswith(f"{RUN} ended before it could say why")
    assert f"edgeward resume {RUN}" in runs.remedy
    assert locks.found == "none is held", "a lock ends with its process"


def test_a_run_that_ended_is_well(tmp_path: Path) -> None:
    with recorded(Run(RUN, tmp_path / "runs" / RUN), ABOUT):
        pass

    assert finding(tmp_path, "runs").healthy
    assert finding(tmp_path, "run records").healthy


@pytest.mark.parametrize(
    "text", ['{"status": "deplo', "[]", '{"id": "an older layout"}'], ids=["half", "list", "older"]
)
def test_a_record_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    replace_file(tmp_path / "runs" / RUN / "run.json", text)

    found = finding(tmp_path, "run records")

    assert not found.healthy
    assert RUN in found.found
    assert "Move the folder out" in found.remedy


def test_a_job_that_outlived_its_run_is_told_with_how_to_end_it(tmp_path: Path) -> None:
    """It inherits the lock, as a job does, and its parent lets go of it, as one that dies does."""
    folder = JobFolder(tmp_path / "jobs" / "train-1")
    with folder.locked(1) as lock:
        job = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(PROJECT / "jobs/train.py")],
            pass_fds=[lock],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert job.stdout is not None
        job.stdout.readline()
        with_its_run = findings(tmp_path, "lock of jobs/train-1")
    try:
        found = finding(tmp_path, "lock of jobs/train-1")
    finally:
        job.kill()
        job.communicate()

    assert with_its_run == []
    assert not found.healthy
    assert f"as process {job.pid}" in found.found
    assert found.remedy.endswith(f"kill {job.pid}")
    assert findings(tmp_path, "lock of jobs/train-1") == []


def test_another_lock_is_told_with_its_process(tmp_path: Path) -> None:
    with Processes(tmp_path / "processes").locked("cloud"):
        found = finding(tmp_path, "locks")

    assert found.found == f"processes/.cloud.lock (process {os.getpid()})"


def test_looking_takes_no_lock_and_so_disturbs_nobody(tmp_path: Path) -> None:
    path = tmp_path / "runs" / RUN / ".lock"
    path.parent.mkdir(parents=True)
    path.touch()
    before = sorted(tmp_path.rglob("*"))

    finding(tmp_path, "locks")

    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_background_process_that_died_is_told_and_one_that_lives_is_not(tmp_path: Path) -> None:
    processes = Processes(tmp_path / "processes")
    command = [sys.executable, "-c", HOLD]
    process, _ = processes.start("thing-hub-1", command, os.environ, tmp_path / "log")
    try:
        lives = finding(tmp_path, "background processes")
        os.kill(process.pid, signal.SIGKILL)
        while process.is_running():
            time.sleep(0.01)
        gone = finding(tmp_path, "background processes")
    finally:
        processes.stop("thing-hub-1")

    assert lives.healthy
    assert not gone.healthy
    assert gone.found.endswith("thing-hub-1")
    assert "edgeward up" in gone.remedy
    assert finding(tmp_path, "background processes").healthy, "it was stopped, and is forgotten"


def test_a_device_that_lost_its_state_is_told(tmp_path: Path) -> None:
    config = tmp_path / "things/hub-1/config"
    config.mkdir(parents=True)
    before = finding(tmp_path, "devices")
    (config / "state.json.damaged").touch()

    after = finding(tmp_path, "devices")

    assert before.healthy
    assert not after.healthy
    assert "edgeward run --thing hub-1" in after.remedy


@pytest.mark.parametrize(
    "name",
    [
        "cloud/.groups.json-0a1b2c3d",
        "sources/256_ObjectCategories.tar.part",
        "jobs/j/model.tar.tmp",
    ],
)
def test_a_file_that_was_never_finished_is_named_once_it_is_old(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.touch()
    young = finding(tmp_path, "unfinished files")
    old(path)

    found = finding(tmp_path, "unfinished files")

    assert young.healthy
    assert not found.healthy
    assert str(path) in found.found
    assert path.exists()


def test_a_write_that_is_killed_leaves_what_the_doctor_finds(tmp_path: Path) -> None:
    """The name that replace_file writes to is the one that is looked for."""
    script = (
        "import os, sys; from pathlib import Path\n"
        "from backends import files\n"
        "os.fdopen = lambda *_, **__: os.kill(os.getpid(), 9)\n"
        "files.replace_file(Path(sys.argv[1]), 'half')"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "cloud/groups.json")]
    subprocess.run(command, cwd=PROJECT, check=False)
    (left,) = (tmp_path / "cloud").iterdir()
    old(left)

    assert str(left) in finding(tmp_path, "unfinished files").found


@pytest.mark.parametrize(
    ("name", "database", "migrations"),
    [
        pytest.param(
            "Prefect", "prefect/prefect.db", "prefect.server.database:_migrations", id="prefect"
        ),
        pytest.param("MLflow", "mlflow/mlflow.db", "mlflow.store:db_migrations", id="mlflow"),
    ],
)
def test_a_database_of_a_later_version_is_named(
    tmp_path: Path, name: str, database: str, migrations: str
) -> None:
    """Any revision that the installed version knows is well, its newest above all."""
    subject, path = f"{name}'s database", tmp_path / database
    path.parent.mkdir()

    def with_revision(revision: str) -> Finding:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT)")
            connection.execute("DELETE FROM alembic_version")
            connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        return finding(tmp_path, subject)

    none_yet = finding(tmp_path, subject)
    newest = with_revision(newest_revision(migrations))
    later = with_revision("ffffffffffff")

    assert none_yet.healthy
    assert newest.healthy, newest
    assert not later.healthy
    assert later.needed
    assert "its migration ffffffffffff is unknown" in later.found
    assert str(path) in later.remedy


def newest_revision(migrations: str) -> str:
    """As Alembic itself finds it."""
    package, _, folder = migrations.partition(":")
    (root,) = __import__(package, fromlist=["x"]).__path__
    script = ScriptDirectory(f"{root}/{folder}")
    if (sqlite := Path(root, folder, "versions", "sqlite")).is_dir():
        script = ScriptDirectory(f"{root}/{folder}", version_locations=[str(sqlite)])
    newest = script.get_current_head()
    assert newest
    return newest


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mlflow/mlflow.db"
    path.parent.mkdir()
    path.write_text("This is no database, however long one looks at it. " * 20)

    found = finding(tmp_path, "MLflow's database")

    assert not found.healthy
    assert "cannot be read" in found.found


def test_a_whole_home_is_left_as_it_was(tmp_path: Path) -> None:
    with recorded(Run(RUN, tmp_path / "runs" / RUN), ABOUT):
        pass
    (tmp_path / "prefect").mkdir()
    with closing(sqlite3.connect(tmp_path / "prefect/prefect.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    dead = json.dumps({"pid": 1, "started": 0, "log": ""})
    replace_file(tmp_path / "processes/cloud.json", dead)
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}

    diagnose(Settings(home=tmp_path))

    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before
