"""Look at every device, group and all together, as the schedule does."""

from collections.abc import Iterator, Mapping, Sequence

from prefect import flow, get_run_logger
from pydantic import BaseModel, ConfigDict, Field

from backends.connect import local_fleet
from backends.errors import EdgewardError
from backends.settings import load_settings
from flows.monitor import MonitorPlan, finding, monitor
from flows.notify import tell_people
from flows.outcome_state import ends_saying
from flows.quality import watch_quality
from tasks.device_comparison import MonitorLimits, monitor_limits
from tasks.monitor_report import MonitorReport
from tasks.recording import targets_of

_SEVERAL = 2
"""Of one thing alone, a group has no more to say than the thing."""


class WatchPlan(BaseModel):
    """Which devices to look at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    things: tuple[str, ...] = Field(
        (), description="Thing names; empty: all that there are, their groups, and all together."
    )


def findings(reports: tuple[MonitorReport, ...]) -> str:
    """What came of the looks at all devices, a sentence each."""
    return "; ".join(f"{one.thing}: {finding(one)}" for one in reports) or "there is no device yet"


@flow(name="watch", flow_run_name="watch the devices")
@ends_saying(findings)
def watch(plan: WatchPlan = WatchPlan()) -> tuple[MonitorReport, ...]:
    """Monitor each device by the limits of what was last deployed to it, then the groups.

    It ends well whether or not there is drift: drift is an event, `edgeward.drift`. A device that
    cannot be looked at keeps no other from it; the watch fails at the end then.
    """
    settings = load_settings()
    fleet = local_fleet(settings)
    known = [device.thing for device in fleet.devices()]
    groups = {} if plan.things else fleet.groups.all()
    runs = settings.root / "runs"
    limits = {thing: monitor_limits(targets_of(runs, thing)) for thing in plan.things or known}
    plans = list(_plans(limits, groups, together=not plan.things))
    reports: list[MonitorReport] = []
    failed: list[EdgewardError] = []
    for one in plans:
        try:
            reports.append(monitor(one.model_copy(update={"scopes": len(plans)})))
            if one.about == one.thing:
                watch_quality(one.thing)
        except EdgewardError as error:
            get_run_logger().error("%s: %s", one.about, error)
            failed.append(error)
    tell_people(settings, [])  # what was held back in a quiet time, or not taken by a channel
    if failed:
        raise failed[0]
    return tuple(reports)


def _plans(
    limits: Mapping[str, MonitorLimits], groups: Mapping[str, Sequence[str]], together: bool
) -> Iterator[MonitorPlan]:
    """Things first: a group asks how many of them are in alarm."""
    for thing, own in limits.items():
        yield MonitorPlan(thing=thing, limits=own)
    for group, things in groups.items():
        if len(things) >= _SEVERAL:
            shared = next((limits[thing] for thing in things if thing in limits), MonitorLimits())
            yield MonitorPlan(group=group, limits=shared)
    if together and len(limits) >= _SEVERAL:
        yield MonitorPlan(fleet=True, limits=next(iter(limits.values())))
