"""Component versions of the Greengrass fake: made of recipes, with digests, ready in a moment."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml

from tests.fakes.greengrass_answers import ACCOUNT, component_arn, not_found, page_of
from tests.fakes.service_model import Refused

# ruff: noqa: N803 - parameters have the names that the API gives them


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


class Components:
    """`s3` gives a client for the artifacts. `ready_after` seconds a new version is DEPLOYABLE,
    unless `component_errors` has something to say of it; `unseen` reads do not find it at first.
    """

    def __init__(self, s3: Callable[[], Any]) -> None:
        self._s3 = s3
        self.ready_after = 0.05
        self.component_errors: dict[str, dict[str, str]] = {}
        self.unseen = 0
        self.components: dict[tuple[str, str], Component] = {}
        self._made: dict[str, dict[str, Any]] = {}

    def _create_component_version(
        self,
        inlineRecipe: str = "",
        tags: Mapping[str, str] | None = None,
        clientToken: str = "",
    ) -> Mapping[str, Any]:
        if known := self._made.get(clientToken):
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
            self._made[clientToken] = answer
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
        raise not_found("artifact", artifactName)

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
        return page_of("components", found, **page)

    def _list_component_versions(self, arn: str, **page: Any) -> Mapping[str, Any]:
        versions = [
            {"componentName": each.name, "componentVersion": each.version, "arn": each.arn}
            for each in self._versions(arn.rpartition(":")[2])
            if not self._is_unseen(each)
        ]
        return page_of("componentVersions", versions, **page)

    def _delete_component(self, arn: str) -> Mapping[str, Any]:
        found = self._component(arn)
        del self.components[found.name, found.version]
        return {}

    def _component(self, arn: str) -> Component:
        name, _, version = arn.partition(":components:")[2].partition(":versions:")
        found = self.components.get((name, version))
        if found is None or self._is_unseen(found):
            raise not_found("component", arn)
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
