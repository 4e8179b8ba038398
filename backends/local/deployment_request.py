"""A deployment as one asks for it: the fields and limits of Greengrass's own CreateDeployment."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from backends.errors import InvalidInputError
from backends.local.json_text import parse_json
from backends.local.targets import Target, parse_target

# ruff: noqa: N815 - every field has the name that the API gives it

_CONFIG = ConfigDict(frozen=True, extra="forbid")
_Count = Annotated[int, Field(ge=1)]


class ConfigurationUpdate(BaseModel):
    """`merge` is JSON as text, as in the API."""

    model_config = _CONFIG

    merge: str = Field("{}", max_length=10_485_760)
    reset: tuple[str, ...] = ()

    @field_validator("merge")
    @classmethod
    def _is_an_object(cls, text: str) -> str:
        if not isinstance(parse_json(text), dict):
            raise ValueError("must be a JSON object")  # noqa: TRY004 - the input's fault
        return text


class ComponentDeployment(BaseModel):
    model_config = _CONFIG

    componentVersion: str = Field(min_length=1, max_length=64)
    configurationUpdate: ConfigurationUpdate = ConfigurationUpdate()
    runWith: dict[str, Any] = {}


class UpdatePolicy(BaseModel):
    model_config = _CONFIG

    action: Literal["NOTIFY_COMPONENTS", "SKIP_NOTIFY_COMPONENTS"] = "NOTIFY_COMPONENTS"
    timeoutInSeconds: int = Field(60, ge=0)


class ValidationPolicy(BaseModel):
    model_config = _CONFIG

    timeoutInSeconds: int = Field(30, ge=0)


class Policies(BaseModel):
    model_config = _CONFIG

    failureHandlingPolicy: Literal["ROLLBACK", "DO_NOTHING"] = "ROLLBACK"
    componentUpdatePolicy: UpdatePolicy = UpdatePolicy()
    configurationValidationPolicy: ValidationPolicy = ValidationPolicy()


class IncreaseCriteria(BaseModel):
    """Each time so many things were notified, or have succeeded; of both, what comes first."""

    model_config = _CONFIG

    numberOfNotifiedThings: _Count | None = None
    numberOfSucceededThings: _Count | None = None

    @model_validator(mode="after")
    def _is_there(self) -> Self:
        if self.numberOfNotifiedThings is None and self.numberOfSucceededThings is None:
            raise ValueError("give numberOfNotifiedThings, numberOfSucceededThings, or both")
        return self


class ExponentialRate(BaseModel):
    model_config = _CONFIG

    baseRatePerMinute: int = Field(ge=1, le=1000)
    incrementFactor: float = Field(ge=1, le=5)
    rateIncreaseCriteria: IncreaseCriteria


class RolloutConfig(BaseModel):
    model_config = _CONFIG

    maximumPerMinute: int | None = Field(None, ge=1, le=1000)
    exponentialRate: ExponentialRate | None = None


class AbortCriterion(BaseModel):
    model_config = _CONFIG

    failureType: Literal["FAILED", "REJECTED", "TIMED_OUT", "ALL"]
    action: Literal["CANCEL"]
    thresholdPercentage: float = Field(gt=0, le=100)
    minNumberOfExecutedThings: _Count


class AbortConfig(BaseModel):
    model_config = _CONFIG

    criteriaList: tuple[AbortCriterion, ...] = Field(min_length=1)


class TimeoutConfig(BaseModel):
    model_config = _CONFIG

    inProgressTimeoutInMinutes: int | None = Field(None, ge=1, le=10_080)


class JobConfiguration(BaseModel):
    model_config = _CONFIG

    jobExecutionsRolloutConfig: RolloutConfig = RolloutConfig()
    abortConfig: AbortConfig | None = None
    timeoutConfig: TimeoutConfig = TimeoutConfig()


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
