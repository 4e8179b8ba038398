"""What monitoring found out about a thing or a group, for people and programs to read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tasks.drift.alarms import Alarm, State
from tasks.drift.messages import SILENCE
from tasks.drift.scopes import Scope
from tasks.statistics_store import NewWindows

Status = Literal["ok", "drift", "silent", "no data", "no baseline"]
NEXT: dict[Status, str] = {
    "drift": "Look at what the device sees (`edgeward results --follow`). If it is what it will "
    "see from now on, gather such pictures and run the cycle on them; if not, mend the camera.",
    "ok": "Nothing.",
    "silent": "See whether it runs and has a network: `edgeward device status`.",
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
    """What was reported since the last run, against the baselines of the model versions.

    `thing` is a thing, `group:NAME` or `fleet`. `since` and `until` are the first start and last
    end of the windows; `skipped` counts what could not be understood, by reason; `data_docs` is an
    index.html, or empty. `alarms` are those that last now, with when each check began to move.
    `page` is the report as HTML, or empty.
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
    alarms: tuple[Alarm, ...] = ()
    page: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def make_report(
    scope: Scope,
    found: Sequence[NewWindows],
    checks: tuple[MonitorCheck, ...],
    state: State,
    docs: str,
) -> MonitorReport:
    """The report of a look; `state` is what is remembered after it."""
    summaries = [window.summary for one in found for window in one.windows]
    skipped: dict[str, int] = {}
    for one in found:
        for why, count in one.skipped.items():
            skipped[why] = skipped.get(why, 0) + count
    drifted = tuple(dict.fromkeys(check.name for check in checks if check.passed is False))
    status, reason = _status(checks)
    return MonitorReport(
        thing=str(scope),
        status=status,
        reason=reason,
        since=min((summary.start for summary in summaries), default=""),
        until=max((summary.end for summary in summaries), default=""),
        windows=len(summaries),
        pictures=sum(summary.count for summary in summaries),
        checks=checks,
        drifted=drifted,
        skipped=skipped,
        data_docs=docs,
        alarms=tuple(state.alarms.values()),
    )


def _status(checks: Sequence[MonitorCheck]) -> tuple[Status, str]:
    broken = {check.name: check.reason for check in checks if check.passed is False}
    if set(broken) == {SILENCE}:
        return "silent", broken[SILENCE]
    if broken:
        return "drift", "; ".join(broken.values())
    judged = [check for check in checks if check.passed]
    if any(check.model_version or check.name.startswith("things.") for check in judged):
        return "ok", "nothing moved by more than its limit"
    waiting = [check for check in checks if check.passed is None]
    open_reasons = "; ".join(f"{check.model_version}: {check.reason}" for check in waiting)
    if any("no baseline" in check.reason for check in waiting):
        return "no baseline", open_reasons
    return "no data", open_reasons or "nothing was reported since the last run"


def unjudged_version(version: str, reason: str) -> MonitorCheck:
    return MonitorCheck("baseline", None, None, None, reason, version)
