"""A test that leaves a process behind fails its session, and the process is ended."""

import subprocess
import sys
from pathlib import Path

import psutil

from backends.settings import PROJECT
from tests.leftovers import MARK

LEAKS = """
import subprocess, sys
from pathlib import Path

def test_that_leaks():
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                            start_new_session=True)
    Path({told!r}).write_text(str(left.pid))
"""


def test_a_session_that_leaves_a_process_behind_fails_and_ends_it(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    leaks = tmp_path / "test_leaks.py"
    leaks.write_text(LEAKS.format(told=str(told)))

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-n", "1", str(leaks)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert "left running by the tests" in done.stdout
    assert not psutil.pid_exists(int(told.read_text()))
    assert MARK not in done.stdout
