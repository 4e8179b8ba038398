"""How a new model compares with the one that the device ran before, as a value to read."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["nothing to watch", "watching", "kept", "rolled back", "rolling back"]


@dataclass(frozen=True, slots=True)
class QualityCheck:
    """One comparison; `passed` None: there was nothing to judge by, and `reason` says why.

    `before` and `after` are the plain figures; `measured` is what is left of the change when
    chance is taken out, and is what `limit` is held against.
    """

    name: str
    passed: bool | None
    before: float | None
    after: float | None
    measured: float | None
    limit: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What became of the newest model of a thing, up to now.

    `since` is when it was deployed, `until` when the watch over it ends (both ISO 8601, UTC).
    """

    thing: str
    status: Status
    reason: str
    run: str = ""
    former_version: str = ""
    model_version: str = ""
    since: str = ""
    until: str = ""
    checks: tuple[QualityCheck, ...] = ()

    @property
    def crossed(self) -> tuple[QualityCheck, ...]:
        """The checks that say: back."""
        return tuple(check for check in self.checks if check.passed is False)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)
