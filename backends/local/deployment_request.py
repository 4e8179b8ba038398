"""A deployment as one asks for it: the fields and limits of Greengrass's own CreateDeployment."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from backends.deployment_terms import ComponentDeployment, JobConfiguration, Policies
from backends.errors import InvalidInputError
from backends.local.targets import Target, parse_target

# ruff: noqa: N815 - every field has the name that the API gives it

_CONFIG = ConfigDict(frozen=True, extra="forbid")


class DeploymentRequest(BaseModel):
    """Components that are not named are no longer wanted by this target."""

    model_config = _CONFIG

    targetArn: str
    deploymentName: str = Field("", max_length=256)
    components: dict[str, ComponentDeployment] = {}
    deploymentPolicies: Policies = Policies()
    iotJobConfiguration: JobConfiguration = JobConfiguration()

    @field_validator("targetArn")
    @classmethod
    def _is_a_target(cls, text: str) -> str:
        try:
            return parse_target(text).arn
        except InvalidInputError as error:
            raise ValueError(error.reason) from error

    @property
    def target(self) -> Target:
        return parse_target(self.targetArn)

    def document(self, identifier: str, revision: int, created: int) -> dict[str, Any]:
        """The job document that a device takes; `created` in milliseconds since 1970."""
        policies = self.deploymentPolicies
        update = policies.componentUpdatePolicy
        return {
            "deploymentId": identifier,
            "configurationArn": self.target.configuration_arn(revision),
            "creationTimestamp": created,
            "components": {
                name: {
                    "version": component.componentVersion,
                    "runWith": component.runWith,
                    "configurationUpdate": {
                        "merge": json.loads(component.configurationUpdate.merge),
                        "reset": list(component.configurationUpdate.reset),
                    },
                }
                for name, component in self.components.items()
            },
            "failureHandlingPolicy": policies.failureHandlingPolicy,
            "componentUpdatePolicy": {"timeout": update.timeoutInSeconds, "action": update.action},
            "configurationValidationPolicy": {
                "timeout": policies.configurationValidationPolicy.timeoutInSeconds
            },
            "requiredCapabilities": [],
        }


def read_request(value: Mapping[str, Any]) -> DeploymentRequest:
    """Raises InvalidInputError, which names the field."""
    try:
        return DeploymentRequest.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "deployment"
        reason = first["msg"].removeprefix("Value error, ")
        raise InvalidInputError(where, reason, "Give a possible value.") from error


def new_request(
    target: Target,
    components: Mapping[str, str],
    merge: Mapping[str, Mapping[str, object]],
    reset: Mapping[str, Sequence[str]],
    **others: Any,
) -> DeploymentRequest:
    """Of versions (or requirements), configuration merges and resets by component.

    Raises InvalidInputError.
    """
    unknown = sorted({*merge, *reset} - set(components))
    if unknown:
        reason = f"{unknown[0]} is configured, and not deployed"
        raise InvalidInputError("deployment", reason, "Name it among the components.")
    return read_request(
        {
            "targetArn": target.arn,
            "components": {
                name: {
                    "componentVersion": version,
                    "configurationUpdate": {
                        "merge": json.dumps(merge.get(name, {})),
                        "reset": list(reset.get(name, ())),
                    },
                }
                for name, version in components.items()
            },
            **others,
        }
    )
