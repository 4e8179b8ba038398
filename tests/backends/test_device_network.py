"""A device can be taken off its network and given it back, as one in the field is by its line.

What would break for a user: a device that is away counts as failed, or forgets what waits for it.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.errors import DeploymentError, InvalidInputError
from backends.local.fleet import LocalFleet
from backends.settings import MqttSettings, Settings
from tests.command_line import edgeward
from tests.fakes.component_store import Store
from tests.fakes.open_broker import open_broker

pytestmark = pytest.mark.slow

THING = "hub-1"
SLEEP = {"Run": "exec sleep 1000"}


@pytest.fixture
def fleet(home: Path) -> Iterator[LocalFleet]:
    store = Store(home)
    for version in ("1.0.0", "1.1.0"):
        store.add("app", version, SLEEP)
    store.add("tool", "1.0.0", SLEEP)
    running = LocalFleet(Settings(home=home), deploy_seconds=60, settle_seconds=0)
    yield running
    running.stop_everything()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_what_is_deployed_to_a_device_that_is_offline_is_pending_and_not_failed(
    fleet: LocalFleet,
) -> None:
    fleet.deploy(THING, {"app": "1.0.0"}, {})
    fleet.set_network(THING, on=False)
    assert (fleet.device(THING).network, fleet.device(THING).connected) == (False, False)

    with pytest.raises(DeploymentError) as pending:
        fleet.deploy(THING, {"app": "1.1.0"}, {})
    locally = fleet.deploy_locally(THING, {"tool": "1.0.0"})

    assert pending.value.status == "QUEUED"
    assert "the device has no network" in pending.value.reason
    assert locally.components == {"app": "1.0.0", "tool": "1.0.0"}

    fleet.stop_device(THING)
    assert fleet.device(THING).network is False
    fleet.start_device(THING)
    assert fleet.device(THING).components["app"].version == "1.0.0"

    fleet.set_network(THING, on=True)
    until(lambda: fleet.device(THING).components["app"].version == "1.1.0")
    assert set(fleet.device(THING).components) == {"app", "tool"}
    assert fleet.device(THING).connected

    fleet.deploy_locally(THING, remove=["tool"])
    assert set(fleet.device(THING).components) == {"app"}


def test_a_device_starts_without_the_broker_that_it_was_given_and_connects_when_that_is_there(
    home: Path,
) -> None:
    Store(home).add("tool", "1.0.0", SLEEP)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    broker = MqttSettings(host="127.0.0.1", port=port)
    fleet = LocalFleet(Settings(home=home, mqtt=broker), deploy_seconds=60, settle_seconds=0)

    try:
        fleet.start_device(THING)
        assert (fleet.device(THING).running, fleet.device(THING).connected) == (True, False)
        assert set(fleet.deploy_locally(THING, {"tool": "1.0.0"}).components) == {"tool"}

        with open_broker(port):
            until(lambda: fleet.device(THING).connected)
            log = home / "cloud/cloud.log"
            until(lambda: f"connected to 127.0.0.1:{port}" in log.read_text())
    finally:
        fleet.stop_everything()


def test_a_local_deployment_that_fails_says_why(fleet: LocalFleet) -> None:
    with pytest.raises(DeploymentError) as failed:
        fleet.deploy_locally(THING, {"app": "^3.0.0"})

    assert failed.value.status == "FAILED_NO_STATE_CHANGE"
    assert "LOCAL_DEPLOYMENT wants ^3.0.0; there is 1.0.0, 1.1.0" in failed.value.reason


def test_the_network_is_switched_by_commands(fleet: LocalFleet, home: Path) -> None:
    fleet.start_device(THING)

    off = edgeward("device", "offline", THING)
    assert (off.returncode, off.stderr) == (0, "hub-1 is offline\n")
    status = json.loads(edgeward("device", "status", THING, "--json").stdout)
    assert (status["running"], status["network"], status["connected"]) == (True, False, False)

    on = edgeward("device", "online", THING)
    assert (on.returncode, on.stderr) == (0, "hub-1 is online\n")
    until(lambda: fleet.device(THING).connected)
    assert fleet.device(THING).network is True


def test_there_must_be_a_device_to_switch(fleet: LocalFleet) -> None:
    with pytest.raises(InvalidInputError, match="no such device"):
        fleet.set_network("nobody", on=False)
