"""What the doctor says of one thing."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was found, and what to do when that is not well.

    `needed`: whether a run cannot do without it; else what is not well is a warning.
    """

    subject: str
    healthy: bool
    found: str
    remedy: str
    needed: bool = True

    def as_table(self) -> dict[str, Any]:
        return asdict(self)


def warning(subject: str, healthy: bool, found: str, remedy: str) -> Finding:
    """About something that no run needs."""
    return Finding(subject, healthy, found, remedy, needed=False)


def listed(names: list[str], most: int = 5) -> str:
    """`a, b, c and 4 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
