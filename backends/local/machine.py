"""What this machine can execute."""

import platform as host

from backends.artifacts import Platform
from backends.errors import BackendUnavailableError

MACHINES: dict[str, Platform] = {
    "x86_64": "linux-x86_64",
    "amd64": "linux-x86_64",
    "aarch64": "linux-aarch64",
    "arm64": "linux-aarch64",
    "armv7l": "linux-armv7l",
    "armv8l": "linux-armv7l",
}


def this_platform() -> Platform:
    """The platform of this machine. Raises BackendUnavailableError for one that we do not know."""
    machine = host.machine().lower()
    if machine not in MACHINES:
        known = ", ".join(sorted(MACHINES))
        raise BackendUnavailableError(
            f"a device on {machine}", "no platform of ours", f"Use {known}."
        )
    return MACHINES[machine]
