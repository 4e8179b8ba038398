"""The deployment document as a device receives it (contract: the job document, not the API's)."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from backends.json_text import MAX_DEPTH, check_depth, parse_json

_CONFIG = ConfigDict(frozen=True, extra="forbid")
_TARGET = re.compile(r".*:configuration:(thing(?:group)?/.+):(\d+)")

CAPABILITIES = frozenset({"LARGE_CONFIGURATION", "LINUX_RESOURCE_LIMITS", "SUB_DEPLOYMENTS"})
"""What a document may require: those that the classic nucleus knows."""


_AROUND = 4
"""Levels of a document above its configurations."""

Merge = Annotated[dict[str, Any], AfterValidator(check_depth)]


class DocumentError(Exception):
    """A deployment document that cannot be read; says which field."""


class ConfigurationUpdate(BaseModel):
    model_config = _CONFIG

    merge: Merge = {}
    reset: tuple[str, ...] = ()


class ComponentDeployment(BaseModel):
    model_config = _CONFIG

    version: str
    runWith: dict[str, Any] = {}  # noqa: N815 - the contract's name
    configurationUpdate: ConfigurationUpdate = ConfigurationUpdate()  # noqa: N815 - likewise


class UpdatePolicy(BaseModel):
    model_config = _CONFIG

    timeout: float = Field(60, ge=0)
    action: Literal["NOTIFY_COMPONENTS", "SKIP_NOTIFY_COMPONENTS"] = "NOTIFY_COMPONENTS"


class ValidationPolicy(BaseModel):
    model_config = _CONFIG

    timeout: float = Field(20, ge=0)


class Document(BaseModel):
    """What one deployment asks of this device. `creationTimestamp` is in milliseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    deploymentId: str = Field(pattern=r"[a-zA-Z0-9_-]{1,128}")  # noqa: N815 - the contract's name
    configurationArn: str = Field("", pattern=f"^$|^{_TARGET.pattern}$")  # noqa: N815 - likewise
    creationTimestamp: int  # noqa: N815 - likewise
    components: dict[str, ComponentDeployment]
    failureHandlingPolicy: Literal["ROLLBACK", "DO_NOTHING"] = "ROLLBACK"  # noqa: N815 - likewise
    componentUpdatePolicy: UpdatePolicy = UpdatePolicy()  # noqa: N815 - likewise
    configurationValidationPolicy: ValidationPolicy = ValidationPolicy()  # noqa: N815 - likewise
    requiredCapabilities: tuple[str, ...] = ()  # noqa: N815 - likewise

    @property
    def target(self) -> str:
        """`thing/NAME` or `thinggroup/NAME`; empty: the device itself."""
        match = _TARGET.fullmatch(self.configurationArn)
        return match[1] if match else ""

    @property
    def revision(self) -> int:
        match = _TARGET.fullmatch(self.configurationArn)
        return int(match[2]) if match else 0


def read[D: BaseModel](path: Path, form: type[D]) -> D:
    """A document of that form. Raises DocumentError."""
    try:
        return form.model_validate(
            parse_json(path.read_text(encoding="utf-8"), MAX_DEPTH + _AROUND)
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DocumentError(f"{path.name}: {where}: {first['msg']}") from error
    except (OSError, ValueError) as error:
        raise DocumentError(f"{path.name}: {error}") from error


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a deployment ended: the job's status, the detailed status, and why."""

    status: Literal["SUCCEEDED", "FAILED", "REJECTED", "CANCELED"]
    detailed: str
    reason: str = ""


def failed(detailed: str, reason: str) -> Outcome:
    return Outcome("FAILED", detailed, reason)
