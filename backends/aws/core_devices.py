"""What Greengrass knows of core devices: what they are, how they are, and who is in a group."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from backends.artifacts import Platform
from backends.aws.account import Account
from backends.aws.faults import missing, told
from backends.errors import InvalidInputError

MEMBERS = 500
"""Core devices of a group that are looked at."""

_PLATFORMS: dict[str, Platform] = {
    "amd64": "linux-x86_64",
    "x86_64": "linux-x86_64",
    "aarch64": "linux-aarch64",
    "arm64": "linux-aarch64",
    "arm": "linux-armv7l",
    "armv7l": "linux-armv7l",
}
_ILL = ("BROKEN", "ERRORED")


class CoreDevices:
    """Every method raises BackendUnavailableError or BackendBlockedError, and may be repeated."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def platform_of(self, thing: str) -> Platform:
        """Raises InvalidInputError: no such core device, or one that we do not build for."""
        device = self._described(thing)
        system = str(device.get("platform") or "linux").lower()
        architecture = str(device.get("architecture") or "").lower()
        if system != "linux" or architecture not in _PLATFORMS:
            known = ", ".join(sorted(set(_PLATFORMS)))
            reason = f"it is {system or '?'}/{architecture or '?'} ({_heard(device)})"
            raise InvalidInputError(thing, reason, f"Use a Linux device of {known}.")
        return _PLATFORMS[architecture]

    def health(self, thing: str) -> str:
        """How Greengrass sees it, for a person: when it was heard of, and what is broken on it."""
        device = self._described(thing)
        status = str(device.get("status", ""))
        said = f"{thing} is {status}, {_heard(device)}"
        if status != "UNHEALTHY":
            return said
        ill = ", ".join(f"{name} {state}" for name, state in self._ill(thing))
        return f"{said}: {ill}" if ill else said

    def members(self, group_arn: str) -> list[str]:
        """The core devices of a thing group, at most MEMBERS; none, where there is no group."""
        pages = self._greengrass.get_paginator("list_core_devices")
        with told("greengrass", "ListCoreDevices", group_arn):
            try:
                found = (
                    str(entry["coreDeviceThingName"])
                    for page in pages.paginate(thingGroupArn=group_arn)
                    for entry in page.get("coreDevices", ())
                )
                return list(islice(found, MEMBERS))
            except ClientError as error:
                if missing(error):
                    return []
                raise

    def _described(self, thing: str) -> Mapping[str, Any]:
        with told("greengrass", "GetCoreDevice", thing):
            try:
                device: Mapping[str, Any] = self._greengrass.get_core_device(
                    coreDeviceThingName=thing
                )
            except ClientError as error:
                if not missing(error):
                    raise
                region = self._account.region
                raise InvalidInputError(
                    thing,
                    f"there is no such Greengrass core device in {region}",
                    "Install Greengrass on it (docs/how-to/aws.md), or check EDGEWARD_AWS__REGION.",
                ) from error
        return device

    def _ill(self, thing: str) -> Iterator[tuple[str, str]]:
        pages = self._greengrass.get_paginator("list_installed_components")
        with told("greengrass", "ListInstalledComponents", thing):
            for page in pages.paginate(coreDeviceThingName=thing, topologyFilter="ALL"):
                for entry in page.get("installedComponents", ()):
                    if (state := entry.get("lifecycleState", "")) in _ILL:
                        yield str(entry["componentName"]), str(state)

    @property
    def _greengrass(self) -> Any:
        return self._account.client("greengrassv2")


def _heard(device: Mapping[str, Any]) -> str:
    moment = device.get("lastStatusUpdateTimestamp")
    return f"last heard of {moment.astimezone().isoformat()}" if moment else "never heard of"
