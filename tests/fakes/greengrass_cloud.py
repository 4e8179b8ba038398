"""What an account's Greengrass v2 holds, and what its operations do: components and deployments.

Behaviour as the API reference and the developer guide describe it. Core devices are told to it
with `register_device`; how they fare is reported with `report`, as their nucleus would.
"""

# ruff: noqa: N803 - parameters have the names that the API gives them

import base64
import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml

from tests.fakes.service_model import Refused, Request

ACCOUNT = "123456789012"
REGION = "eu-west-1"
ENDED = {"SUCCEEDED", "COMPLETED", "FAILED", "TIMED_OUT", "CANCELED", "REJECTED"}
_FAILURES = {"FAILED", "TIMED_OUT", "REJECTED"}


@dataclass(slots=True)
class Component:
    name: str
    version: str
    recipe: dict[str, Any]
    tags: dict[str, str]
    created: datetime
    ready_at: float
    errors: dict[str, str] = field(default_factory=dict)
    unseen: int = 0
    """Reads that do not find it yet."""

    @property
    def arn(self) -> str:
        return f"{component_arn(self.name)}:versions:{self.version}"

    @property
    def state(self) -> str:
        if time.monotonic() < self.ready_at:
            return "REQUESTED"
        return "FAILED" if self.errors else "DEPLOYABLE"


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


def component_arn(name: str) -> str:
    return f"arn:aws:greengrass:{REGION}:{ACCOUNT}:components:{name}"


