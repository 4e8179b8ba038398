"""The core devices of this machine: the processes that play them, their identity and network."""

import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from backends.errors import BackendBlockedError, BackendUnavailableError, InvalidInputError
from backends.local.crews import Crew, crew_of
from backends.local.device_kind import choose, known_kind
from backends.local.device_status import DeviceStatus, running, stopped
from backends.local.files import read_json
from backends.local.groups import Groups
from backends.local.nucleus.kind import Kind
from backends.local.processes import Background, Processes
from backends.settings import PROJECT, Settings
from edge.contract import THING_NAME

CLOUD = "cloud"
OFFLINE = "config/offline"
READY_SECONDS = 60.0
TICK = 0.05
_LAST_LINES = 20


class CoreDevices:
    """Devices under `<home>/things`, their cloud side under `<home>/cloud`.

    `started` names the background processes that this object started, oldest first; a run that
    fails ends just those with `stop_started()`.
    """

    def __init__(self, settings: Settings, settle_seconds: float) -> None:
        self._settings = settings
        self._root = settings.root
        self._cloud = self._root / "cloud"
        self._crews = self._root / "crews"
        self._processes = Processes(self._root / "processes")
        self._settle_seconds = settle_seconds
        self.groups = Groups(self._cloud / "groups.json")
        self.started: list[str] = []

    def ensure_cloud(self) -> Background:
        """The cloud side, started if need be; devices can connect when this returns.

        Except to a given broker (EDGEWARD_MQTT__HOST) that is away: they connect when it is there.
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
        """Ends the device and its components; whether it ran.

        Raises InvalidInputError when there is no such thing.
        """
        self.device(thing)
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

    def stop_everything(self, last: str = "") -> list[str]:
        """Ends all background processes of this EDGEWARD_HOME, `last` at the end; their names."""
        running = [process.name for process in self._processes.all()]
        names = sorted(running, key=lambda name: (name == last, name == CLOUD))
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
        kept = root / "config/state.json.damaged"
        damaged = str(kept) if kept.exists() else ""
        process = self._player(thing)
        if process is None:
            network = not (root / OFFLINE).exists()
            state = read_json(root / "config/state.json") or {}
            return stopped(thing, state, network, known_kind(root), damaged)
        status = read_json(root / "status.json") or {}
        return running(thing, process.pid, status, known_kind(root), damaged)

    def set_network(self, thing: str, on: bool) -> None:
        """Takes the device's network away, or gives it back; both outlast a restart of the device.

        Returns when a device that runs has seen it. Raises InvalidInputError when there is none.
        """
        self.device(thing)
        switch = self._thing(thing) / OFFLINE
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
            time.sleep(TICK)

    def logs(self, thing: str) -> dict[str, Path]:
        """The current log files: `greengrass` is the device's own, the others are components'."""
        self.device(thing)
        return {path.stem: path for path in sorted((self._thing(thing) / "logs").glob("*.log"))}

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
            deployments=self._cloud / "deployments" / thing,
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
            time.sleep(TICK)


def check_thing(thing: str) -> str:
    """Raises InvalidInputError unless `thing` is a name that AWS IoT would take."""
    if not re.fullmatch(THING_NAME, thing):
        remedy = "Use 1 to 128 letters, digits, ':', '_' or '-'."
        raise InvalidInputError("thing", f"{thing!r} is no thing's name", remedy)
    return thing


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
