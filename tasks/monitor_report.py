"""What monitoring found out about one thing, as a value that people and programs can read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from edge.statistics import Summary
from tasks.statistics_store import NewWindows

Status = Literal["ok", "drift", "no data", "no baseline"]
NEXT: dict[Status, str] = {
    "drift": "Look at what the device sees (`edgeward results --follow`). If it is what it will "
    "see from now on, gather such pictures and run the cycle on them; if not, mend the camera.",
    "ok": "Nothing.",
    "no data": "Wait until the device has reported more pictures; see that it runs with "
    "`edgeward device status`.",
    "no baseline": "Deploy a model with `edgeward run`: that writes its baseline.",
}
"""What a person does now; commands stand in backticks."""


@dataclass(frozen=True, slots=True)
class MonitorCheck:
    """One comparison; `passed` None: there was nothing to judge by, and `reason` says why."""

    name: str
    passed: bool | None
    measured: float | None
    limit: float | None
    reason: str
    model_version: str


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """What a thing reported since the last run, against the baselines of its model versions.

    `since` and `until` are the first start and last end of its windows; `skipped` counts what
    could not be understood, by reason; `data_docs` is an index.html, or empty.
    """

    thing: str
    status: Status
    reason: str
    since: str
    until: str
    windows: int
    pictures: int
    checks: tuple[MonitorCheck, ...] = ()
    drifted: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    data_docs: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def make_report(
    found: NewWindows, seen: Mapping[str, Summary], checks: tuple[MonitorCheck, ...], docs: str
) -> MonitorReport:
    drifted = tuple(dict.fromkeys(check.name for check in checks if check.passed is False))
    status, reason = _status(checks)
    return MonitorReport(
        thing=found.thing,
        status=status,
        reason=reason,
        since=min((summary.start for summary in seen.values()), default=""),
        until=max((summary.end for summary in seen.values()), default=""),
        windows=len(found.windows),
        pictures=sum(summary.count for summary in seen.values()),
        checks=checks,
        drifted=drifted,
        skipped=dict(found.skipped),
        data_docs=docs,
    )


def _status(checks: Sequence[MonitorCheck]) -> tuple[Status, str]:
    broken = [check.reason for check in checks if check.passed is False]
    if broken:
        return "drift", "; ".join(broken)
    if any(check.passed for check in checks):
        return "ok", "nothing moved by more than its limit"
    open_reasons = "; ".join(f"{check.model_version}: {check.reason}" for check in checks)
    if any("no baseline" in check.reason for check in checks):
        return "no baseline", open_reasons
    return "no data", open_reasons or "nothing was reported since the last run"


def unjudged_version(version: str, reason: str) -> MonitorCheck:
    return MonitorCheck("baseline", None, None, None, reason, version)
