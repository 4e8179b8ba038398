"""A whole fleet of one, for real: broker, core device, components, deployments, results.

What would break for a user: `edgeward run` deploys through exactly these calls.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psutil
import pytest
from amqtt.broker import Broker

from backends.errors import BackendUnavailableError, DeploymentError, InvalidInputError
from backends.local.deployment_request import new_request
from backends.local.fleet import LocalFleet
from backends.local.targets import parse_target
from backends.settings import MqttSettings, Settings
from tests.fakes.component_store import Store

pytestmark = pytest.mark.slow

THING = "driveway-hub"
ACCESS = {
    "aws.greengrass.ipc.mqttproxy": {
        "app:mqttproxy:1": {
            "operations": ["aws.greengrass#PublishToIoTCore"],
            "resources": ["ml/dlr/image-classification"],
        }
    }
}
APP = """
import json, os, threading, time
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

client = GreengrassCoreIPCClientV2()
changed = threading.Event()
client.subscribe_to_configuration_update(
    on_stream_event=lambda event: changed.set(),
    on_stream_error=lambda error: True,
    on_stream_closed=lambda: None,
)
number = 0
while True:
    changed.clear()
    word = client.get_configuration(key_path=["Word"]).value["Word"]
    number += 1
    message = {
        "inference-results": [], "thing": os.environ["AWS_IOT_THING_NAME"],
        "model_version": os.environ["APP_VERSION"], "label": word, "score": 0.5,
        "image_id": "0" * 64, "latency_ms": 1.0, "taken_at": "2026-11-22T18:00:00Z",
        "message_id": f"{os.getpid()}-{number}",
    }
    print("publishing", word, flush=True)
    client.publish_to_iot_core(
        topic_name="ml/dlr/image-classification", qos="1", payload=json.dumps(message).encode()
    )
    changed.wait()
"""
VALIDATOR = """
import threading
from awsiot.greengrasscoreipc import model
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

client = GreengrassCoreIPCClientV2()

def judge(event):
    asked = event.validate_configuration_update_event
    wrong = asked.configuration["Interval"] < 0
    client.send_configuration_validity_report(
        configuration_validity_report=model.ConfigurationValidityReport(
            deployment_id=asked.deployment_id,
            status="REJECTED" if wrong else "ACCEPTED",
            message="Interval is negative" if wrong else None,
        )
    )

