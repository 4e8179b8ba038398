"""What a person sees in a narrow terminal, a pipe, a log, and a terminal of another age."""

import errno
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from backends.settings import PROJECT

ESCAPES = re.compile(r"\x1b\[")
COMPONENT = "edgeward.ImageClassification.Model"


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a device that is stopped, and what it had."""
    home = tmp_path_factory.mktemp("home")
    config = home / "things/hub-1/config"
    config.mkdir(parents=True)
    (config / "device.json").write_text("{}")
    (config / "state.json").write_text(
        json.dumps({"components": {COMPONENT: {"version": "1.0.1", "state": "FINISHED"}}})
    )
    return home


def in_terminal(home: Path, columns: int, *arguments: str, **environment: str) -> str:
    """All that a terminal of so many columns is given, standard output and error alike."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    usual = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", *arguments],
        env=usual | {"TERM": "xterm-256color", "EDGEWARD_HOME": str(home)} | environment,
        cwd=PROJECT,
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 65536):
            shown += chunk
    except OSError as error:
        if error.errno != errno.EIO:  # the other end is closed
            raise
    finally:
        os.close(leader)
        process.wait(60)
    return shown.decode().replace("\r\n", "\n")


def piped(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows", *arguments],
        env=os.environ | {"EDGEWARD_HOME": str(home)} | environment,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
@pytest.mark.parametrize("command", ["device status hub-1", "doctor"])
def test_names_stay_whole_at_any_width(lived_in: Path, columns: int, command: str) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", in_terminal(lived_in, columns, *command.split()))

    names = {
        "doctor": ("great_expectations", "optional tools"),
        "device status hub-1": (COMPONENT,),
    }
    assert [name for name in names[command] if name not in shown] == []
    broken = [line for line in shown.splitlines() if len(line) > columns and " " in line.strip()]
    assert [line for line in broken if "/" not in line] == [], "only a path is let run over"


def test_a_row_is_one_line_in_a_pipe(lived_in: Path) -> None:
    lines = piped(lived_in, "device", "list").stdout.splitlines()

    (row,) = (line for line in lines if "hub-1" in line)
    assert row.split()[:2] == ["hub-1", "stopped"]
    assert COMPONENT in row


@pytest.mark.parametrize(
    "environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["no-color", "dumb"]
)
def test_no_colour_where_none_is_wanted(lived_in: Path, environment: dict[str, str]) -> None:
    plain = in_terminal(lived_in, 80, "device", "list", **environment)

    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", plain)
    assert "hub-1" in plain


def test_nothing_but_text_goes_into_a_pipe(lived_in: Path) -> None:
    for command in (["--help"], ["device", "list"], ["doctor"], ["nonsense"]):
        done = piped(lived_in, *command)
        assert not ESCAPES.search(done.stdout + done.stderr), command


@pytest.mark.parametrize("command", ["--help", "doctor", "device list"])
def test_a_locale_without_signs_gives_no_traceback(lived_in: Path, command: str) -> None:
    done = piped(
        lived_in, *command.split(), LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0",
        EDGEWARD_BACKEND__JOBS_PYTHON="/no/such/pyth\u00f6n",
    )  # fmt: skip

    assert "Traceback" not in done.stderr
    assert done.returncode == (4 if command == "doctor" else 0), done.stderr


@pytest.mark.parametrize("command", ["doctor --json", "device list", "--help"])
def test_a_reader_that_has_enough_ends_a_command_quietly(lived_in: Path, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "flows", *command.split()],
            env=os.environ | {"EDGEWARD_HOME": str(lived_in)},
            cwd=PROJECT,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)

    assert done.stderr == ""
