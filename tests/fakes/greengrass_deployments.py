"""Deployments of the Greengrass fake, and how core devices fare with them."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.greengrass_answers import ACCOUNT, REGION, not_found, page_of
from tests.fakes.greengrass_components import Component
from tests.fakes.service_model import Refused

# ruff: noqa: N803 - parameters have the names that the API gives them

ENDED = {"SUCCEEDED", "COMPLETED", "FAILED", "TIMED_OUT", "CANCELED", "REJECTED"}
_FAILURES = {"FAILED", "TIMED_OUT", "REJECTED"}


@dataclass(slots=True)
class Execution:
    """One core device in a deployment."""

    status: str = "QUEUED"
    reason: str = ""
    errors: tuple[str, ...] = ()
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(slots=True)
class Deployed:
    id: str
    revision: int
    asked: Mapping[str, Any]
    tags: dict[str, str]
    created: datetime
    status: str = "ACTIVE"
    executions: dict[str, Execution] = field(default_factory=dict)

    @property
    def target(self) -> str:
        return str(self.asked["targetArn"])

    @property
    def arn(self) -> str:
        return f"arn:aws:greengrass:{REGION}:{ACCOUNT}:deployments:{self.id}"

    def document(self) -> dict[str, Any]:
        """The job document that a core device gets: not the API's, but made of it."""
        policies = self.asked.get("deploymentPolicies", {})
        update = policies.get("componentUpdatePolicy", {})
        validation = policies.get("configurationValidationPolicy", {})
        kind, _, name = self.target.rpartition(":")[2].partition("/")
        prefix = f"arn:aws:greengrass:{REGION}:{ACCOUNT}:configuration:"
        return {
            "deploymentId": self.id,
            "configurationArn": f"{prefix}{kind}/{name}:{self.revision}",
            "creationTimestamp": round(self.created.timestamp() * 1000),
            "components": {
                name: {
                    "version": component["componentVersion"],
                    "runWith": component.get("runWith", {}),
                    "configurationUpdate": {
                        "merge": json.loads(
                            component.get("configurationUpdate", {}).get("merge", "{}")
                        ),
                        "reset": component.get("configurationUpdate", {}).get("reset", []),
                    },
                }
                for name, component in self.asked.get("components", {}).items()
            },
            "failureHandlingPolicy": policies.get("failureHandlingPolicy", "ROLLBACK"),
            "componentUpdatePolicy": {
                "timeout": update.get("timeoutInSeconds", 60),
                "action": update.get("action", "NOTIFY_COMPONENTS"),
            },
            "configurationValidationPolicy": {"timeout": validation.get("timeoutInSeconds", 30)},
            "requiredCapabilities": [],
        }


@dataclass(slots=True)
class Device:
    architecture: str
    platform: str = "linux"
    status: str = "HEALTHY"
    groups: tuple[str, ...] = ()
    heard: datetime = field(default_factory=lambda: datetime.now(UTC))
    installed: list[dict[str, Any]] = field(default_factory=list)


