"""The parts of a deployment in the words and limits of Greengrass's own CreateDeployment."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from backends.json_text import parse_json

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
