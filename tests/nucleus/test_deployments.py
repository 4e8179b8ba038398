"""A core device takes deployments of its thing, of its groups and of its own, and combines them.

What would break for a user: a deployment to one group takes away what another one has brought.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from backends.local.cloud.broker import start_broker
from backends.local.cloud.passwords import Passwords
from backends.local.deployment_document import new_local_document
from backends.local.files import read_json, write_json
from backends.local.nucleus.device import CoreDevice
from backends.local.nucleus.identity import Identity, save
from backends.local.nucleus.layout import Layout
from tests.fakes.component_store import Store

pytestmark = pytest.mark.slow

THING = "hub-1"
SLEEP = {"Run": "exec sleep 1000"}
FAILS = {"Startup": "echo broken; exit 7"}
FINAL = ("SUCCEEDED", "FAILED", "REJECTED", "CANCELED")
DEFERRER = """
import threading
from datetime import datetime
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

client = GreengrassCoreIPCClientV2()
asked = []

def defer(event):
    if event.pre_update_event:
        asked.append(event.pre_update_event.deployment_id)
        word = client.get_configuration(key_path=["Word"]).value["Word"]
        print("asked with", word, flush=True)
        client.update_configuration(
            key_path=[], value_to_merge={"Asked": len(asked)}, timestamp=datetime.now()
        )
        client.defer_component_update(
            deployment_id=asked[-1], recheck_after_ms=300 if len(asked) == 1 else 0
        )

client.subscribe_to_component_updates(
    on_stream_event=defer, on_stream_error=lambda e: True, on_stream_closed=lambda: None
)
print("listening", flush=True)
threading.Event().wait()
"""
BYE = """
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from datetime import datetime

client = GreengrassCoreIPCClientV2()
client.update_configuration(key_path=[], value_to_merge={"Bye": 1}, timestamp=datetime.now())
"""


class Cloud:
    """A broker, documents for one thing, its groups, and a store of components."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root / "home")
        self.folder = root / "deployments"
        self.groups = root / "groups.json"
        self.passwords = Passwords(root / "passwords.json")
        self.broker: Any = None

    async def up(self) -> None:
        self.broker, port = await start_broker(0, self.root / "passwords.json")
        write_json(self.root / "endpoint.json", {"host": "127.0.0.1", "port": port})

    async def down(self) -> None:
        (self.root / "endpoint.json").unlink()
        await self.broker.shutdown()

    def identity(self) -> Identity:
        return Identity(
            thing=THING,
            components=self.store.components,
            objects=self.store.objects,
            deployments=self.folder,
            endpoint=self.root / "endpoint.json",
            groups=self.groups,
            password=self.passwords.issue(THING),
            settle=0,
        )


