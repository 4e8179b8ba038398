"""Compare what was reported since the last run with what the models were trained on."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Self

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field, model_validator

from backends.connect import local_fleet, reporting_of, statistics_store
from backends.settings import Settings, load_settings
from edge.contract import THING_NAME
from flows.announcing import announce_drift
from flows.outcome_state import ends_saying
from tasks.device_comparison import MonitorLimits
from tasks.drift.alarms import Finding, read_state
from tasks.drift.messages import known_to, silence, things_at_once
from tasks.drift.page import SAMPLES, Sample, write_page
from tasks.drift.scopes import Scope, held, of_thing
from tasks.drift_artifacts import show_drift
from tasks.monitor_report import MonitorReport
from tasks.monitoring import check_windows, read_windows, remember_windows


class MonitorPlan(BaseModel):
    """What to look at (a device, a group of them, or all), and how much change is too much."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thing: str = Field("hub-1", pattern=f"^{THING_NAME}$", description="The device to look at.")
    group: str = Field(
        "", pattern=f"^({THING_NAME})?$", description="Look at this group instead of a device."
    )
    fleet: bool = Field(False, description="Look at all devices together instead.")
    scopes: int = Field(
        1, ge=1, description="How many such looks are taken each time: chance counts them all."
    )
    limits: MonitorLimits = Field(MonitorLimits(), description="How much change is too much.")

    @model_validator(mode="after")
    def _is_of_one(self) -> Self:
        if self.group and self.fleet:
            raise ValueError("group: give a group or fleet, not both")
        return self

    @property
    def about(self) -> str:
        """Whose report it is, in a word."""
        return "fleet" if self.fleet else f"group:{self.group}" if self.group else self.thing


def finding(report: MonitorReport) -> str:
    """What a look came to, in a sentence."""
    of = f" in {', '.join(report.drifted)}" if report.drifted else ""
    return f"{report.status}{of}: {report.reason}"


@flow(name="monitor", flow_run_name="look at {plan.about}")
@ends_saying(finding)
def monitor(plan: MonitorPlan = MonitorPlan()) -> MonitorReport:
    """Report on a scope, and tell of alarms that begin, grow or end.

    First it is told, then remembered: a look that is cut off is taken again, and tells the same.
    """
    settings = load_settings()
    home, scope = settings.root, _scope(settings, plan)

    with held(home, scope):
        found = read_windows(statistics_store(settings), home, scope)
        messages = _messages(settings, scope, plan.limits)
        judgement = check_windows(home, scope, found, plan.limits, messages, plan.scopes)
        for change in judgement.changes:
            announce_drift(scope, change)
        remember_windows(home, scope, found, judgement)
        page = write_page(home, scope, judgement.report, judgement.state, _samples(settings, scope))
        report = replace(judgement.report, page=str(page))
        show_drift(home, report)
    return report


def _scope(settings: Settings, plan: MonitorPlan) -> Scope:
    if not plan.group and not plan.fleet:
        return of_thing(plan.thing)
    fleet = local_fleet(settings)
    if plan.fleet:
        return Scope("fleet", "", tuple(device.thing for device in fleet.devices()))
    return Scope("group", plan.group, tuple(fleet.groups.members(plan.group)))


def _samples(settings: Settings, scope: Scope) -> list[Sample]:
    """Pictures that are here already; none is asked for."""
    examples = local_fleet(settings).examples
    stored = [one for thing in scope.things for one in examples.stored(thing)[-SAMPLES:]]
    return [
        Sample(one.thing, one.path, str(one.result.get("label", "")), one.result.get("score"))
        for one in stored
    ]


def _messages(settings: Settings, scope: Scope, limits: MonitorLimits) -> tuple[Finding, ...]:
    """What is known about a scope without its pictures."""
    home = settings.root
    if scope.kind == "thing":
        known = reporting_of(settings, scope.name)
        if settings.backend.kind != "local":  # nobody else knows what to expect of it
            known = known_to(read_state(home, scope), known)
        return tuple(silence(known, limits, datetime.now(UTC)))
    states = {thing: read_state(home, of_thing(thing)) for thing in scope.things}
    return tuple(things_at_once(states, limits)) if states else ()