client.subscribe_to_validate_configuration_updates(
    on_stream_event=judge, on_stream_error=lambda e: True, on_stream_closed=lambda: None
)
print("listening", flush=True)
threading.Event().wait()
"""
RUN_APP = {
    "Run": {
        "Script": f"exec {sys.executable} {{artifacts:decompressedPath}}/code/app.py",
        "Setenv": {"APP_VERSION": "1.0.0"},
    }
}
SLEEP = {"Run": "echo running; exec sleep 1000"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


@pytest.fixture
def fleet(home: Path) -> Iterator[LocalFleet]:
    running = LocalFleet(Settings(home=home), deploy_seconds=60, settle_seconds=0.5)
    yield running
    running.stop_everything()
    assert processes_in(home) == []


def processes_in(home: Path) -> list[str]:
    """Command lines of live processes that belong to this home."""
    found = []
    for process in psutil.process_iter():
        try:
            text = " ".join([*process.cmdline(), process.environ().get("EDGEWARD_TEST", "")])
            here = process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
            if here and (str(home) in text or str(home) in process.cwd()):
                found.append(text)
        except psutil.Error:
            continue
    return found


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def now() -> str:
    return datetime.now(UTC).isoformat()


def test_a_deployed_component_reports_over_mqtt_and_takes_a_new_configuration_without_restart(
    store: Store, fleet: LocalFleet
) -> None:
    store.add(
        "app", "1.0.0", RUN_APP, defaults={"accessControl": ACCESS, "Word": "cat"},
        files={"app.py": APP},
    )  # fmt: skip
    since = now()

    deployment = fleet.deploy(THING, {"app": "1.0.0"}, {"app": {"Word": "dog"}})
    (first,) = fleet.results(THING, since, 1, timeout=20)

    assert (deployment.status, deployment.detailed_status) == ("SUCCEEDED", "SUCCESSFUL")
    assert deployment.components == {"app": "1.0.0"}
    assert (first.label, first.thing, first.model_version) == ("dog", THING, "1.0.0")
    status = fleet.device(THING)
    assert status.running
    assert status.components["app"].state == "RUNNING"

    since = now()
    fleet.deploy(THING, {"app": "1.0.0"}, {"app": {"Word": "bird"}})
    (second,) = fleet.results(THING, since, 1, timeout=20)

    assert second.label == "bird"
    pids = {r.payload["message_id"].split("-")[0] for r in (first, second)}
    assert len(pids) == 1
    assert "stdout. publishing bird" in fleet.logs(THING)["app"].read_text()


def test_a_component_that_crashes_is_rolled_back_to_what_ran_before(
    store: Store, fleet: LocalFleet
) -> None:
    store.add("app", "1.0.0", SLEEP, defaults={"Word": "old"})
    store.add("app", "1.1.0", {"Run": "echo broken; exit 7"}, defaults={"Word": "new"})
    store.add("extra", "1.0.0", SLEEP)
    fleet.deploy(THING, {"app": "1.0.0"}, {"app": {"Mine": 1}})
    state = fleet._root / "things" / THING / "config/state.json"
    before = json.loads(state.read_text())["configuration"]

    with pytest.raises(DeploymentError) as failed:
        fleet.deploy(THING, {"app": "1.1.0", "extra": "1.0.0"}, {"app": {"Mine": 2}})

    assert failed.value.status == "FAILED_ROLLBACK_COMPLETE"
    assert "app is BROKEN: Run ended with exit status 7; it said: broken" in failed.value.reason
    status = fleet.device(THING)
    assert {n: (c.version, c.state) for n, c in status.components.items()} == {
        "app": ("1.0.0", "RUNNING")
    }
    assert json.loads(state.read_text())["configuration"] == before
    assert status.last_deployment is not None
    assert status.last_deployment["status"] == "FAILED"


def test_a_rollback_of_a_device_that_is_away_is_asked_for_once_and_done_when_it_is_back(
    store: Store, fleet: LocalFleet
) -> None:
    """A second one joins the first: else each look at the device would pile up another."""
    store.add("app", "1.0.0", SLEEP)
    store.add("app", "2.0.0", SLEEP)
    fleet.deploy(THING, {"app": "1.0.0"}, {"app": {"Mine": 1}})
    between = datetime.now(UTC).isoformat()
    fleet.deploy(THING, {"app": "2.0.0"}, {})
    assert [one.components for one in fleet.history(THING)] == [{"app": "2.0.0"}, {"app": "1.0.0"}]
    fleet.set_network(THING, on=False)

    for _ in range(3):
        with pytest.raises(DeploymentError, match="no network"):
            fleet.roll_back(THING, between)
    fleet.set_network(THING, on=True)
    deadline = time.monotonic() + 60
    while (newest := fleet.history(THING)[0]).components != {"app": "1.0.0"}:
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert len(fleet.history(THING)) == 3
    assert newest.at > between
    assert newest.merge == {"app": {"Mine": 1}}
    assert len(fleet.deployments.index()[f"thing/{THING}"]) == 3
    assert fleet.device(THING).components["app"].version == "1.0.0"


@pytest.mark.parametrize(
    ("versions", "artifact", "reason"),
    [
        ({"app": "2.0.0"}, {"Digest": "AAAA"}, "the recipe says AAAA"),
        ({"app": "2.0.0"}, {"Uri": "s3://edgeward/none.zip"}, "no such object"),
        ({"app": "^3.0.0"}, {}, "thing/driveway-hub wants ^3.0.0; there is 1.0.0, 2.0.0"),
    ],
    ids=["digest", "object", "version"],
)
def test_what_cannot_be_fetched_changes_nothing(
    store: Store,
    fleet: LocalFleet,
    versions: dict[str, str],
    artifact: dict[str, str],
    reason: str,
) -> None:
    store.add("app", "1.0.0", SLEEP)
    store.add("app", "2.0.0", SLEEP, files={"a.txt": "a"}, artifact=artifact)
    fleet.deploy(THING, {"app": "1.0.0"}, {})
    child = component_processes(fleet)

    with pytest.raises(DeploymentError) as failed:
        fleet.deploy(THING, versions, {})

    assert failed.value.status == "FAILED_NO_STATE_CHANGE"
    assert reason in failed.value.reason
    assert component_processes(fleet) == child


def test_a_device_is_given_back_what_it_ran_before_its_last_deployment(
    store: Store, fleet: LocalFleet
) -> None:
    store.add("app", "1.0.0", SLEEP, defaults={"Word": "a"})
    store.add("app", "1.1.0", SLEEP, defaults={"Word": "b"})
    fleet.deploy(THING, {"app": "1.0.0"}, {"app": {"Mine": 1}})
    before = datetime.now(UTC).isoformat()
    fleet.deploy(THING, {"app": "1.1.0"}, {"app": {"Mine": 2, "More": 3}})

    fleet.roll_back(THING, before)
    fleet.roll_back(THING, before)

    assert fleet.device(THING).components["app"].version == "1.0.0"
    state = json.loads((fleet._root / "things" / THING / "config/state.json").read_text())
    assert {key: leaf[1] for key, leaf in state["configuration"]["app"].items()} == {
        "Word": "a",
        "Mine": 1,
    }


def component_processes(fleet: LocalFleet) -> set[int]:
    pid = fleet.device(THING).pid
    return {child.pid for child in psutil.Process(pid).children(recursive=True)}


def test_a_component_that_is_no_longer_listed_is_stopped_and_forgotten(
    store: Store, fleet: LocalFleet
) -> None:
    store.add("one", "1.0.0", {**SLEEP, "Shutdown": "echo bye > ../../bye"}, defaults={"A": 1})
    store.add("two", "1.0.0", SLEEP)
    fleet.deploy(THING, {"one": "1.0.0", "two": "1.0.0"}, {})

    fleet.deploy(THING, {"two": "1.0.0"}, {})

    assert set(fleet.device(THING).components) == {"two"}
    root = fleet._root / "things" / THING
    assert (root / "bye").is_file()
    assert "one" not in json.loads((root / "config/state.json").read_text())["configuration"]


def test_a_killed_device_leaves_no_orphan_and_comes_back_with_its_components(
    store: Store, fleet: LocalFleet
) -> None:
    store.add("app", "1.0.0", {"Run": "setsid sleep 1000 & exec sleep 1000"}, defaults={"A": 1})
    fleet.deploy(THING, {"app": "1.0.0"}, {"app": {"A": 2}})
    pid = fleet.device(THING).pid
    assert pid is not None
    children = psutil.Process(pid).children(recursive=True)
    assert len([c for c in children if "sleep" in c.name()]) == 2

    os.kill(pid, signal.SIGKILL)
    until(lambda: not any(child.is_running() for child in children))
    assert not fleet.device(THING).running
    assert fleet.device(THING).components["app"].state == "STOPPED"

    fleet.start_device(THING)
    until(lambda: fleet.device(THING).components["app"].state == "RUNNING")
    state = json.loads((fleet._root / "things" / THING / "config/state.json").read_text())
    assert state["configuration"]["app"]["A"][1] == 2


def test_a_deployment_that_the_device_did_not_finish_is_taken_up_when_it_returns(
    store: Store, fleet: LocalFleet
) -> None:
    store.add("app", "1.0.0", {"Install": "test -e ../../go || sleep 60", **SLEEP})
    failures: list[Exception] = []

    def deploy() -> None:
        try:
            fleet.deploy(THING, {"app": "1.0.0"}, {})
        except DeploymentError as error:
            failures.append(error)

    fleet.start_device(THING)
    thread = threading.Thread(target=deploy)
    thread.start()
    until(lambda: "app" in fleet.device(THING).components)
    os.kill(fleet.start_device(THING).pid, signal.SIGKILL)
    thread.join()
    assert [getattr(f, "status", "") for f in failures] == ["QUEUED"]

    (fleet._root / "things" / THING / "go").touch()
    fleet.start_device(THING)
    until(
        lambda: (
            "app" in fleet.device(THING).components
            and fleet.device(THING).components["app"].state == "RUNNING"
        )
    )
    until(lambda: (fleet.device(THING).last_deployment or {}).get("status") == "SUCCEEDED")


def test_a_device_that_is_killed_at_any_moment_of_a_deployment_ends_up_new_and_never_between(
    store: Store, fleet: LocalFleet
) -> None:
    """Killed while it resolves, installs, starts and settles; then it takes the deployment up."""
    step = {"Install": "sleep 0.2", **SLEEP}
    store.add("base", "1.0.0", step, defaults={"V": 1})
    store.add("app", "1.0.0", step, needs={"base": {"VersionRequirement": "=1.0.0"}})
    fleet.deploy(THING, {"app": "1.0.0"}, {})
    root = fleet._root / "things" / THING
    for number, seconds in enumerate((0.1, 0.35, 0.7), start=2):
        version = f"{number}.0.0"
        store.add("base", version, step, defaults={"V": number}, files={"a.txt": "a"})
        store.add("app", version, step, needs={"base": {"VersionRequirement": f"={version}"}})
        pid = fleet.start_device(THING).pid
        request = new_request(parse_target(f"thing/{THING}"), {"app": version}, {}, {})
        identifier = fleet.start_deployment(request).id
        until(partial(is_notified, fleet, identifier))
        time.sleep(seconds)  # not for luck: each moment is as good as any other
        os.kill(pid, signal.SIGKILL)
        until(lambda: not fleet.device(THING).running)
        state = json.loads((root / "config/state.json").read_text())
        assert len(set(state["components"].values())) == 1

        fleet.start_device(THING)
        until(partial(succeeded, fleet, identifier))
        components = fleet.device(THING).components
        assert {c.version for c in components.values()} == {version}
        assert {c.state for c in components.values()} == {"RUNNING"}
        state = json.loads((root / "config/state.json").read_text())
        assert state["configuration"]["base"]["V"] == [1, number]


def is_notified(fleet: LocalFleet, deployment: str) -> bool:
    return fleet.deployments.document(THING, deployment).exists()


def succeeded(fleet: LocalFleet, deployment: str) -> bool:
    last = fleet.device(THING).last_deployment or {}
    return (last.get("id"), last.get("status")) == (deployment, "SUCCEEDED")


def test_results_that_the_broker_missed_arrive_once_it_is_back(
    store: Store, fleet: LocalFleet
) -> None:
    store.add(
        "app", "1.0.0", RUN_APP, defaults={"accessControl": ACCESS, "Word": "cat"},
        files={"app.py": APP},
    )  # fmt: skip
    since = now()
    fleet.deploy(THING, {"app": "1.0.0"}, {})
    fleet.results(THING, since, 1, timeout=20)

    os.kill(fleet.ensure_cloud().pid, signal.SIGKILL)
    fleet.deploy_locally(THING, merge={"app": {"Word": "night"}})
    until(lambda: "publishing night" in fleet.logs(THING)["app"].read_text())

    fleet.ensure_cloud()
    results = fleet.results(THING, since, 2, timeout=30)
    assert [result.label for result in results] == ["cat", "night"]


@pytest.fixture
def anonymous_broker() -> Iterator[int]:
    """Somebody else's broker: no passwords of ours. Gives its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> Broker:
        listeners = {"default": {"type": "tcp", "bind": "127.0.0.1:0"}}
        plugin = "amqtt.plugins.authentication.AnonymousAuthPlugin"
        broker = Broker({"listeners": listeners, "plugins": {plugin: {"allow_anonymous": True}}})
        await broker.start()
        return broker

    broker = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield broker._servers["default"].instance.sockets[0].getsockname()[1]
    asyncio.run_coroutine_threadsafe(broker.shutdown(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_devices_can_report_to_another_broker(
    home: Path, store: Store, anonymous_broker: int
) -> None:
    store.add(
        "app", "1.0.0", RUN_APP, defaults={"accessControl": ACCESS, "Word": "cat"},
        files={"app.py": APP},
    )  # fmt: skip
    mqtt = MqttSettings(host="127.0.0.1", port=anonymous_broker)
    fleet = LocalFleet(Settings(home=home, mqtt=mqtt), settle_seconds=0.5)
    try:
        since = now()
        fleet.deploy(THING, {"app": "1.0.0"}, {})
        (result,) = fleet.results(THING, since, 1, timeout=20)
    finally:
        fleet.stop_everything()

    assert result.label == "cat"


def test_a_component_that_rejects_its_new_configuration_stops_the_deployment(
    store: Store, fleet: LocalFleet
) -> None:
    store.add(
        "app", "1.0.0", {"Run": f"exec {sys.executable} {{artifacts:decompressedPath}}/code/v.py"},
        defaults={"Interval": 5}, files={"v.py": VALIDATOR},
    )  # fmt: skip
    fleet.deploy(THING, {"app": "1.0.0"}, {})
    until(lambda: "listening" in fleet.logs(THING)["app"].read_text())

    with pytest.raises(DeploymentError) as refused:
        fleet.deploy(THING, {"app": "1.0.0"}, {"app": {"Interval": -1}})
    fleet.deploy(THING, {"app": "1.0.0"}, {"app": {"Interval": 7}})

    assert refused.value.status == "FAILED_NO_STATE_CHANGE"
    assert "app rejects its configuration: Interval is negative" in refused.value.reason
    state = json.loads((fleet._root / "things" / THING / "config/state.json").read_text())
    assert state["configuration"]["app"]["Interval"][1] == 7


def test_a_port_that_is_taken_is_named_with_the_remedy(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        fleet = LocalFleet(Settings(home=home, mqtt=MqttSettings(port=port)))

        with pytest.raises(BackendUnavailableError) as refused:
            fleet.ensure_cloud()

    assert f"port {port} of 127.0.0.1 is taken" in str(refused.value)
    assert "EDGEWARD_MQTT__PORT" in str(refused.value)
    assert refused.value.exit_status == 4
    assert processes_in(home) == []


def test_a_failed_run_ends_only_what_it_started(fleet: LocalFleet, home: Path) -> None:
    fleet.start_device("first")
    later = LocalFleet(Settings(home=home))

    later.start_device("second")
    assert later.started == ["thing-second"]
    later.stop_started()

    running = {status.thing: status.running for status in fleet.devices()}
    assert running == {"first": True, "second": False}


def test_everything_ends_on_down(fleet: LocalFleet, store: Store, home: Path) -> None:
    store.add("app", "1.0.0", {"Run": "trap '' TERM; setsid sleep 1000 & sleep 1000"})
    fleet.deploy(THING, {"app": "1.0.0"}, {})

    assert fleet.stop_everything() == [f"thing-{THING}", "cloud"]

    assert processes_in(home) == []
    assert fleet.stop_everything() == []


@pytest.mark.parametrize("thing", ["", "../up", "a/b", "ü", "x" * 129, "."])
def test_a_name_that_is_no_thing_is_refused(fleet: LocalFleet, thing: str) -> None:
    with pytest.raises(InvalidInputError):
        fleet.start_device(thing)


def test_an_unknown_device_is_an_input_error(fleet: LocalFleet) -> None:
    with pytest.raises(InvalidInputError, match="no such device"):
        fleet.device("nobody")
