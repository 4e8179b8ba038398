"""Every error this project raises on purpose.

EdgewardError
├── InvalidInputError           a file, field or option is wrong: says which, why, and what next
├── GateRefusedError            a gate refused the run; carries the gates
├── BackendUnavailableError     a service or program did not answer; another try may help
│   └── BackendBlockedError     it will not answer until a person has done something
├── EnvironmentMissingError     an interpreter or library that `make setup` provides is not there
├── JobError                    a job ran and gave no result
├── PackageError                what would ship is not what it claims to be
├── DeploymentError             a device refused or rolled back a deployment
└── DeviceRefusedError          a device will not give what it was asked for

An error's arguments are its fields; the message is built from them, so errors survive pickling.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.artifacts import Gate


class EdgewardError(Exception):
    """Base of the project's errors; `exit_status` is what the command line answers with."""

    exit_status = 1


class InvalidInputError(EdgewardError):
    """Something that a person wrote is wrong."""

    exit_status = 2

    def __init__(self, what: str, reason: str, remedy: str) -> None:
        super().__init__(what, reason, remedy)
        self.what = what
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}. {self.remedy}"


class GateRefusedError(EdgewardError):
    """At least one gate did not pass."""

    exit_status = 3

    def __init__(self, gates: "Sequence[Gate]") -> None:
        super().__init__(tuple(gates))
        self.gates = tuple(gates)

    def __str__(self) -> str:
        return "; ".join(f"{gate.name}: {gate.reason}" for gate in self.gates)


class BackendUnavailableError(EdgewardError):
    """A service did not answer; trying again may help."""

    exit_status = 4

    def __init__(self, service: str, reason: str, remedy: str = "Try again.") -> None:
        super().__init__(service, reason, remedy)
        self.service = service
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.service} is unavailable: {self.reason}. {self.remedy}"


class BackendBlockedError(BackendUnavailableError):
    """A service cannot start or answer until a person has done something: no retry helps."""


class EnvironmentMissingError(EdgewardError):
    """A program's own environment is not installed."""

    exit_status = 4

    def __init__(self, environment: str, reason: str) -> None:
        super().__init__(environment, reason)
        self.environment = environment
        self.reason = reason

    def __str__(self) -> str:
        return f"the {self.environment} environment is missing: {self.reason}. Run `make setup`."


class JobError(EdgewardError):
    """A job ended without a result."""

    def __init__(self, job: str, reason: str) -> None:
        super().__init__(job, reason)
        self.job = job
        self.reason = reason

    def __str__(self) -> str:
        return f"job {self.job!r} ended without a result: {self.reason}"


class PackageError(EdgewardError):
    """A package is not what its recipe, its metadata or its digest says."""

    def __init__(self, package: str, reason: str) -> None:
        super().__init__(package, reason)
        self.package = package
        self.reason = reason

    def __str__(self) -> str:
        return f"package {self.package!r} must not ship: {self.reason}"


class DeploymentError(EdgewardError):
    """A device did not take a deployment."""

    def __init__(self, thing: str, deployment: str, status: str, reason: str) -> None:
        super().__init__(thing, deployment, status, reason)
        self.thing = thing
        self.deployment = deployment
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"deployment {self.deployment} to {self.thing!r} ended {self.status}: {self.reason}"


class DeviceRefusedError(EdgewardError):
    """A device is configured not to do what it was asked."""

    def __init__(self, thing: str, reason: str) -> None:
        super().__init__(thing, reason)
        self.thing = thing
        self.reason = reason

    def __str__(self) -> str:
        return f"the device {self.thing!r} refuses: {self.reason}"
