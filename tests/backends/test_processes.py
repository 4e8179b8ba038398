"""Background processes are found again, started once and ended without harm to others."""

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from backends.local.processes import Background, Processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(1000)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "subprocess.Popen(['sleep', '1000']); print('ready', flush=True); time.sleep(1000)",
]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    known = Processes(tmp_path)
    yield known
    for process in known.all():
        known.stop(process.name, seconds=0.2)


def start(processes: Processes, tmp_path: Path, command: list[str]) -> Background:
    process, _ = processes.start("one", command, dict(os.environ), tmp_path / "one.log")
    return process


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_process_is_found_again_by_its_name_and_started_once(
    processes: Processes, tmp_path: Path
) -> None:
    def work(_: int) -> tuple[int, bool]:
        known = Processes(tmp_path)
        process, fresh = known.start("one", SLEEP, dict(os.environ), tmp_path / "one.log")
        return process.pid, fresh

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(work, range(8)))

    assert len({pid for pid, _ in outcomes}) == 1
    assert sum(fresh for _, fresh in outcomes) == 1
    assert [p.name for p in processes.all()] == ["one"]


def test_stopping_ends_the_whole_tree_also_of_one_that_ignores_sigterm(
    processes: Processes, tmp_path: Path
) -> None:
    process = start(processes, tmp_path, STUBBORN)
    while "ready" not in (tmp_path / "one.log").read_text():
        assert process.is_running()
    tree = psutil.Process(process.pid).children(recursive=True)
    assert tree

    assert processes.stop("one", seconds=0.2)

    assert not process.is_running()
    assert not any(is_alive(child) for child in tree)
    assert processes.find("one") is None
    assert not processes.stop("one")


def test_a_process_that_only_inherited_the_pid_is_never_touched(
    processes: Processes, tmp_path: Path
) -> None:
    entry = {"pid": os.getpid(), "started": 1.0, "log": "", "command": []}
    (tmp_path / "one.json").write_text(json.dumps(entry))

    assert processes.find("one") is None
    assert not processes.stop("one")  # this very test goes on


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x", "started": 1, "log": ""}'])
def test_a_damaged_file_is_no_process(processes: Processes, tmp_path: Path, text: str) -> None:
    (tmp_path / "one.json").write_text(text)

    assert processes.find("one") is None
    assert processes.all() == []


def test_a_process_that_ended_is_not_running_though_we_are_its_parent(
    processes: Processes, tmp_path: Path
) -> None:
    process = start(processes, tmp_path, [sys.executable, "-c", "print('over')"])

    while process.is_running():
        pass

    assert "over" in (tmp_path / "one.log").read_text()
    assert processes.find("one") is None


def test_a_program_that_is_not_there_is_an_os_error(processes: Processes, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no-such-program"):
        processes.start("one", ["/no-such-program"], {}, tmp_path / "one.log")

    assert processes.all() == []
