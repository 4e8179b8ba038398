"""Prefect, set up for this project: quiet, without telemetry, with a server of its own.

Prefect's own temporary server shares our process group, so Ctrl-C would end it before the flow
could report its end, and it outlives a killed parent. Ours does neither. A server of the user's
(PREFECT_API_URL in the environment), or of `edgeward up`, is used as it is. This must run before
prefect is imported.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from backends.errors import BackendUnavailableError
from backends.local.files import read_json
from backends.local.processes import Processes

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_CLI_PROMPT": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
START_SECONDS = 180
STOP_SECONDS = 5
PROCESS = "prefect-server"
"""The name of the server that `edgeward up` started, among the background processes."""
_passing: set[str] = set()  # addresses of servers that end with a run of ours

# Dies with us (PR_SET_PDEATHSIG = 1, SIGKILL = 9), and Ctrl-C in our terminal does not reach it.
LAUNCHER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@contextmanager
def prefect_server(home: Path) -> Iterator[Callable[[], None]]:
    """A Prefect server on loopback, its database under `home`, for as long as the block lasts.

    It starts beside us: call what the block is given before the first flow. That raises
    BackendUnavailableError when the server does not start; its log says why. One that `edgeward
    up` started for this home is used instead.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if "PREFECT_API_URL" in os.environ:
        yield _nothing
        return
    os.environ.setdefault("PREFECT_HOME", str(home / "prefect"))
    if url := lasting_server(home):
        os.environ["PREFECT_API_URL"] = url
        try:
            yield _nothing
        finally:
            _flush_logs()
            os.environ.pop("PREFECT_API_URL", None)
        return
    (home / "prefect").mkdir(parents=True, exist_ok=True)
    log = home / "prefect" / "server.log"
    port = free_port()
    url = api_url(port)
    with log.open("wb") as stream:
        server = subprocess.Popen(  # noqa: S603  our own interpreter
            [sys.executable, "-c", LAUNCHER, str(os.getpid()), *uvicorn(port)],
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {"PREFECT_SERVER_UI_API_URL": url},  # its UI asks port 4200 otherwise
        )
    os.environ["PREFECT_API_URL"] = url
    _passing.add(url)
    try:
        yield partial(await_health, url, lambda: server.poll() is None, log)
    finally:
        _flush_logs()
        os.environ.pop("PREFECT_API_URL", None)
        _stop(server)


def _nothing() -> None:
    """A server of the user's own is taken to be up."""


def lasting_server(home: Path) -> str:
    """The API's address of the server that `edgeward up` started for this home; else empty."""
    server = Processes(home / "processes").find(PROCESS)
    known = read_json(home / "prefect" / "server.json") if server else None
    return str((known or {}).get("url", ""))


def has_lasting_ui() -> bool:
    """Whether people can look at this run in a UI that does not end with it."""
    url = os.environ.get("PREFECT_API_URL", "")
    return bool(url) and url not in _passing


def api_url(port: int) -> str:
    return f"http://127.0.0.1:{port}/api"


def uvicorn(port: int) -> list[str]:
    """A server's arguments for Python; loopback only."""
    application = "prefect.server.api.server:create_app"
    return ["-m", "uvicorn", "--factory", application, "--host", "127.0.0.1", "--port", str(port)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_health(url: str, lives: Callable[[], bool], log: Path) -> None:
    """Wait for a server's API; raises BackendUnavailableError naming its log."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and lives():
        try:
            with urlopen(f"{url}/health", timeout=1):  # noqa: S310  loopback
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise BackendUnavailableError("the Prefect server", "it did not start", f"Read {log}.")


def _flush_logs() -> None:
    """Send what Prefect still holds back, while there is a server to send it to."""
    if handlers := sys.modules.get("prefect.logging.handlers"):
        handlers.APILogHandler().flush()


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