class Deployments:
    """Of things and thing groups; a newer one to the same target replaces an older one."""

    def __init__(self, components: Mapping[tuple[str, str], Component]) -> None:
        self._known = components
        self.devices: dict[str, Device] = {}
        self.deployments: dict[str, Deployed] = {}
        self._created: dict[str, dict[str, Any]] = {}

    def report(
        self, thing: str, deployment: str, status: str, reason: str = "", *errors: str
    ) -> None:
        """What the nucleus of `thing` says of a deployment."""
        deployed = self.deployments[deployment]
        deployed.executions[thing] = Execution(status, reason, errors)
        self.devices[thing].heard = datetime.now(UTC)
        if ":thing/" in deployed.target and status in ENDED and deployed.status == "ACTIVE":
            deployed.status = "FAILED" if status in _FAILURES else "COMPLETED"
        self._abort(deployed)

    def waiting_for(self, thing: str) -> list[Deployed]:
        """The deployments that a device has not ended, oldest first."""
        return [
            deployed
            for deployed in self.deployments.values()
            if (execution := deployed.executions.get(thing)) and execution.status not in ENDED
        ]

    def _create_deployment(
        self,
        targetArn: str,
        components: Mapping[str, Any] | None = None,
        clientToken: str = "",
        tags: Mapping[str, str] | None = None,
        **others: Any,
    ) -> Mapping[str, Any]:
        if known := self._created.get(clientToken):
            return known
        for name, component in (components or {}).items():
            self._check_deployable(name, component)
        former = self._of_target(targetArn)
        for each in former:
            if each.status == "ACTIVE":
                each.status = "INACTIVE"
            for execution in each.executions.values():
                if execution.status not in ENDED:
                    execution.status = "CANCELED"
        asked = {"targetArn": targetArn, "components": dict(components or {}), **others}
        made = Deployed(
            str(uuid.uuid4()),
            former[-1].revision + 1 if former else 1,
            asked,
            dict(tags or {}),
            max(
                datetime.now(UTC),
                former[-1].created if former else datetime.min.replace(tzinfo=UTC),
            ),
            executions={thing: Execution() for thing in self._members(targetArn)},
        )
        self.deployments[made.id] = made
        answer = {"deploymentId": made.id, **_job(made)}
        if clientToken:
            self._created[clientToken] = answer
        return answer

    def _get_deployment(self, deploymentId: str) -> Mapping[str, Any]:
        found = self._deployment(deploymentId)
        return {
            **found.asked,
            **_job(found),
            "deploymentId": found.id,
            "revisionId": str(found.revision),
            "deploymentStatus": found.status,
            "creationTimestamp": found.created,
            "isLatestForTarget": self._of_target(found.target)[-1] is found,
            "tags": found.tags or None,
        }

    def _list_deployments(
        self,
        targetArn: str = "",
        historyFilter: str = "LATEST_ONLY",
        **page: Any,
    ) -> Mapping[str, Any]:
        listed = []
        for found in reversed(list(self.deployments.values())):
            latest = self._of_target(found.target)[-1] is found
            if targetArn in ("", found.target) and (latest or historyFilter == "ALL"):
                listed.append({
                    "targetArn": found.target,
                    "revisionId": str(found.revision),
                    "deploymentId": found.id,
                    "creationTimestamp": found.created,
                    "deploymentStatus": found.status,
                    "isLatestForTarget": latest,
                })  # fmt: skip
        return page_of("deployments", listed, **page)

    def _cancel_deployment(self, deploymentId: str) -> Mapping[str, Any]:
        found = self._deployment(deploymentId)
        if found.status != "ACTIVE":
            raise Refused(
                "ConflictException",
                f"the deployment is {found.status}",
                resourceId=found.id,
                resourceType="DEPLOYMENT",
            )
        self._stop(found)
        return {"message": "canceled"}

    def _delete_deployment(self, deploymentId: str) -> Mapping[str, Any]:
        found = self._deployment(deploymentId)
        if found.status == "ACTIVE":
            raise Refused(
                "ConflictException",
                "an active deployment cannot be deleted",
                resourceId=found.id,
                resourceType="DEPLOYMENT",
            )
        del self.deployments[found.id]
        return {}

    def _deployment(self, identifier: str) -> Deployed:
        if identifier not in self.deployments:
            raise not_found("deployment", identifier)
        return self.deployments[identifier]

    def _of_target(self, target: str) -> list[Deployed]:
        return [each for each in self.deployments.values() if each.target == target]

    def _members(self, target: str) -> list[str]:
        kind, _, name = target.rpartition(":")[2].partition("/")
        if kind == "thing":
            return [name] if name in self.devices else []
        return [thing for thing, device in self.devices.items() if name in device.groups]

    def _check_deployable(self, name: str, component: Mapping[str, Any]) -> None:
        version = component["componentVersion"]
        known = self._known.get((name, version))
        if not name.startswith("aws.") and (known is None or known.state != "DEPLOYABLE"):
            raise Refused("ValidationException", f"Component {name}:{version} is not deployable")
        merge = component.get("configurationUpdate", {}).get("merge", "{}")
        try:
            json.loads(merge)
        except ValueError as error:
            raise Refused("ValidationException", f"{name}: merge is no JSON") from error

    def _stop(self, deployed: Deployed) -> None:
        deployed.status = "CANCELED"
        for execution in deployed.executions.values():
            if execution.status not in ENDED:
                execution.status = "CANCELED"

    def _abort(self, deployed: Deployed) -> None:
        """What IoT jobs do with an abortConfig."""
        job = deployed.asked.get("iotJobConfiguration", {})
        ended = [e.status for e in deployed.executions.values() if e.status in ENDED]
        for criterion in job.get("abortConfig", {}).get("criteriaList", ()):
            kind = criterion["failureType"]
            failed = [s for s in ended if (s in _FAILURES if kind == "ALL" else s == kind)]
            enough = len(ended) >= criterion["minNumberOfExecutedThings"]
            if enough and 100 * len(failed) >= criterion["thresholdPercentage"] * len(ended):
                self._stop(deployed)

    def _get_core_device(self, coreDeviceThingName: str) -> Mapping[str, Any]:
        device = self._device(coreDeviceThingName)
        return {
            "coreDeviceThingName": coreDeviceThingName,
            "coreVersion": "2.14.0",
            "platform": device.platform,
            "architecture": device.architecture,
            "status": device.status,
            "lastStatusUpdateTimestamp": device.heard,
        }

    def _list_core_devices(
        self,
        thingGroupArn: str = "",
        status: str = "",
        **page: Any,
    ) -> Mapping[str, Any]:
        group = thingGroupArn.rpartition("/")[2]
        listed = [
            {
                "coreDeviceThingName": thing,
                "status": device.status,
                "lastStatusUpdateTimestamp": device.heard,
            }
            for thing, device in self.devices.items()
            if (not group or group in device.groups) and status in ("", device.status)
        ]
        page.pop("runtime", None)
        return page_of("coreDevices", listed, **page)

    def _list_effective_deployments(
        self,
        coreDeviceThingName: str,
        **page: Any,
    ) -> Mapping[str, Any]:
        self._device(coreDeviceThingName)
        listed = []
        for deployed in reversed(list(self.deployments.values())):
            if execution := deployed.executions.get(coreDeviceThingName):
                listed.append({
                    "deploymentId": deployed.id,
                    "deploymentName": deployed.asked.get("deploymentName", ""),
                    **_job(deployed),
                    "targetArn": deployed.target,
                    "coreDeviceExecutionStatus": execution.status,
                    "reason": execution.reason or None,
                    "creationTimestamp": deployed.created,
                    "modifiedTimestamp": execution.modified,
                    "statusDetails": {"errorStack": list(execution.errors), "errorTypes": []},
                })  # fmt: skip
        return page_of("effectiveDeployments", listed, **page)

    def _list_installed_components(
        self,
        coreDeviceThingName: str,
        topologyFilter: str = "ROOT",
        **page: Any,
    ) -> Mapping[str, Any]:
        listed = self._device(coreDeviceThingName).installed
        wanted = [each for each in listed if topologyFilter == "ALL" or each["isRoot"]]
        return page_of("installedComponents", wanted, **page)

    def _device(self, thing: str) -> Device:
        if thing not in self.devices:
            raise not_found("coreDevice", thing)
        return self.devices[thing]


def _job(deployed: Deployed) -> dict[str, str]:
    return {
        "iotJobId": deployed.id,
        "iotJobArn": f"arn:aws:iot:{REGION}:{ACCOUNT}:job/{deployed.id}",
    }
