"""The core devices of this machine and their cloud side: the Fleet port, and what the CLI does."""

import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backends.artifacts import Deployment, DeviceResult, Platform
from backends.errors import (
    BackendBlockedError,
    BackendUnavailableError,
    DeploymentError,
    InvalidInputError,
)
from backends.local.deployment_document import new_document, outcome, withdraw
from backends.local.device_status import ComponentStatus, DeviceStatus, running, stopped
from backends.local.example_requests import Examples
from backends.local.files import read_json, write_json
from backends.local.history import former_deployment
from backends.local.machine import this_platform
from backends.local.processes import Background, Processes
from backends.local.results import ResultReader, parse_moment
from backends.local.scene import set_scene
from backends.settings import PROJECT, Settings
from edge.contract import THING_NAME

__all__ = ["ComponentStatus", "DeviceStatus", "LocalFleet", "check_thing"]

CLOUD = "cloud"
READY_SECONDS = 60.0
DEPLOY_SECONDS = 600.0
_TICK = 0.05
_LAST_LINES = 20


class LocalFleet:
    """Devices under `<home>/things`, their cloud side under `<home>/cloud`.

    `started` names the background processes that this object started, oldest first; a run that
    fails ends just those with `stop_started()`.
    """

    def __init__(
        self,
        settings: Settings,
        deploy_seconds: float = DEPLOY_SECONDS,
        settle_seconds: float = 3.0,
    ) -> None:
        self._settings = settings
        self._root = settings.root
        self._cloud = self._root / "cloud"
        self._processes = Processes(self._root / "processes")
        self._deploy_seconds = deploy_seconds
        self._settle_seconds = settle_seconds
        self.started: list[str] = []

    def deploy(
        self,
        thing: str,
        components: Mapping[str, str],
        merge: Mapping[str, Mapping[str, object]],
    ) -> Deployment:
        """Deploy `components` (name to version or requirement); wait for the end.

        Components that are not named are removed from the device. Starts the device if it does not
        run. Raises InvalidInputError, BackendUnavailableError, DeploymentError.
        """
        unknown = sorted(set(merge) - set(components))
        if unknown:
            reason = f"{unknown[0]} is configured, and not deployed"
            raise InvalidInputError("deployment", reason, "Name it among the components.")
        return self._deploy(
            thing, lambda identifier: new_document(thing, identifier, components, merge)
        )

    def results(self, thing: str, since: str, count: int, timeout: float) -> Sequence[DeviceResult]:
        """See the port. A device that does not run delivers nothing; that is no error."""
        check_thing(thing)
        return ResultReader(self._cloud / "results", thing, since).wait(count, timeout)

    def platform_of(self, thing: str) -> Platform:
        """What this machine is: the devices are its processes."""
        check_thing(thing)
        return this_platform()

    def place_pictures(self, thing: str, pictures: Sequence[Path]) -> Path:
        """See the port. The pictures are copied to `<thing>/camera`."""
        check_thing(thing)
        return set_scene(self._thing(thing) / "camera", pictures)

    def roll_back(self, thing: str, before: str) -> None:
        """See the port. With nothing deployed before that moment, the device then runs nothing.

        Configuration goes back to the recipes' defaults and what that former deployment merged.
        """
        check_thing(thing)
        former = former_deployment(self._deployments(thing), parse_moment(before))
        self._deploy(
            thing,
            lambda identifier: new_document(
                thing, identifier, former.components, former.merge, reset=[""]
            ),
        )

    def ensure_cloud(self) -> Background:
        """The cloud side, started if need be; devices can connect when this returns.

        Raises BackendUnavailableError, which names a port that is taken.
        """
        log = self._cloud / "cloud.log"
        command = [sys.executable, "-m", "backends.local.cloud", "--home", str(self._root)]
        process = self._start(CLOUD, command, log)
        self._wait_until(
            process,
            "the cloud side of the devices",
            lambda: (read_json(self._cloud / "endpoint.json") or {}).get("pid") == process.pid,
        )
        return process

    def start_device(self, thing: str) -> Background:
        """The thing's core device (and the cloud side), started if need be.

        It comes back with the components it had. Raises InvalidInputError, BackendUnavailableError.
        """
        check_thing(thing)
        self.ensure_cloud()
        root = self._thing(thing)
        name = _process_name(thing)
        if self._processes.find(name) is None:
            self._save_identity(thing)
        command = [sys.executable, "-m", "backends.local.nucleus", str(root)]
        process = self._start(name, command, root / "logs" / "greengrass.log")
        self._wait_until(
            process,
            f"the device {thing}",
            lambda: (read_json(root / "status.json") or {}).get("pid") == process.pid,
        )
        return process

    def stop_device(self, thing: str) -> bool:
        """Ends the device and its components; whether it ran."""
        check_thing(thing)
        return self._stop(_process_name(thing))

    def stop_started(self) -> None:
        """Ends what this object started, devices before the cloud side."""
        for name in reversed(list(self.started)):
            self._stop(name)

    def stop_everything(self) -> list[str]:
        """Ends all background processes of this EDGEWARD_HOME; their names."""
        names = sorted((p.name for p in self._processes.all()), key=lambda name: name == CLOUD)
        return [name for name in names if self._stop(name)]

    def devices(self) -> list[DeviceStatus]:
        folders = sorted((self._root / "things").glob("*/config/device.json"))
        return [self.device(path.parents[1].name) for path in folders]

    def device(self, thing: str) -> DeviceStatus:
        """Raises InvalidInputError when there is no such thing."""
        check_thing(thing)
        root = self._thing(thing)
        if not (root / "config/device.json").is_file():
            remedy = "See `edgeward device list`, or start it with `edgeward device start`."
            raise InvalidInputError(thing, "there is no such device", remedy)
        process = self._processes.find(_process_name(thing))
        if process is None:
            return stopped(thing, read_json(root / "config/state.json") or {})
        return running(thing, process.pid, read_json(root / "status.json") or {})

    @property
    def examples(self) -> Examples:
        """The hard examples of the devices."""
        return Examples(self._cloud)

    @property
    def alerts(self) -> Path:
        """The folder of the table of alerts."""
        return self._cloud / "alerts"

    def logs(self, thing: str) -> dict[str, Path]:
        """The current log files: `greengrass` is the device's own, the others are components'."""
        self.device(thing)
        return {path.stem: path for path in sorted((self._thing(thing) / "logs").glob("*.log"))}

    def _deploy(self, thing: str, document: Callable[[str], Mapping[str, Any]]) -> Deployment:
        self.start_device(thing)
        identifier = str(uuid.uuid4())
        path = self._deployments(thing) / f"{identifier}.json"
        write_json(path, document(identifier))
        try:
            answer = self._wait_for_end(thing, path)
        except KeyboardInterrupt:
            withdraw(thing, path)
            raise
        deployment = outcome(thing, identifier, answer)
        if deployment.status != "SUCCEEDED":
            status = deployment.detailed_status or deployment.status
            raise DeploymentError(thing, identifier, status, deployment.reason)
        return deployment

    def _thing(self, thing: str) -> Path:
        return self._root / "things" / thing

    def _deployments(self, thing: str) -> Path:
        return self._cloud / "deployments" / thing

    def _start(self, name: str, command: Sequence[str], log: Path) -> Background:
        try:
            process, fresh = self._processes.start(name, command, self._environment(), log)
        except OSError as error:
            raise BackendUnavailableError(name, f"it cannot be started: {error}") from error
        if fresh:
            self.started.append(name)
        return process

    def _stop(self, name: str) -> bool:
        if name in self.started:
            self.started.remove(name)
        return self._processes.stop(name)

    def _environment(self) -> dict[str, str]:
        """The caller's, with our settings spelled out: the process has its own working folder."""
        mqtt = self._settings.mqtt
        return {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "EDGEWARD_HOME": str(self._root),
            "EDGEWARD_MQTT__HOST": mqtt.host,
            "EDGEWARD_MQTT__PORT": str(mqtt.port),
            "EDGEWARD_MQTT__USERNAME": mqtt.username,
            "EDGEWARD_MQTT__PASSWORD": mqtt.password.get_secret_value(),
        }

    def _save_identity(self, thing: str) -> None:
        from backends.local.cloud.passwords import Passwords
        from backends.local.nucleus.identity import Identity, save
        from backends.local.nucleus.layout import Layout

        layout = Layout(self._thing(thing))
        passwords = Passwords(self._cloud / "passwords.json")
        known = str((read_json(layout.device) or {}).get("password", ""))
        password = known if passwords.check(thing, known) else passwords.issue(thing)
        identity = Identity(
            thing=thing,
            components=self._root / "components",
            objects=self._root / "objects",
            deployments=self._deployments(thing),
            endpoint=self._cloud / "endpoint.json",
            password=password,
            settle=self._settle_seconds,
        )
        save(layout, identity)

    def _wait_until(self, process: Background, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if not process.is_running():
                self._stop(process.name)
                raise _died(what, process)
            if time.monotonic() > deadline:
                self._stop(process.name)
                reason = f"it was not ready after {READY_SECONDS:g} s"
                raise BackendUnavailableError(what, reason, f"See {process.log}.")
            time.sleep(_TICK)

    def _wait_for_end(self, thing: str, path: Path) -> Mapping[str, Any]:
        deadline = time.monotonic() + self._deploy_seconds
        status = path.with_name(f"{path.stem}.status.json")
        while True:
            answer = read_json(status) or {}
            if answer.get("status") in ("SUCCEEDED", "FAILED", "REJECTED", "CANCELED"):
                return answer
            if time.monotonic() > deadline:
                reason = f"it did not end within {self._deploy_seconds:g} s"
                raise DeploymentError(thing, path.stem, "TIMED_OUT", reason)
            if self._processes.find(_process_name(thing)) is None:
                reason = "the device stopped meanwhile; it takes the deployment up when it returns"
                raise DeploymentError(thing, path.stem, "QUEUED", reason)
            time.sleep(_TICK)


def check_thing(thing: str) -> str:
    """Raises InvalidInputError unless `thing` is a name that AWS IoT would take."""
    if not re.fullmatch(THING_NAME, thing):
        remedy = "Use 1 to 128 letters, digits, ':', '_' or '-'."
        raise InvalidInputError("thing", f"{thing!r} is no thing's name", remedy)
    return thing


def _process_name(thing: str) -> str:
    return f"thing-{thing}"


def _died(what: str, process: Background) -> BackendBlockedError:
    """The last complaint in its log is the reason."""
    try:
        lines = process.log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    complaints = [line for line in lines[-_LAST_LINES:] if " CRITICAL " in line]
    reason = (complaints or lines or ["it ended at once"])[-1]
    message = reason.partition("__main__: ")[2] or reason
    return BackendBlockedError(what, message.rstrip("."), f"See {process.log}.")
