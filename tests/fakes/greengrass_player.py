"""Makes the deployments of the Greengrass fake real, on a core device of this machine.

    with CoreDevicePlayer(greengrass, account, tmp_path / "hub", "hub-1", broker.plain_port):
        ...

What the fake's deployments ask of the thing is fetched (recipes from the service, artifacts by
their signed addresses), handed to the unchanged local core device as the job document that it would
get from IoT, and its answer is reported back. Its components are processes; what they publish goes
to the broker.
"""

import threading
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from backends.aws.account import Account
from backends.local.deployment_document import withdraw
from backends.local.files import read_json, write_json
from backends.local.fleet import LocalFleet
from backends.settings import MqttSettings, Settings
from tests.fakes.greengrass_answers import component_arn
from tests.fakes.greengrass_deployments import ENDED, Deployed
from tests.fakes.greengrass_server import GreengrassServer

_TICK = 0.1
_ILL = ("BROKEN", "ERRORED")


class CoreDevicePlayer:
    """One thing. `online` False: it takes nothing up, and has no network. Ends with the block."""

    def __init__(
        self,
        greengrass: GreengrassServer,
        account: Account,
        home: Path,
        thing: str,
        mqtt_port: int,
        groups: tuple[str, ...] = (),
    ) -> None:
        self._cloud = greengrass.cloud
        self._client = account.client("greengrassv2")
        self._home = home
        self._thing = thing
        self._groups = groups
        mqtt = MqttSettings(host="127.0.0.1", port=mqtt_port)
        self.local = LocalFleet(Settings(home=home, mqtt=mqtt), settle_seconds=1)
        self._handed: dict[str, Path] = {}
        self._over = threading.Event()
        self._online = True
        self._thread = threading.Thread(target=self._play)
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._cloud.register_device(self._thing, "amd64", *self._groups)
        self.local.start_device(self._thing)
        for group in self._groups:
            self.local.groups.add(group, [self._thing])
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self.local.stop_everything()
        if self._failure is not None and error is None:
            raise self._failure

    def go(self, online: bool) -> None:
        """Takes the device's network away, or gives it back."""
        self._online = online
        self.local.set_network(self._thing, online)

    def configuration(self, component: str) -> dict[str, Any]:
        """What a component of the device is configured to do now."""
        state = read_json(self._home / "things" / self._thing / "config/state.json") or {}
        leaves = state.get("configuration", {}).get(component, {})
        return {key: leaf[1] for key, leaf in leaves.items() if isinstance(leaf, list)}

    def _play(self) -> None:
        try:
            while not self._over.wait(_TICK):
                self._tick()
        except BaseException as error:  # noqa: BLE001 - told at the end of the block
            self._failure = error

    def _tick(self) -> None:
        if not self._online:
            return
        for deployed in self._cloud.waiting_for(self._thing):
            if deployed.id not in self._handed:
                self._handed[deployed.id] = self._hand_over(deployed)
        for identifier, path in list(self._handed.items()):
            self._report(identifier, path)
        self._tell_of_components()

    def _hand_over(self, deployed: Deployed) -> Path:
        self._fetch_components()
        path = self._home / "cloud/deployments" / self._thing / f"{deployed.id}.json"
        write_json(path, deployed.document())
        return path

    def _report(self, identifier: str, path: Path) -> None:
        execution = self._cloud.deployments[identifier].executions[self._thing]
        if execution.status in ENDED:
            if execution.status == "CANCELED":
                withdraw(self._thing, path, "canceled in the cloud")
            del self._handed[identifier]
            return
        answer = read_json(path.with_name(f"{path.stem}.status.json")) or {}
        status, detailed = answer.get("status", "QUEUED"), answer.get("detailedStatus", "")
        if status in ("QUEUED", execution.status):
            return
        reason = ": ".join(filter(None, (detailed, answer.get("reason", ""))))
        self._cloud.report(self._thing, identifier, status, reason)

    def _tell_of_components(self) -> None:
        device = self._cloud.devices[self._thing]
        components = self.local.device(self._thing).components
        device.installed = [
            {
                "componentName": name,
                "componentVersion": component.version,
                "lifecycleState": component.state,
                "isRoot": True,
            }
            for name, component in components.items()
        ]
        ill = any(component.state in _ILL for component in components.values())
        device.status = "UNHEALTHY" if ill else "HEALTHY"

    def _fetch_components(self) -> None:
        """Everything that the account holds: which versions fit is the device's to say."""
        for listed in self._pages("list_components", "components"):
            name = listed["componentName"]
            arn = component_arn(name)
            for entry in self._pages("list_component_versions", "componentVersions", arn=arn):
                path = self._home / "components" / name / f"{entry['componentVersion']}.yaml"
                if not path.exists():
                    self._fetch(entry["arn"], path)

    def _fetch(self, arn: str, path: Path) -> None:
        recipe = yaml.safe_load(self._client.get_component(arn=arn)["recipe"])
        for manifest in recipe["Manifests"]:
            for artifact in manifest.get("Artifacts", []):
                bucket, _, key = artifact["Uri"].removeprefix("s3://").partition("/")
                into = self._home / "objects" / bucket / key
                into.parent.mkdir(parents=True, exist_ok=True)
                place = self._client.get_component_version_artifact(
                    arn=arn, artifactName=key.rpartition("/")[2]
                )
                with urllib.request.urlopen(place["preSignedUrl"], timeout=60) as content:
                    into.write_bytes(content.read())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(recipe, sort_keys=False))

    def _pages(self, operation: str, member: str, **asked: str) -> list[dict[str, Any]]:
        pages = self._client.get_paginator(operation).paginate(**asked)
        return [entry for page in pages for entry in page.get(member, ())]
