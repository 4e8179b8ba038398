"""What a device of this machine is doing: read from its files, for people and programs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    version: str
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """A thing as it is now; what its components were, when it does not run.

    `network` is false while the device was told to be offline. `damaged` is the file of a state
    that it could not read, until somebody deletes that file.
    """

    thing: str
    running: bool
    pid: int | None
    connected: bool
    components: Mapping[str, ComponentStatus] = field(default_factory=dict)
    last_deployment: Mapping[str, str] | None = None
    network: bool = True
    nucleus: str = "classic"
    damaged: str = ""


def running(
    thing: str, pid: int, status: Mapping[str, Any], nucleus: str, damaged: str
) -> DeviceStatus:
    """Of a process `pid`, by the status file that it keeps."""
    components = {
        name: ComponentStatus(str(c["version"]), str(c["state"]), str(c.get("reason", "")))
        for name, c in status.get("components", {}).items()
    }
    connected, network = bool(status.get("connected")), bool(status.get("network", True))
    last = status.get("deployment")
    return DeviceStatus(thing, True, pid, connected, components, last, network, nucleus, damaged)


def stopped(
    thing: str, state: Mapping[str, Any], network: bool, nucleus: str, damaged: str
) -> DeviceStatus:
    """Of a device that is off, by the state that it would come back with."""
    known = state.get("components")
    components = {
        name: ComponentStatus(str(version), "STOPPED")
        for name, version in (known.items() if isinstance(known, Mapping) else ())
    }
    last = state.get("deployment")
    return DeviceStatus(thing, False, None, False, components, last, network, nucleus, damaged)
