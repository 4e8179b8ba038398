"""Compare what a device reported since the last run with what its model was trained on."""

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from backends.connect import statistics_store
from backends.settings import load_settings
from edge.contract import THING_NAME
from flows.outcome_state import ends_saying
from tasks.device_comparison import MonitorLimits
from tasks.drift_artifacts import show_drift
from tasks.monitor_report import MonitorReport
from tasks.monitoring import (
    check_windows,
    read_windows,
    remember_windows,
)


class MonitorPlan(BaseModel):
    """Which device to look at, and how much change is too much."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thing: str = Field("hub-1", pattern=f"^{THING_NAME}$", description="The device to look at.")
    limits: MonitorLimits = Field(MonitorLimits(), description="How much change is too much.")


def finding(report: MonitorReport) -> str:
    """What a look came to, in a sentence."""
    of = f" in {', '.join(report.drifted)}" if report.drifted else ""
    return f"{report.status}{of}: {report.reason}"


@flow(name="monitor", flow_run_name="look at {plan.thing}")
@ends_saying(finding)
def monitor(plan: MonitorPlan = MonitorPlan()) -> MonitorReport:
    """Report on a thing. Its windows count as judged only once the report is made."""
    settings = load_settings()
    home = settings.root

    windows = read_windows(statistics_store(settings), home, plan.thing)
    report = check_windows(home, windows, plan.limits)
    show_drift(home, report)
    return remember_windows(home, windows, report)
