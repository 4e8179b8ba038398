"""The project on a Prefect server of one's own, with nothing but Prefect's commands."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from backends.settings import PROJECT
from tests.flows.test_cycle import left_running

pytestmark = pytest.mark.slow

FILE = (PROJECT / "prefect.yaml").read_text()


class OwnServer:
    """A server that knows nothing of this project, and a shell that knows the server."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self.environment = {name: v for name, v in os.environ.items() if name[:8] != "PREFECT_"}
        self.environment |= {
            "PREFECT_API_URL": url,
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_CLI_PROMPT": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "EDGEWARD_HOME": str(home),
        }

    def starts(self, command: str) -> subprocess.Popen[str]:
        program, *arguments = command.split()
        assert program == "prefect"
        return subprocess.Popen(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=PROJECT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def does(self, command: str) -> tuple[int, str]:
        process = self.starts(command)
        said, _ = process.communicate(timeout=300)
        return process.returncode, " ".join(said.split())

    def post(self, path: str, body: Any = None) -> Any:
        answer = httpx.post(f"{self.url}/{path}", json=body or {}, timeout=30)
        return answer.raise_for_status().json()

    def state(self, flow_run: str) -> dict[str, Any]:
        run = httpx.get(f"{self.url}/flow_runs/{flow_run}", timeout=30).raise_for_status().json()
        state: dict[str, Any] = run["state"]
        return state


@pytest.fixture
def server(api: str, tmp_path: Path) -> Iterator[OwnServer]:
    yield OwnServer(api, tmp_path / "home")
    assert left_running(tmp_path / "home") == []


def documented() -> list[str]:
    """The commands at the top of prefect.yaml."""
    return re.findall(r"^#   (prefect .+?)(?:  |$)", FILE, re.MULTILINE)


def test_the_three_commands_of_prefect_yaml_are_all_it_takes(server: OwnServer) -> None:
    create, deploy, work = documented()

    status, said = server.does(deploy)
    assert status == 1
    assert "work pool 'edgeward' which does not exist" in said, "the pool comes first"

    assert server.does(create)[0] == 0
    status, said = server.does(deploy)
    assert status == 0, said
    assert said.count("successfully created") == len(yaml.safe_load(FILE)["deployments"])

    worker = server.starts(work)
    try:
        assert looks_at_the_devices(server) == "there is no device yet"
    finally:
        worker.terminate()
        worker.communicate(timeout=60)


def looks_at_the_devices(server: OwnServer) -> str:
    """What a run of the monitoring comes to."""
    deployment = httpx.get(f"{server.url}/deployments/name/watch/scheduled", timeout=30).json()
    run = server.post(f"deployments/{deployment['id']}/create_flow_run")["id"]
    deadline = time.monotonic() + 240
    while (state := server.state(run))["type"] not in ("COMPLETED", "FAILED", "CRASHED"):
        assert time.monotonic() < deadline, json.dumps(state)
        time.sleep(0.2)
    assert state["type"] == "COMPLETED", state
    return str(state["message"])
