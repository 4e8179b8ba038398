"""The core devices of this machine and their cloud side: the Fleet port, and what the CLI does."""

import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from backends.artifacts import Deployment, DeviceResult, Platform
from backends.errors import (
    BackendBlockedError,
    BackendUnavailableError,
    DeploymentError,
    InvalidInputError,
)
from backends.local.admission import check_components
from backends.local.crews import Crew, crew_of
from backends.local.deployment_document import new_local_document, outcome, withdraw
from backends.local.deployment_request import DeploymentRequest, new_request
from backends.local.deployments import Deployments, Record
from backends.local.device_kind import choose, known_kind
from backends.local.device_status import ComponentStatus, DeviceStatus, running, stopped
from backends.local.example_requests import Examples
from backends.local.files import read_json, write_json
from backends.local.groups import Groups
from backends.local.history import former_deployment
from backends.local.machine import this_platform
from backends.local.nucleus.kind import Kind
from backends.local.processes import Background, Processes
from backends.local.results import ResultReader, parse_moment
from backends.local.scene import set_scene
from backends.local.targets import Target
from backends.settings import PROJECT, Settings
from edge.contract import THING_NAME

__all__ = ["ComponentStatus", "DeviceStatus", "LocalFleet", "check_thing"]

CLOUD = "cloud"
READY_SECONDS = 60.0
DEPLOY_SECONDS = 600.0
_OFFLINE = "config/offline"
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
        self._crews = self._root / "crews"
        self._processes = Processes(self._root / "processes")
        self._deploy_seconds = deploy_seconds
        self._settle_seconds = settle_seconds
        self.groups = Groups(self._cloud / "groups.json")
        self.deployments = Deployments(self._cloud / "fleet", self._cloud / "deployments")
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
        check_thing(thing)
        return self._deploy(thing, new_request(Target("thing", thing), components, merge, {}))

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
        reset = dict.fromkeys(former.components, ("",))
        target = Target("thing", thing)
        self._deploy(thing, new_request(target, former.components, former.merge, reset))

    def deployed(self, thing: str) -> tuple[Mapping[str, str], Mapping[str, Mapping[str, object]]]:
        """Versions and merges by component, of the last deployment to `thing` that succeeded."""
        check_thing(thing)
        last = former_deployment(self._deployments(thing), datetime.now(UTC))
        return last.components, last.merge

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

    def start_device(self, thing: str, nucleus: Kind | None = None) -> Background:
        """The thing's core device (and the cloud side), started if need be.

        It comes back with the components it had, and as the kind of nucleus that it was (classic,
        at first) unless another is given. Raises InvalidInputError, BackendUnavailableError.
        """
        check_thing(thing)
        root, name = self._thing(thing), _process_name(thing)
        runs = self._player(thing) is not None
        kind = choose(root, nucleus, running=runs)
        self.ensure_cloud()
        if not runs:
            self._save_identity(thing, kind)
        if (crew := crew_of(self._crews, root)) is not None:
            return self._start_crew(crew, [root])
        command = [sys.executable, "-m", "backends.local.nucleus", str(root)]
        process = self._start(name, command, root / "logs" / "greengrass.log")
        self._wait_until(process, f"the device {thing}", lambda: _plays(process, root))
        return process

    def simulate(self, count: int, prefix: str, group: str = "") -> list[str]:
        """`count` things (`prefix`-1, …) in one process, and in `group`; their names.

        Those that run already go on. Raises InvalidInputError, BackendUnavailableError.
        """
        things = [check_thing(f"{prefix}-{number}") for number in range(1, count + 1)]
        crew = Crew(self._crews, prefix)
        for thing in things:
            root = self._thing(thing)
            known = crew_of(self._crews, root)
            if (root / "config/device.json").exists() and (known is None or known.name != prefix):
                remedy = "Choose another --prefix."
                raise InvalidInputError(thing, "it is a device of its own already", remedy)
        self.ensure_cloud()
        if group:
            self.groups.add(group, things)
        for thing in things:
            if not (self._thing(thing) / "config/device.json").exists():
                self._save_identity(thing, "classic")
            crew.enrol(self._thing(thing))
        self._start_crew(crew, [self._thing(thing) for thing in things])
        return things

    def stop_device(self, thing: str) -> bool:
        """Ends the device and its components; whether it ran."""
        check_thing(thing)
        root = self._thing(thing)
        crew = crew_of(self._crews, root)
        if crew is None:
            return self._stop(_process_name(thing))
        process = self._player(thing)
        left = crew.remove(root)
        if process is None:
            return False
        if not left:
            return self._stop(process.name)
        self._wait_until(process, f"the end of {thing}", lambda: not _plays(process, root))
        return True

    def stop_started(self) -> None:
        """Ends what this object started, devices before the cloud side."""
        for name in reversed(list(self.started)):
            self._stop(name)

    def stop_cloud(self) -> bool:
        """Ends the broker and the topic rules, and leaves the devices; whether they ran."""
        return self._stop(CLOUD)

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
        process = self._player(thing)
        if process is None:
            network = not (root / _OFFLINE).exists()
            state = read_json(root / "config/state.json") or {}
            return stopped(thing, state, network, known_kind(root))
        status = read_json(root / "status.json") or {}
        return running(thing, process.pid, status, known_kind(root))

    def deployments_to(self, thing: str) -> list[dict[str, str]]:
        """The last deployment to the thing itself, and to each of its groups."""
        groups = [f"group/{name}" for name, things in self.groups.all().items() if thing in things]
        return self.deployments.last_of(thing, [f"thing/{thing}", *sorted(groups)])

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

    def start_deployment(self, request: DeploymentRequest) -> Record:
        """Begins to carry out `request`; the cloud side goes on with it by itself.

        Raises InvalidInputError when there is no such target, component or version.
        """
        target = request.target
        if target.kind == "thing":
            self.device(target.name)
        else:
            self.groups.members(target.name)
        check_components(request, self._root / "components")
        self.ensure_cloud()
        return self.deployments.create(request)

    def _deploy(self, thing: str, request: DeploymentRequest) -> Deployment:
        self.start_device(thing)
        record = self.deployments.create(request)
        path = self.deployments.document(thing, record.id)
        try:
            answer = self._wait_for_end(thing, path)
        except KeyboardInterrupt:
            self.deployments.cancel(record.id)
            withdraw(thing, path, "withdrawn")
            raise
        return _succeeded(outcome(thing, record.id, answer))

    def _start_crew(self, crew: Crew, roots: Sequence[Path]) -> Background:
        if self._processes.find(crew.process_name) is None:
            crew.play(roots)
        else:
            crew.add(roots)
        command = [sys.executable, "-m", "backends.local.nucleus", "--crew", str(crew.path)]
        process = self._start(crew.process_name, command, self._crews / f"{crew.name}.log")
        waiting = list(roots)

        def all_play() -> bool:
            while waiting and _plays(process, waiting[-1]):
                waiting.pop()
            return not waiting

        seconds = READY_SECONDS + len(roots)
        self._wait_until(process, f"the devices of {crew.name}", all_play, seconds)
        return process

    def _player(self, thing: str) -> Background | None:
        """The process that plays the thing now."""
        root = self._thing(thing)
        crew = crew_of(self._crews, root)
        process = self._processes.find(crew.process_name if crew else _process_name(thing))
        if crew is not None and process is not None and not _plays(process, root):
            return None
        return process

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
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])
            ),
            "EDGEWARD_HOME": str(self._root),
            "EDGEWARD_MQTT__HOST": mqtt.host,
            "EDGEWARD_MQTT__PORT": str(mqtt.port),
            "EDGEWARD_MQTT__USERNAME": mqtt.username,
            "EDGEWARD_MQTT__PASSWORD": mqtt.password.get_secret_value(),
        }

    def _save_identity(self, thing: str, nucleus: Kind) -> None:
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
            groups=self._cloud / "groups.json",
            password=password,
            nucleus=nucleus,
            settle=self._settle_seconds,
        )
        save(layout, identity)

    def _wait_until(
        self,
        process: Background,
        what: str,
        ready: Callable[[], bool],
        seconds: float = READY_SECONDS,
    ) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if not process.is_running():
                self._stop(process.name)
                raise _died(what, process)
            if time.monotonic() > deadline:
                self._stop(process.name)
                reason = f"it was not ready after {seconds:g} s"
                raise BackendUnavailableError(what, reason, f"See {process.log}.")
            time.sleep(_TICK)

    def _wait_for_end(self, thing: str, path: Path) -> Mapping[str, Any]:
        deadline = time.monotonic() + self._deploy_seconds
        root = self._thing(thing)
        status = path.with_name(f"{path.stem}.status.json")
        while True:
            answer = read_json(status) or {}
            if answer.get("status") in ("SUCCEEDED", "FAILED", "REJECTED", "CANCELED"):
                return answer
            if time.monotonic() > deadline:
                reason = f"it did not end within {self._deploy_seconds:g} s"
                raise DeploymentError(thing, path.stem, "TIMED_OUT", reason)
            if self._player(thing) is None:
                reason = "the device stopped meanwhile; it takes the deployment up when it returns"
                raise DeploymentError(thing, path.stem, "QUEUED", reason)
            if status.parent == self._deployments(thing) and (root / _OFFLINE).exists():
                reason = "the device has no network; it takes the deployment up when it is online"
                raise DeploymentError(thing, path.stem, "QUEUED", reason)
            time.sleep(_TICK)

    def set_network(self, thing: str, on: bool) -> None:
        """Takes the device's network away, or gives it back; both outlast a restart of the device.

        Returns when a device that runs has seen it. Raises InvalidInputError when there is none.
        """
        self.device(thing)
        switch = self._thing(thing) / _OFFLINE
        if on:
            switch.unlink(missing_ok=True)
        else:
            switch.touch()
        deadline = time.monotonic() + READY_SECONDS
        while (device := self.device(thing)).running:
            if device.network is on and (on or not device.connected):
                return
            if time.monotonic() > deadline:
                reason = f"it did not see its network switch within {READY_SECONDS:g} s"
                raise BackendUnavailableError(thing, reason, "See `edgeward device logs`.")
            time.sleep(_TICK)

    def deploy_locally(
        self,
        thing: str,
        components: Mapping[str, str] = MappingProxyType({}),
        remove: Sequence[str] = (),
        merge: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
    ) -> Deployment:
        """Deploys on the device itself, with or without a network; waits for the end.

        Adds `components` to those that were deployed so before, less `remove`; `merge` may name any
        component of the device. Raises InvalidInputError, BackendUnavailableError, DeploymentError.
        """
        self.start_device(thing)
        identifier = str(uuid.uuid4())
        path = self._thing(thing) / "deployments" / f"{identifier}.json"
        write_json(path, new_local_document(identifier, components, remove, merge))
        return _succeeded(outcome(thing, identifier, self._wait_for_end(thing, path)))


def check_thing(thing: str) -> str:
    """Raises InvalidInputError unless `thing` is a name that AWS IoT would take."""
    if not re.fullmatch(THING_NAME, thing):
        remedy = "Use 1 to 128 letters, digits, ':', '_' or '-'."
        raise InvalidInputError("thing", f"{thing!r} is no thing's name", remedy)
    return thing


def _succeeded(deployment: Deployment) -> Deployment:
    """Raises DeploymentError if it did not end well."""
    if deployment.status != "SUCCEEDED":
        status = deployment.detailed_status or deployment.status
        raise DeploymentError(deployment.thing, deployment.id, status, deployment.reason)
    return deployment


def _process_name(thing: str) -> str:
    return f"thing-{thing}"


def _plays(process: Background, root: Path) -> bool:
    return (read_json(root / "status.json") or {}).get("pid") == process.pid


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
