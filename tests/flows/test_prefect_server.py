"""The Prefect server of a run: on loopback only, and gone with the run, however the run ends."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest

from backends.settings import PROJECT

pytestmark = pytest.mark.slow

RUN = """
import os, sys
from pathlib import Path
from flows.prefect_server import prefect_server

with prefect_server(Path(sys.argv[1])) as ready:
    print(os.environ["PREFECT_API_URL"], flush=True)
    ready()
    print("ready", flush=True)
    sys.stdin.readline()
print(os.environ.get("PREFECT_API_URL", "none"), flush=True)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that holds a server until it gets a line on its standard input."""
    started: list[subprocess.Popen[str]] = []

    def start(**environment: str) -> subprocess.Popen[str]:
        usual = {name: v for name, v in os.environ.items() if not name.startswith("PREFECT_")}
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(tmp_path)],
            env=usual | {"PYTHONPATH": str(PROJECT)} | environment,
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def server_of(process: subprocess.Popen[str]) -> psutil.Process:
    (server,) = psutil.Process(process.pid).children(recursive=True)
    return server


def wait_until_gone(server: psutil.Process, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    with contextlib.suppress(psutil.NoSuchProcess):
        while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, f"{server} is still there"
            time.sleep(0.02)


def test_it_serves_on_loopback_only_while_the_block_lasts(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = start()
    url = line_of(process)
    assert line_of(process) == "ready"
    server = server_of(process)

    with urlopen(f"{url}/health", timeout=5) as answer:
        assert answer.status == 200
    listening = [
        connection.laddr.ip
        for connection in server.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]
    assert (tmp_path / "prefect" / "prefect.db").exists()
    assert os.getsid(server.pid) == server.pid, "Ctrl-C in our terminal must not reach it"

    left, _ = process.communicate("\n", timeout=30)
    assert process.returncode == 0
    assert left.strip() == "none"
    assert not server.is_running()
    with pytest.raises(URLError):
        urlopen(f"{url}/health", timeout=1)


def test_it_does_not_outlive_a_run_that_is_killed(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    process = start()
    line_of(process)
    assert line_of(process) == "ready"
    server = server_of(process)

    process.kill()

    wait_until_gone(server)


def test_a_run_that_is_killed_at_once_leaves_no_server_either(
    start: Callable[..., subprocess.Popen[str]],
) -> None:
    """Before the server has asked to die with its parent, it looks whether the parent is there."""
    process = start()
    line_of(process)
    server = server_of(process)

    process.kill()

    wait_until_gone(server)


def test_a_server_of_the_users_own_is_left_alone(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        url = f"http://127.0.0.1:{theirs.getsockname()[1]}/api"
        process = start(PREFECT_API_URL=url)

        assert line_of(process) == url
        assert line_of(process) == "ready"
        assert psutil.Process(process.pid).children() == []
        left, _ = process.communicate("\n", timeout=30)

    assert left.strip() == url, "it is still the user's afterwards"
    assert not (tmp_path / "prefect").exists()


def test_a_server_that_cannot_start_is_named_with_its_log(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    nowhere = f"sqlite+aiosqlite:///{tmp_path}/no/such/folder/prefect.db"
    process = start(PREFECT_API_DATABASE_CONNECTION_URL=nowhere)

    _, complaint = process.communicate(timeout=120)

    assert process.returncode != 0
    log = tmp_path / "prefect" / "server.log"
    assert f"the Prefect server is unavailable: it did not start. Read {log}." in complaint
    assert log.read_text()