class GreengrassCloud:
    """`s3` gives a client for the artifacts. `ready_after` seconds a new version is DEPLOYABLE,
    unless `component_errors` has something to say of it; `unseen` reads do not find it at first.
    """

    def __init__(self, s3: Callable[[], Any]) -> None:
        self._s3 = s3
        self.ready_after = 0.05
        self.component_errors: dict[str, dict[str, str]] = {}
        self.unseen = 0
        self.devices: dict[str, Device] = {}
        self.components: dict[tuple[str, str], Component] = {}
        self.deployments: dict[str, Deployed] = {}
        self._tokens: dict[str, dict[str, Any]] = {}

    def register_device(self, thing: str, architecture: str = "amd64", *groups: str) -> None:
        self.devices[thing] = Device(architecture, groups=groups)

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

    def carry_out(self, request: Request) -> Mapping[str, Any]:
        name = re.sub(r"(?<!^)([A-Z])", r"_\1", request.operation).lower()
        work = getattr(self, f"_{name}", None)
        if work is None:
            raise Refused("UnknownOperationException", f"{request.operation} is not played")
        answer: Mapping[str, Any] = work(**request.parameters)
        return answer

    # Components

    def _create_component_version(
        self,
        inlineRecipe: str = "",
        tags: Mapping[str, str] | None = None,
        clientToken: str = "",
    ) -> Mapping[str, Any]:
        if known := self._tokens.get(clientToken):
            return known
        recipe = _parsed(base64.b64decode(inlineRecipe))
        name, version = str(recipe["ComponentName"]), str(recipe["ComponentVersion"])
        if (name, version) in self.components:
            raise Refused(
                "ConflictException",
                f"Component [{name} : {version}] for account [{ACCOUNT}] already exists with "
                "state: [DEPLOYABLE]",
                resourceId=f"{name}:{version}",
                resourceType="COMPONENT",
            )
        self._fill_in(recipe)
        made = Component(
            name,
            version,
            recipe,
            dict(tags or {}),
            datetime.now(UTC),
            time.monotonic() + self.ready_after,
            self.component_errors.get(name, {}),
            self.unseen,
        )
        self.components[name, version] = made
        answer = {
            "arn": made.arn,
            "componentName": name,
            "componentVersion": version,
            "creationTimestamp": made.created,
            "status": {"componentState": "REQUESTED", "message": "NONE", "errors": {}},
        }
        if clientToken:
            self._tokens[clientToken] = answer
        return answer

    def _describe_component(self, arn: str) -> Mapping[str, Any]:
        found = self._component(arn)
        status = {"componentState": found.state, "message": "NONE", "errors": {}}
        if found.state == "FAILED":
            status |= {"message": "The component is not valid", "errors": found.errors}
        return {
            "arn": found.arn,
            "componentName": found.name,
            "componentVersion": found.version,
            "creationTimestamp": found.created,
            "publisher": found.recipe["ComponentPublisher"],
            "status": status,
            "tags": found.tags or None,
        }

    def _get_component(self, arn: str, recipeOutputFormat: str = "JSON") -> Mapping[str, Any]:
        found = self._component(arn)
        write = json.dumps if recipeOutputFormat == "JSON" else yaml.safe_dump
        return {
            "recipeOutputFormat": recipeOutputFormat,
            "recipe": write(found.recipe).encode(),
            "tags": found.tags or None,
        }

    def _get_component_version_artifact(
        self,
        arn: str,
        artifactName: str,
        **_: str,
    ) -> Mapping[str, Any]:
        for artifact in _artifacts(self._component(arn).recipe):
            if artifact["Uri"].endswith(f"/{artifactName}"):
                bucket, _, key = artifact["Uri"].removeprefix("s3://").partition("/")
                place = {"Bucket": bucket, "Key": key}
                return {"preSignedUrl": self._s3().generate_presigned_url("get_object", place)}
        raise _not_found("artifact", artifactName)

    def _list_components(self, scope: str = "PRIVATE", **page: Any) -> Mapping[str, Any]:
        if scope == "PUBLIC":
            return {"components": []}
        found = []
        for name in sorted({name for name, _ in self.components}):
            latest = self._versions(name)[0]
            version = {
                "arn": latest.arn,
                "componentVersion": latest.version,
                "creationTimestamp": latest.created,
            }
            found.append(
                {"arn": component_arn(name), "componentName": name, "latestVersion": version}
            )
        return _page("components", found, **page)

    def _list_component_versions(self, arn: str, **page: Any) -> Mapping[str, Any]:
        versions = [
            {"componentName": each.name, "componentVersion": each.version, "arn": each.arn}
            for each in self._versions(arn.rpartition(":")[2])
            if not self._is_unseen(each)
        ]
        return _page("componentVersions", versions, **page)

    def _delete_component(self, arn: str) -> Mapping[str, Any]:
        found = self._component(arn)
        del self.components[found.name, found.version]
        return {}

    def _component(self, arn: str) -> Component:
        name, _, version = arn.partition(":components:")[2].partition(":versions:")
        found = self.components.get((name, version))
        if found is None or self._is_unseen(found):
            raise _not_found("component", arn)
        return found

    def _versions(self, name: str) -> list[Component]:
        """Greater versions first."""
        found = [each for (known, _), each in self.components.items() if known == name]
        return sorted(found, key=lambda each: _numbers(each.version), reverse=True)

    def _is_unseen(self, component: Component) -> bool:
        component.unseen -= 1
        return component.unseen >= 0

    def _fill_in(self, recipe: Mapping[str, Any]) -> None:
        for artifact in _artifacts(recipe):
            bucket, _, key = artifact["Uri"].removeprefix("s3://").partition("/")
            try:
                content = self._s3().get_object(Bucket=bucket, Key=key)["Body"].read()
            except self._s3().exceptions.ClientError as error:
                raise Refused(
                    "ValidationException",
                    f"Encountered following errors in Artifacts: {{{artifact['Uri']} = Specified "
                    "artifact resource cannot be accessed}",
                ) from error
            artifact["Digest"] = base64.b64encode(hashlib.sha256(content).digest()).decode()
            artifact["Algorithm"] = "SHA-256"

    # Deployments

    def _create_deployment(
        self,
        targetArn: str,
        components: Mapping[str, Any] | None = None,
        clientToken: str = "",
        tags: Mapping[str, str] | None = None,
        **others: Any,
    ) -> Mapping[str, Any]:
        if known := self._tokens.get(clientToken):
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
            self._tokens[clientToken] = answer
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
        return _page("deployments", listed, **page)

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
            raise _not_found("deployment", identifier)
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
        known = self.components.get((name, version))
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

    # Core devices

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
        return _page("coreDevices", listed, **page)

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
        return _page("effectiveDeployments", listed, **page)

    def _list_installed_components(
        self,
        coreDeviceThingName: str,
        topologyFilter: str = "ROOT",
        **page: Any,
    ) -> Mapping[str, Any]:
        listed = self._device(coreDeviceThingName).installed
        wanted = [each for each in listed if topologyFilter == "ALL" or each["isRoot"]]
        return _page("installedComponents", wanted, **page)

    def _device(self, thing: str) -> Device:
        if thing not in self.devices:
            raise _not_found("coreDevice", thing)
        return self.devices[thing]

    # Tags

    def _tag_resource(self, resourceArn: str, tags: Mapping[str, str]) -> Mapping[str, Any]:
        self._tags_of(resourceArn).update(tags)
        return {}

    def _list_tags_for_resource(self, resourceArn: str) -> Mapping[str, Any]:
        return {"tags": self._tags_of(resourceArn) or None}

    def _tags_of(self, arn: str) -> dict[str, str]:
        if ":deployments:" in arn:
            return self._deployment(arn.rpartition(":")[2]).tags
        return self._component(arn).tags


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        recipe = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Refused("ValidationException", f"the recipe cannot be read: {error}") from error
    wanted = ("RecipeFormatVersion", "ComponentName", "ComponentVersion", "Manifests")
    missing = [key for key in wanted if not isinstance(recipe, dict) or not recipe.get(key)]
    if missing:
        raise Refused("ValidationException", f"the recipe has no {missing[0]}")
    return dict(recipe)


def _artifacts(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [a for manifest in recipe["Manifests"] for a in manifest.get("Artifacts", [])]


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.partition("-")[0].split(".")]


def _job(deployed: Deployed) -> dict[str, str]:
    return {
        "iotJobId": deployed.id,
        "iotJobArn": f"arn:aws:iot:{REGION}:{ACCOUNT}:job/{deployed.id}",
    }


def _page(
    name: str,
    listed: Sequence[Any],
    maxResults: int = 50,
    nextToken: str = "0",
) -> Mapping[str, Any]:
    start = int(nextToken or 0)
    end = start + maxResults
    more = str(end) if end < len(listed) else None
    return {name: list(listed[start:end]), "nextToken": more}


def _not_found(kind: str, identifier: str) -> Refused:
    return Refused(
        "ResourceNotFoundException",
        f"{kind} {identifier} cannot be found",
        resourceId=identifier,
        resourceType=kind.upper(),
    )
