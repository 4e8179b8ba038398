"""All that an operator needs on this machine: Prefect's server and worker, reports, broker, device.

All are background processes of EDGEWARD_HOME, on loopback; `up` starts what is not there, and
`down` ends them all.
"""

import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from backends.connect import local_fleet
from backends.errors import BackendBlockedError, BackendUnavailableError
from backends.local.files import read_json, write_json
from backends.local.processes import Background, Processes
from backends.report_pages import HOST, kept_port, serving_process
from backends.settings import PROJECT, Settings
from flows.deployments import POOL, deploy_flows
from flows.prefect_server import (
    PROCESS,
    QUIET,
    api_url,
    await_health,
    free_port,
    lasting_server,
    uvicorn,
)

WORKER = "prefect-worker"
REPORTS = "reports"
REPORTS_SECONDS = 60
WORKS = (
    *(sys.executable, "-m", "prefect", "worker", "start"),
    *("--pool", POOL, "--type", "process", "--name", "workshop", "--install-policy", "never"),
)
OURS = "the server of this home"  # its address may change, its database does not
DATABASE_SECONDS = "60"
"""Prefect's own 10 are too few for its SQLite on a busy machine: its UI then says "Oops"."""
TICK_SECONDS = 0.05
QUERY_SECONDS = "5"
"""How often the worker asks for work; Prefect's own 10 feel long to a person who waits."""


@dataclass(frozen=True, slots=True)
class Address:
    """Something that runs now; `news` says whether this call started or changed it."""

    name: str
    where: str
    news: bool


class Workshop:
    """The processes of one EDGEWARD_HOME. `started` names those that this object started."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._prefect = settings.root / "prefect"
        self._processes = Processes(settings.root / "processes")
        self._fleet = local_fleet(settings)
        self.started: list[str] = []

    def up(self, thing: str) -> list[Address]:
        """Start what does not run, deploy what is not deployed, and say where all of it is.

        Raises BackendUnavailableError (a port is taken, or one of them does not start); what this
        call started is then ended again.
        """
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        try:
            return self._up(thing)
        except BaseException:
            self._fleet.stop_started()
            for name in reversed(self.started):
                self._processes.stop(name)
            raise

    def _up(self, thing: str) -> list[Address]:
        theirs = os.environ.get("PREFECT_API_URL", "")
        url, server_is_new = (theirs, False) if theirs else self._ensure_server()
        os.environ["PREFECT_API_URL"] = url
        os.environ.setdefault("PREFECT_HOME", str(self._prefect))
        deployed = deploy_flows(self._settings, theirs or OURS)
        _, worker_is_new = self._start(WORKER, WORKS, self._environment(url))
        reports_are_new = self._ensure_reports(url)
        before = list(self._fleet.started)
        cloud = self._fleet.ensure_cloud()
        device = self._fleet.start_device(thing)
        fresh = set(self._fleet.started) - set(before)
        home = self._settings.root
        endpoint = read_json(home / "cloud" / "endpoint.json") or {}
        broker = f"mqtt://{endpoint.get('host')}:{endpoint.get('port')}"
        return [
            Address("Prefect UI", url.removesuffix("/api"), server_is_new),
            Address("deployments", f"{url.removesuffix('/api')}/deployments", deployed),
            Address("worker", f"of the work pool {POOL}", worker_is_new),
            Address("reports", f"http://{HOST}:{kept_port(home)}", reports_are_new),
            Address("broker", broker, cloud.name in fresh),
            Address("device", thing, device.name in fresh),
        ]

    def down(self) -> list[str]:
        """End all, the worker first and the server last; their names."""
        first = [name for name in (WORKER,) if self._processes.stop(name)]
        return [*first, *self._fleet.stop_everything(last=PROCESS)]

    def _ensure_server(self) -> tuple[str, bool]:
        if known := lasting_server(self._settings.root):
            return known, False
        port = self._settings.prefect.port or free_port()
        _check_free(port)
        url = api_url(port)
        command = [sys.executable, *uvicorn(port)]
        server, fresh = self._start(PROCESS, command, self._server_environment(url, port))
        write_json(self._prefect / "server.json", {"url": url})
        await_health(url, server.is_running, server.log)
        return url, fresh

    def _ensure_reports(self, url: str) -> bool:
        """Whether the server of the reports was started; it is at its address then."""
        home = self._settings.root
        command = [sys.executable, "-m", "backends.local.report_server", "--home", str(home)]
        server, fresh = self._start(REPORTS, command, self._environment(url))
        deadline = time.monotonic() + REPORTS_SECONDS
        while serving_process(home) != server.pid:
            if not server.is_running() or time.monotonic() > deadline:
                reason, remedy = "it did not start", f"Read {server.log}."
                raise BackendUnavailableError("the server of the reports", reason, remedy)
            time.sleep(TICK_SECONDS)
        return fresh

    def _start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> tuple[Background, bool]:
        log = self._prefect / f"{name.removeprefix('prefect-')}.log"
        try:
            process, fresh = self._processes.start(name, command, environment, log)
        except OSError as error:
            raise BackendUnavailableError(name, f"it cannot be started: {error}") from error
        if fresh:
            self.started.append(name)
        return process, fresh

    def _server_environment(self, url: str, port: int) -> dict[str, str]:
        patient = {"PREFECT_SERVER_DATABASE_TIMEOUT": DATABASE_SECONDS}
        return (
            patient
            | self._environment(url)
            | {
                "PREFECT_SERVER_API_HOST": "127.0.0.1",
                "PREFECT_SERVER_API_PORT": str(port),
                "PREFECT_SERVER_UI_API_URL": url,
            }
        )

    def _environment(self, url: str) -> dict[str, str]:
        """The caller's, with what must not depend on the folder that a process works in."""
        paths = filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])
        return {
            "PREFECT_WORKER_QUERY_SECONDS": QUERY_SECONDS,
            "PREFECT_HOME": str(self._prefect),
            **os.environ,
            "PREFECT_API_URL": url,
            "PYTHONPATH": os.pathsep.join(paths),
            "EDGEWARD_HOME": str(self._settings.root),
        }


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BackendBlockedError(
                "the Prefect server",
                f"port {port} is taken by another program",
                "End that one, or set EDGEWARD_PREFECT__PORT to a free port (0: any).",
            ) from error


def logs_of(root: Path) -> Path:
    """Where server, worker and deploying say what they do."""
    return root / "prefect"
