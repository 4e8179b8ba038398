"""Look at every device, as the schedule does, and tell the Prefect server of drift."""

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from backends.connect import local_fleet
from backends.settings import load_settings
from flows.announcing import announce_drift
from flows.monitor import MonitorPlan, finding, monitor
from flows.notify import tell_people
from flows.outcome_state import ends_saying
from flows.quality import watch_quality
from tasks.monitor_report import MonitorReport
from tasks.monitoring import monitor_limits
from tasks.recording import targets_of


class WatchPlan(BaseModel):
    """Which devices to look at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    things: tuple[str, ...] = Field((), description="Thing names; empty: all that there are.")


def findings(reports: tuple[MonitorReport, ...]) -> str:
    """What came of the looks at all devices, a sentence each."""
    return "; ".join(f"{one.thing}: {finding(one)}" for one in reports) or "there is no device yet"


@flow(name="watch", flow_run_name="watch the devices")
@ends_saying(findings)
def watch(plan: WatchPlan = WatchPlan()) -> tuple[MonitorReport, ...]:
    """Monitor each device by the limits of what was last deployed to it.

    It ends well whether or not there is drift: drift is an event, `edgeward.drift`.
    """
    settings = load_settings()
    known = [device.thing for device in local_fleet(settings).devices()]
    reports = []
    for thing in plan.things or known:
        limits = monitor_limits(targets_of(settings.root / "runs", thing))
        report = monitor(MonitorPlan(thing=thing, limits=limits))
        if report.status == "drift":
            announce_drift(report)
        reports.append(report)
        watch_quality(thing)
    tell_people(settings, [])  # what was held back in a quiet time, or not taken by a channel
    return tuple(reports)
