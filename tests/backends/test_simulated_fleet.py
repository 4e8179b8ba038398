"""Many devices in one process: real broker, real core devices, real components, a staged rollout.

What would break for a user: a bad version would spread through the fleet, or one device's trouble
would be everybody's.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from backends.errors import InvalidInputError
from backends.local.crews import Crew
from backends.local.deployment_request import new_request
from backends.local.deployments import DeploymentStatus, Progress
from backends.local.fleet import LocalFleet
from backends.local.targets import parse_target
from backends.settings import Settings
from tests.backends.test_fleet import processes_in, until
from tests.fakes.component_store import Store

pytestmark = pytest.mark.slow

GOOD = {"Install": "echo installing", "Run": "echo running; exec sleep 1000"}
BAD = {"Install": "echo installing", "Run": "echo broken; exit 7"}
SECONDS = 120


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


@pytest.fixture
def fleet(home: Path) -> Iterator[LocalFleet]:
    running = LocalFleet(Settings(home=home), settle_seconds=0.5)
    yield running
    running.stop_everything()
    assert processes_in(home) == []


def deploy(fleet: LocalFleet, target: str, version: str, **job: object) -> str:
    request = new_request(parse_target(target), {"app": version}, {}, {}, iotJobConfiguration=job)
    return fleet.start_deployment(request).id


def ended(fleet: LocalFleet, identifier: str) -> Progress:
    """The deployment once no thing has anything left to do in it."""

    def is_over() -> bool:
        progress = fleet.deployments.progress(identifier)
        done = all(execution.has_ended for execution in progress.executions.values())
        return done and progress.status is not DeploymentStatus.ACTIVE

    until(is_over, SECONDS)
    return fleet.deployments.progress(identifier)


def versions(fleet: LocalFleet) -> Counter[tuple[str, str]]:
    components = [status.components.get("app") for status in fleet.devices()]
    return Counter((c.version, c.state) if c else ("", "") for c in components)


def test_a_bad_version_stops_after_the_threshold_and_twenty_devices_run_the_good_one(
    store: Store, fleet: LocalFleet
) -> None:
    store.add("app", "1.0.0", GOOD)
    store.add("app", "1.1.0", BAD)
    things = fleet.simulate(20, "sim", "all")
    good = ended(fleet, deploy(fleet, "group/all", "1.0.0"))
    assert Counter(good.statuses().values()) == {"SUCCEEDED": 20}
    assert versions(fleet) == {("1.0.0", "RUNNING"): 20}

    bad = ended(
        fleet,
        deploy(
            fleet,
            "group/all",
            "1.1.0",
            jobExecutionsRolloutConfig={"maximumPerMinute": 30},
            abortConfig={
                "criteriaList": [
                    {
                        "failureType": "FAILED",
                        "action": "CANCEL",
                        "thresholdPercentage": 50,
                        "minNumberOfExecutedThings": 3,
                    }
                ]
            },
        ),
    )

    assert bad.status is DeploymentStatus.CANCELED
    assert "of 3 executed things FAILED" in bad.reason
    found = Counter(status.value for status in bad.statuses().values())
    assert 3 <= found["FAILED"] < 20
    assert found == {"FAILED": found["FAILED"], "CANCELED": 20 - found["FAILED"]}
    details = {e.detailed_status for e in bad.executions.values() if e.status == "FAILED"}
    assert details == {"FAILED_ROLLBACK_COMPLETE"}
    assert set(bad.executions) == set(things)
    until(lambda: versions(fleet) == {("1.0.0", "RUNNING"): 20}, SECONDS)


def test_a_simulated_device_that_is_stopped_is_pending_and_takes_the_deployment_when_it_returns(
    store: Store, fleet: LocalFleet
) -> None:
    store.add("app", "1.0.0", GOOD)
    fleet.simulate(3, "sim", "all")
    assert fleet.stop_device("sim-2")
    assert {s.thing: s.running for s in fleet.devices()} == {
        "sim-1": True, "sim-2": False, "sim-3": True,
    }  # fmt: skip

    identifier = deploy(fleet, "group/all", "1.0.0")
    until(lambda: versions(fleet) == {("1.0.0", "RUNNING"): 2, ("", ""): 1}, SECONDS)
    assert fleet.deployments.progress(identifier).executions["sim-2"].status == "QUEUED"
    cloud = fleet.ensure_cloud()
    os.kill(cloud.pid, signal.SIGKILL)  # the record outlives its keeper
    until(lambda: not cloud.is_running())

    fleet.start_device("sim-2")

    assert ended(fleet, identifier).status is DeploymentStatus.COMPLETED
    assert versions(fleet) == {("1.0.0", "RUNNING"): 3}
    assert fleet.deployments_to("sim-2")[0]["detailedStatus"] == "SUCCESSFUL"


def test_devices_of_one_process_keep_their_logs_and_their_faults_to_themselves(
    store: Store, fleet: LocalFleet
) -> None:
    store.add("app", "1.0.0", GOOD)
    fleet.simulate(2, "sim")
    identity = fleet._thing("sim-2") / "config/device.json"
    fleet.stop_device("sim-2")
    whole = identity.read_text()
    identity.write_text("{")
    Crew(fleet._crews, "sim").add([fleet._thing("sim-2")])
    own = fleet.logs("sim-2")["greengrass"]
    until(lambda: "the device at" in own.read_text())

    deployment = fleet.deploy("sim-1", {"app": "1.0.0"}, {})

    assert deployment.status == "SUCCEEDED"
    text = fleet.logs("sim-1")["greengrass"].read_text()
    assert f"deployment {deployment.id}" in text
    assert "sim-2" not in text
    identity.write_text(whole)


def test_a_killed_process_of_many_devices_leaves_no_script_and_all_come_back(
    store: Store, fleet: LocalFleet
) -> None:
    store.add("app", "1.0.0", GOOD)
    fleet.simulate(4, "sim", "all")
    ended(fleet, deploy(fleet, "group/all", "1.0.0"))
    process = psutil.Process(fleet.device("sim-1").pid)
    scripts = [child for child in process.children(recursive=True) if child.name() == "sleep"]
    assert len(scripts) == 4

    process.kill()
    until(lambda: not any(script.is_running() for script in scripts))
    assert [status.running for status in fleet.devices()] == [False] * 4
    fleet.simulate(4, "sim", "all")

    until(lambda: versions(fleet) == {("1.0.0", "RUNNING"): 4}, SECONDS)


def test_starting_one_simulated_device_after_down_starts_no_other(
    store: Store, fleet: LocalFleet
) -> None:
    fleet.simulate(3, "sim")
    assert fleet.stop_everything() == ["crew-sim", "cloud"]

    fleet.start_device("sim-2")

    assert [status.thing for status in fleet.devices() if status.running] == ["sim-2"]


def test_a_device_of_its_own_is_not_taken_into_a_simulation(fleet: LocalFleet) -> None:
    fleet.start_device("hub-1")

    with pytest.raises(InvalidInputError, match="a device of its own"):
        fleet.simulate(2, "hub")

    assert fleet.device("hub-1").running