class Device:
    """A device that runs until `stop`, and what can be seen of it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.layout = Layout(cloud.root / "thing")
        save(self.layout, cloud.identity())
        self._made = 0
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        device = CoreDevice(self.layout, self.cloud.identity())
        self._work = asyncio.create_task(device.run())
        await until(lambda: self.status != {})

    async def stop(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])

    @property
    def status(self) -> Mapping[str, Any]:
        return read_json(self.layout.status) or {}

    @property
    def state(self) -> Mapping[str, Any]:
        return read_json(self.layout.state) or {}

    @property
    def versions(self) -> dict[str, str]:
        return {name: c["version"] for name, c in self.status["components"].items()}

    def roots(self) -> dict[str, dict[str, str]]:
        return {name: target["roots"] for name, target in self.state["targets"].items()}

    def send(
        self,
        target: str,
        components: Mapping[str, str],
        merge: Mapping[str, Any] | None = None,
        made: int = 0,
        reset: tuple[str, ...] = (),
        **policies: Any,
    ) -> Path:
        self._made += 1
        document = {
            "deploymentId": f"d{self._made}",
            "configurationArn": f"arn:aws:greengrass:r:1:configuration:{target}:{self._made}",
            "creationTimestamp": made or 1000 + self._made,
            "components": {
                name: {
                    "version": version,
                    "configurationUpdate": {
                        "merge": (merge or {}).get(name, {}),
                        "reset": list(reset),
                    },
                }
                for name, version in components.items()
            },
            **policies,
        }
        path = self.cloud.folder / f"d{self._made}.json"
        write_json(path, document)
        return path

    def send_locally(
        self,
        components: Mapping[str, str],
        remove: tuple[str, ...] = (),
        merge: Mapping[str, Any] | None = None,
    ) -> Path:
        self._made += 1
        path = self.layout.deployments / f"l{self._made}.json"
        write_json(path, new_local_document(f"l{self._made}", components, remove, merge or {}))
        return path

    async def deploy(self, *arguments: Any, **more: Any) -> Mapping[str, Any]:
        return await ended(self.send(*arguments, **more))

    async def deploy_locally(self, *arguments: Any, **more: Any) -> Mapping[str, Any]:
        return await ended(self.send_locally(*arguments, **more))


def answer(document: Path) -> Mapping[str, Any]:
    return read_json(document.with_name(f"{document.stem}.status.json")) or {}


async def ended(document: Path) -> Mapping[str, Any]:
    await until(lambda: answer(document).get("status") in FINAL)
    return answer(document)


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def played(tmp_path: Path, act: Callable[[Device], Awaitable[None]]) -> None:
    """Runs `act` with a device that is connected to a broker."""

    async def play() -> None:
        cloud = Cloud(tmp_path)
        await cloud.up()
        device = Device(cloud)
        try:
            await device.start()
            await until(lambda: bool(device.status["connected"]))
            await act(device)
        finally:
            await device.stop()
            await cloud.down()

    asyncio.run(play())


def test_what_the_thing_and_its_groups_want_is_combined(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        store = device.cloud.store
        for version in ("1.0.0", "1.5.0", "2.0.0"):
            store.add("model", version, SLEEP)
        store.add("app", "1.0.0", SLEEP, needs={"model": {"VersionRequirement": "<2.0.0"}})
        store.add("alarm", "1.0.0", SLEEP)

        await device.deploy("thinggroup/porch", {"model": ">=1.0.0"})
        assert device.versions == {"model": "2.0.0"}

        await device.deploy("thing/hub-1", {"app": "1.0.0", "alarm": "1.0.0"})
        assert device.versions == {"model": "1.5.0", "app": "1.0.0", "alarm": "1.0.0"}

        await device.deploy("thinggroup/porch", {})
        assert device.versions == {"model": "1.5.0", "app": "1.0.0", "alarm": "1.0.0"}

        await device.deploy("thing/hub-1", {"alarm": "1.0.0"})
        assert device.versions == {"alarm": "1.0.0"}
        assert device.roots() == {"thinggroup/porch": {}, "thing/hub-1": {"alarm": "1.0.0"}}

    played(tmp_path, act)


def test_a_conflict_between_targets_says_who_wants_what_and_changes_nothing(
    tmp_path: Path,
) -> None:
    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", SLEEP)
        device.cloud.store.add("app", "2.0.0", SLEEP)
        await device.deploy("thing/hub-1", {"app": "1.0.0"})

        refused = await device.deploy("thinggroup/porch", {"app": ">=2.0.0"})

        assert refused["detailedStatus"] == "FAILED_NO_STATE_CHANGE"
        assert (
            "thing/hub-1 wants 1.0.0; thinggroup/porch wants >=2.0.0; there is 1.0.0, 2.0.0"
            in refused["reason"]
        )
        assert device.versions == {"app": "1.0.0"}
        assert device.roots() == {"thing/hub-1": {"app": "1.0.0"}}

    played(tmp_path, act)


def test_a_group_that_the_device_has_left_takes_its_components_along(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.cloud.store.add("porch-light", "1.0.0", SLEEP)
        device.cloud.store.add("app", "1.0.0", SLEEP)
        write_json(device.cloud.groups, {"groups": {"porch": [THING]}})
        await device.deploy("thinggroup/porch", {"porch-light": "1.0.0"})
        await device.deploy("thing/hub-1", {"app": "1.0.0"})
        assert set(device.versions) == {"porch-light", "app"}

        write_json(device.cloud.groups, {"groups": {"porch": ["hub-2"]}})
        await device.deploy("thing/hub-1", {"app": "1.0.0"})

        assert set(device.versions) == {"app"}
        assert set(device.roots()) == {"thing/hub-1"}

    played(tmp_path, act)


def test_only_the_new_documents_configuration_is_applied_whatever_its_target(
    tmp_path: Path,
) -> None:
    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", SLEEP, defaults={"Word": "default", "Level": 1})
        await device.deploy("thing/hub-1", {"app": "*"}, {"app": {"Word": "thing"}})
        await device.deploy("thinggroup/porch", {"app": "*"}, {"app": {"Word": "group"}})
        await device.deploy("thing/hub-1", {"app": "*"}, {"app": {"Level": 2}})

        values = {key: leaf[1] for key, leaf in device.state["configuration"]["app"].items()}
        assert values == {"Word": "group", "Level": 2}

    played(tmp_path, act)


def test_what_cannot_be_reset_is_skipped_and_the_rest_is_reset(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        defaults = {"Words": ["a"], "Level": 1}
        device.cloud.store.add("app", "1.0.0", SLEEP, defaults=defaults)
        merge = {"app": {"Words": ["b", "c"], "Level": 2, "Mine": 3}}
        await device.deploy("thing/hub-1", {"app": "1.0.0"}, merge)

        pointers = ("/Words/0", "no pointer", "/Level", "/Mine", "/Unknown")
        done = await device.deploy("thing/hub-1", {"app": "1.0.0"}, reset=pointers)

        assert done["status"] == "SUCCEEDED"
        values = {key: leaf[1] for key, leaf in device.state["configuration"]["app"].items()}
        assert values == {"Words": ["b", "c"], "Level": 1}

    played(tmp_path, act)


def test_a_device_that_is_stopped_in_a_deployment_keeps_what_it_was_and_takes_it_up_again(
    tmp_path: Path,
) -> None:
    """Also when a component writes into its configuration with its last breath."""
    python = f"exec {sys.executable} {{artifacts:decompressedPath}}/code/bye.py"

    async def act(device: Device) -> None:
        store = device.cloud.store
        lifecycle = {**SLEEP, "Shutdown": python}
        store.add("app", "1.0.0", lifecycle, defaults={"Word": "old"}, files={"bye.py": BYE})
        store.add("slow", "1.0.0", {"Install": "test -e ../../go || sleep 100", **SLEEP})
        await device.deploy("thing/hub-1", {"app": "1.0.0"})
        before = device.state

        components = {"app": "1.0.0", "slow": "1.0.0"}
        path = device.send("thing/hub-1", components, {"app": {"Word": "new"}})
        await until(lambda: "slow" in device.status["components"])
        await device.stop()

        assert device.state["configuration"]["app"]["Bye"][1] == 1
        assert device.state["configuration"]["app"]["Word"][1] == "old"
        for part in ("components", "targets"):
            assert device.state[part] == before[part]

        (device.layout.root / "go").touch()
        await device.start()
        assert (await ended(path))["status"] == "SUCCEEDED"
        assert device.state["configuration"]["app"]["Word"][1] == "new"
        assert device.state["components"] == components

    played(tmp_path, act)


def test_a_rollback_restores_components_configuration_and_targets_exactly(
    tmp_path: Path,
) -> None:
    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", SLEEP, defaults={"Word": "one"})
        device.cloud.store.add("app", "2.0.0", FAILS, defaults={"Word": "two", "More": 1})
        device.cloud.store.add("extra", "1.0.0", SLEEP)
        await device.deploy("thinggroup/porch", {"app": "1.0.0"})
        await device.deploy("thing/hub-1", {"extra": "1.0.0"})
        before = {key: device.state[key] for key in ("components", "targets", "configuration")}

        failed = await device.deploy("thinggroup/porch", {"app": "2.0.0"}, {"app": {"Word": "x"}})

        assert failed["detailedStatus"] == "FAILED_ROLLBACK_COMPLETE"
        assert "app is BROKEN: Startup ended with exit status 7" in failed["reason"]
        assert {key: device.state[key] for key in before} == before
        assert device.versions == {"app": "1.0.0", "extra": "1.0.0"}

    played(tmp_path, act)


def test_without_rollback_a_failed_deployment_stays_and_its_target_with_it(
    tmp_path: Path,
) -> None:
    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", SLEEP)
        device.cloud.store.add("app", "2.0.0", FAILS)
        await device.deploy("thing/hub-1", {"app": "1.0.0"})

        failed = await device.deploy(
            "thing/hub-1", {"app": "2.0.0"}, failureHandlingPolicy="DO_NOTHING"
        )

        assert failed["detailedStatus"] == "FAILED_ROLLBACK_NOT_REQUESTED"
        assert device.status["components"]["app"]["state"] == "BROKEN"
        assert device.state["components"] == {"app": "2.0.0"}
        assert device.roots() == {"thing/hub-1": {"app": "2.0.0"}}

    played(tmp_path, act)


def test_deployments_for_a_device_without_a_network_wait_and_are_applied_in_order(
    tmp_path: Path,
) -> None:
    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", SLEEP, defaults={"Word": ""})
        device.cloud.store.add("alarm", "1.0.0", SLEEP)
        device.layout.offline.touch()
        await until(lambda: not device.status["connected"])
        assert device.status["network"] is False

        stale = device.send("thing/hub-1", {"alarm": "1.0.0"}, made=1)
        group = device.send("thinggroup/porch", {"app": "1.0.0"}, {"app": {"Word": "b"}}, made=3)
        own = device.send("thing/hub-1", {"app": "1.0.0"}, {"app": {"Word": "a"}}, made=2)
        local = await device.deploy_locally({"alarm": "1.0.0"})

        assert local["status"] == "SUCCEEDED"
        assert [answer(path) for path in (stale, own, group)] == [{}, {}, {}]

        await device.stop()
        await device.start()
        await until(lambda: device.status["components"]["alarm"]["state"] == "RUNNING")
        assert (device.status["network"], device.status["connected"]) == (False, False)
        assert answer(own) == {}

        device.layout.offline.unlink()
        last = await ended(group)
        assert (last["status"], answer(own)["status"]) == ("SUCCEEDED", "SUCCEEDED")
        assert answer(own)["updatedAt"] < last["updatedAt"]
        assert answer(stale)["status"] == "CANCELED"
        assert device.state["configuration"]["app"]["Word"][1] == "b"
        assert device.status["network"] is True

    played(tmp_path, act)


def test_a_local_deployment_adds_removes_and_configures_and_says_what_has_to_stay(
    tmp_path: Path,
) -> None:
    async def act(device: Device) -> None:
        for name in ("app", "tool", "other"):
            device.cloud.store.add(name, "1.0.0", SLEEP, defaults={"Word": "default"})
        await device.deploy("thing/hub-1", {"app": "1.0.0"})

        await device.deploy_locally({"tool": "1.0.0"}, merge={"app": {"Word": "local"}})
        await device.deploy_locally({"other": "1.0.0"})
        assert set(device.versions) == {"app", "tool", "other"}
        assert device.state["configuration"]["app"]["Word"][1] == "local"
        assert device.roots()["LOCAL_DEPLOYMENT"] == {"tool": "1.0.0", "other": "1.0.0"}

        removed = await device.deploy_locally({}, remove=("tool", "app"))
        assert set(device.versions) == {"app", "other"}
        assert removed["reason"] == "app stays: thing/hub-1 wants it"

        unknown = await device.deploy_locally({}, merge={"nobody": {"A": 1}})
        assert unknown["detailedStatus"] == "FAILED_NO_STATE_CHANGE"
        assert "nobody is configured, and is not among the components" in unknown["reason"]

    played(tmp_path, act)


@pytest.mark.parametrize(
    ("target", "policies", "reason"),
    [
        (
            "thing/hub-1",
            {"requiredCapabilities": ["LARGE_CONFIGURATION", "TELEPORT"]},
            "requiredCapabilities: this device does not know TELEPORT",
        ),
        ("thing/hub-2", {}, "configurationArn: it is for thing/hub-2, and this device is"),
    ],
    ids=["capability", "another thing"],
)
def test_what_the_device_cannot_do_is_rejected_with_the_reason(
    tmp_path: Path, target: str, policies: Mapping[str, Any], reason: str
) -> None:
    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", SLEEP)
        known = await device.deploy(
            "thing/hub-1", {}, requiredCapabilities=["SUB_DEPLOYMENTS", "LINUX_RESOURCE_LIMITS"]
        )

        rejected = await device.deploy(target, {"app": "1.0.0"}, **policies)

        assert known["status"] == "SUCCEEDED"
        assert (rejected["status"], rejected["detailedStatus"]) == ("REJECTED", "REJECTED")
        assert reason in rejected["reason"]
        assert device.versions == {}

    played(tmp_path, act)


def test_a_component_that_defers_is_asked_again_before_anything_of_it_changes(
    tmp_path: Path,
) -> None:
    """Also its configuration: until it agrees it has the one it runs with, and may write to it."""
    python = f"exec {sys.executable} {{artifacts:decompressedPath}}/code/d.py"

    async def act(device: Device) -> None:
        for version in ("1.0.0", "2.0.0"):
            device.cloud.store.add(
                "app", version, {"Run": python}, defaults={"Word": "old"}, files={"d.py": DEFERRER}
            )
        log = device.layout.log("app")
        await device.deploy("thing/hub-1", {"app": "1.0.0"})
        await until(lambda: "listening" in log.read_text())

        changed = await device.deploy("thing/hub-1", {"app": "2.0.0"}, {"app": {"Word": "new"}})

        assert changed["status"] == "SUCCEEDED"
        assert log.read_text().count("asked with old") == 2
        assert "asked with new" not in log.read_text()
        values = {key: leaf[1] for key, leaf in device.state["configuration"]["app"].items()}
        assert values == {"Word": "new", "Asked": 2}

        await until(lambda: log.read_text().count("listening") == 2)
        skipped = await device.deploy(
            "thing/hub-1",
            {"app": "1.0.0"},
            componentUpdatePolicy={"action": "SKIP_NOTIFY_COMPONENTS", "timeout": 60},
        )
        assert skipped["status"] == "SUCCEEDED"
        assert log.read_text().count("asked with") == 2

    played(tmp_path, act)


def test_a_device_that_ended_before_it_could_answer_answers_without_deploying_again(
    tmp_path: Path,
) -> None:
    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", {"Run": "echo x >> starts; exec sleep 1000"})
        path = device.send("thing/hub-1", {"app": "1.0.0"})
        await ended(path)
        await device.stop()
        status = path.with_name(f"{path.stem}.status.json")
        status.write_text(json.dumps({**answer(path), "status": "IN_PROGRESS"}))
        (device.cloud.store.components / "app/1.0.0.json").unlink()

        await device.start()
        assert (await ended(path))["detailedStatus"] == "SUCCESSFUL"

    played(tmp_path, act)
