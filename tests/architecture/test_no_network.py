"""What orders, judges and records a run tells nobody outside of this machine about it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backends.settings import PROJECT
from tests.fakes.network_guard import attempts, guarded

ASKS_OUTWARD = {
    "a name": "import socket; socket.getaddrinfo('telemetry.example', 443)",
    "an address": "import socket; socket.create_connection(('192.0.2.1', 9), timeout=1)",
    "a datagram": "import socket as s; s.socket(type=s.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))",
    "asyncio": "import asyncio; asyncio.run(asyncio.open_connection('192.0.2.1', 9))",
    "httpx": "import httpx; httpx.get('https://telemetry.example', trust_env=False)",
    "a child": (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', "
        "'import socket; socket.getaddrinfo(\"telemetry.example\", 443)'], check=True)"
    ),
}
STAYS_HERE = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
    socket.create_connection(("localhost", server.getsockname()[1])).close()
one, other = socket.socketpair()
one.sendall(b"x")
"""
PREFECT = """
import sys
from pathlib import Path
from flows.prefect_server import prefect_server

with prefect_server(Path(sys.argv[1])) as ready:
    from prefect import flow, task

    @task
    def double(number):
        return 2 * number

    @flow
    def tiny():
        return double(21)

    ready()
    assert tiny() == 42
"""
GREAT_EXPECTATIONS = """
import sys
from pathlib import Path
import great_expectations as gx
import pandas as pd
from expectations.checks import Table, about, run_checks

labelled = gx.expectations.ExpectColumnValuesToNotBeNull(
    column="label", description="there is a label", **about("data.labels", "there")
)
suite = gx.ExpectationSuite(name="tiny", expectations=[labelled])
rows = pd.DataFrame({"label": ["cat", None]})
(check,), _ = run_checks([Table("tiny", rows, suite, "label")], Path(sys.argv[1]) / "docs", "Tiny")
assert not check.passed
"""
MLFLOW = """
import sys
from pathlib import Path
from backends.tracking import MlflowTracker

home = Path(sys.argv[1])
archive = home / "model.tar.gz"
archive.write_bytes(b"weights")
tracker = MlflowTracker(home / "mlflow")
run = tracker.start("tiny", "run", {"epochs": "1"})
tracker.log(run, {"accuracy": 0.5}, 1)
tracker.promote("tiny", tracker.register("tiny", run, archive, {}), {})
tracker.end(run, "deployed", [archive])
assert tracker.champion("tiny") is not None
"""


def run_guarded(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as a person's shell would: none of the variables that our tests set."""
    ours = ("PREFECT_", "GX_", "MLFLOW_", "EDGEWARD_", "DO_NOT_TRACK")
    usual = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env=guarded(folder, usual | {"PYTHONPATH": str(PROJECT), "HOME": str(folder)}),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.parametrize("program", ASKS_OUTWARD.values(), ids=ASKS_OUTWARD.keys())
def test_the_guard_denies_and_writes_down_whoever_asks_outward(
    tmp_path: Path, program: str
) -> None:
    done = run_guarded(program, tmp_path)

    assert done.returncode != 0
    assert "192.0.2.1" in attempts(tmp_path)[0] or "telemetry.example" in attempts(tmp_path)[0]


def test_the_guard_lets_this_machine_talk_to_itself(tmp_path: Path) -> None:
    done = run_guarded(STAYS_HERE, tmp_path)

    assert done.returncode == 0, done.stderr
    assert attempts(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(PREFECT, id="prefect"),
        pytest.param(GREAT_EXPECTATIONS, id="great-expectations"),
        pytest.param(MLFLOW, id="mlflow"),
    ],
)
def test_nothing_that_a_run_uses_asks_outward(tmp_path: Path, program: str) -> None:
    done = run_guarded(program, tmp_path)

    assert done.returncode == 0, done.stderr[-4000:]
    assert attempts(tmp_path) == []
