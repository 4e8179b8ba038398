"""Follows a deployment until a device has ended it, or time is up."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from backends.artifacts import Deployment
from backends.aws.account import Account
from backends.aws.core_devices import CoreDevices
from backends.aws.faults import told
from backends.aws.revisions import Revision, Revisions
from backends.aws.targets import Target
from backends.aws.waiting import looks
from backends.errors import BackendBlockedError, BackendUnavailableError, DeploymentError

logger = logging.getLogger(__name__)

GOOD = ("SUCCEEDED", "COMPLETED")
BAD = ("FAILED", "TIMED_OUT", "REJECTED", "CANCELED")
OTHERS = 50
"""Other core devices of a group whose state is told beside that of the awaited one."""

_STOPPED = {
    "CANCELED": "it was cancelled, by a person or because too many devices failed",
    "FAILED": "it failed before a device took it",
    "INACTIVE": "another deployment to the same target has taken its place",
}
_EFFECTIVE = 100  # deployments of a device that are looked through
_SHOWN = 5  # devices that a sentence names
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Execution:
    """How one core device fares with a deployment; QUEUED before it has taken it up."""

    status: str = "QUEUED"
    reason: str = ""


class Follower:
    """`seconds` is how long a device may take."""

    def __init__(self, account: Account, devices: CoreDevices, seconds: float) -> None:
        self._account = account
        self._devices = devices
        self._revisions = Revisions(account)
        self._seconds = seconds

    def execution(self, thing: str, deployment: str) -> Execution:
        """Raises InvalidInputError when there is no such core device."""
        pages = self._greengrass.get_paginator("list_effective_deployments")
        with told("greengrass", "ListEffectiveDeployments", thing):
            listed = (
                entry
                for page in pages.paginate(coreDeviceThingName=thing)
                for entry in page.get("effectiveDeployments", ())
            )
            for entry in islice(listed, _EFFECTIVE):
                if entry["deploymentId"] == deployment:
                    return Execution(entry["coreDeviceExecutionStatus"], _reason(entry))
        return Execution()

    def follow(self, target: Target, thing: str, identifier: str) -> Deployment:
        """Until `thing` has ended the deployment. Raises DeploymentError.

        A member of a group that is away does not fail it where others have succeeded: its status
        is then QUEUED.
        """
        execution, stopped = Execution(), ""
        for _ in looks(self._seconds, longest=_LONGEST_PAUSE):
            try:
                stopped = _STOPPED.get(self._revisions.read(identifier).status, "")
                execution = self.execution(thing, identifier)  # after that, for it has the reason
            except BackendBlockedError:
                raise
            except BackendUnavailableError as error:  # the device goes on meanwhile
                logger.warning("%s: not seen at the moment: %s", identifier, error)
                continue
            if stopped or execution.status in (*GOOD, *BAD):
                break
        if execution.status in GOOD:
            self._revisions.mark_good(identifier)
            others = _counted(self._others(target, thing, identifier))
            return _deployment(thing, self._revisions.read(identifier), execution, others)
        if stopped or execution.status in BAD:
            raise self._failure(target, thing, identifier, execution, stopped)
        return self._unfinished(target, thing, identifier, execution)

    def _failure(
        self, target: Target, thing: str, identifier: str, execution: Execution, stopped: str
    ) -> DeploymentError:
        if execution.status not in BAD or execution.status == "CANCELED":
            status = self._revisions.read(identifier).status
            others = _counted(self._others(target, thing, identifier))
            why = stopped or _STOPPED.get(status, _STOPPED["CANCELED"])
            reason = "; ".join(filter(None, (why, others)))
            return DeploymentError(thing, identifier, "CANCELED", reason)
        said = execution.reason or "the device gave no reason"
        remedy = "See the components' logs on the device (logs/ in Greengrass's root)"
        reason = f"{said}; {self._devices.health(thing)}. {remedy}"
        return DeploymentError(thing, identifier, execution.status, reason)

    def _unfinished(
        self, target: Target, thing: str, identifier: str, execution: Execution
    ) -> Deployment:
        health = self._devices.health(thing)
        if execution.status == "QUEUED":
            reason = (
                f"the device has not taken it up within {self._seconds:g} s, so it is probably "
                f"offline; it does so when it returns ({health})"
            )
            others = self._others(target, thing, identifier)
            if any(each.status in GOOD for each in others.values()):
                revision = self._revisions.read(identifier)
                pending = Execution("QUEUED", f"{reason}; {_counted(others)}")
                return _deployment(thing, revision, pending, "")
            raise DeploymentError(thing, identifier, "QUEUED", reason)
        remedy = "See its logs/greengrass.log, or allow more with EDGEWARD_AWS__DEPLOY_SECONDS"
        reason = f"it is {execution.status} for more than {self._seconds:g} s ({health}). {remedy}"
        raise DeploymentError(thing, identifier, "TIMED_OUT", reason)

    def _others(self, target: Target, thing: str, identifier: str) -> Mapping[str, Execution]:
        if target.kind != "thinggroup":
            return {}
        members = [name for name in self._devices.members(target.arn) if name != thing]
        return {name: self.execution(name, identifier) for name in members[:OTHERS]}

    @property
    def _greengrass(self) -> Any:
        return self._account.client("greengrassv2")


def _reason(entry: Mapping[str, Any]) -> str:
    stack: Sequence[str] = (entry.get("statusDetails") or {}).get("errorStack") or ()
    said = str(entry.get("reason") or "")
    return f"{said} ({', '.join(stack)})".strip() if stack else said


def _counted(others: Mapping[str, Execution]) -> str:
    """What became of the other devices of a group, in words; failures with their reasons."""
    good = [name for name, each in others.items() if each.status in GOOD]
    bad = [
        f"{name} {each.status}: {each.reason}"
        for name, each in others.items()
        if each.status in BAD
    ]
    pending = [name for name, each in others.items() if each.status not in (*GOOD, *BAD)]
    told = [
        f"{len(good)} others succeeded" if good else "",
        f"{len(bad)} failed ({'; '.join(bad[:_SHOWN])})" if bad else "",
        f"{len(pending)} pending ({', '.join(pending[:_SHOWN])})" if pending else "",
    ]
    return ", ".join(filter(None, told))


def _deployment(thing: str, revision: Revision, execution: Execution, others: str) -> Deployment:
    components = {name: str(one["componentVersion"]) for name, one in revision.components.items()}
    status = "SUCCEEDED" if execution.status in GOOD else execution.status
    reason = "; ".join(filter(None, (execution.reason, others)))
    return Deployment(revision.id, thing, status, execution.status, reason, components)
