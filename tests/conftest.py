"""What every test shares: no telemetry, a Prefect server for the session, a home of its own."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

os.environ |= {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
}

import pytest

from backends.settings import PROJECT
from tests.leftovers import end_leftovers, mark_session
from tests.tiny_model import compile_for, deadly, tiny_model

TESTS = Path(__file__).parent
LONGEST = (
    "flows/test_operating.py",
    "flows/test_cycle.py",
    "backends/aws/test_promises.py",
    "architecture/test_no_key_is_decoration.py",
    "flows/test_going_on.py",
    "backends/aws/test_full_cycle.py",
    "flows/test_run_inspection.py",
    "flows/test_own_server.py",
    "flows/test_fleet_commands.py",
    "flows/test_phases.py",
    "backends/test_fleet.py",
    "device/test_component.py",
    "backends/aws/test_trainer.py",
)
__all__ = ["compile_for", "deadly", "tiny_model"]


def pytest_configure(config: pytest.Config) -> None:
    """A worker of xdist ignores Ctrl-C, and so would every program that a test starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not _is_worker(config):
        mark_session()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nothing may outlive the tests, however they ended."""
    if _is_worker(session.config):
        return
    if left := end_leftovers():
        print("\nleft running by the tests, and ended now:", *left, sep="\n  ")
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--renew-docs", action="store_true", help="Write what tests measure into the docs."
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take minutes are begun first: at the end all would wait for the last one."""
    first = {name: turn for turn, name in enumerate(LONGEST)}
    items.sort(key=lambda item: first.get(os.path.relpath(item.path, TESTS), len(first)))


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A real Prefect server with a database of its own."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An EDGEWARD_HOME that nothing else uses."""
    monkeypatch.setenv("EDGEWARD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def jobs_python() -> Path:
    return _interpreter("jobs")


@pytest.fixture(scope="session")
def device_python() -> Path:
    return _interpreter("device")


@pytest.fixture(scope="session")
def photos() -> Path:
    """4,000 real photographs for development; users do not have them."""
    folder = PROJECT.parent / "shared" / "data" / "photos"
    if not folder.is_dir():
        pytest.skip("the photographs for development are not on this machine")
    return folder


def _interpreter(environment: str) -> Path:
    python = PROJECT / ".venvs" / environment / "bin" / "python"
    if not python.exists():
        pytest.skip(f"the {environment} environment is missing: run `make setup`")
    return python
