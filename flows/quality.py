"""The newest model of a device against the one before it: judge it, and take it back if need be."""

from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, get_run_logger
from pydantic import BaseModel, ConfigDict, Field

from backends.connect import restorable_fleet, statistics_store, tracker
from backends.errors import BackendUnavailableError, DeploymentError
from backends.ports import RestorableFleet, Tracker
from backends.settings import load_settings
from edge.contract import THING_NAME
from flows.announcing import announce_rollback
from flows.outcome_state import ends_saying
from flows.shadow import hear_shadow
from tasks.quality.deployments import Unwatched, Watched, watched_deployment, way_back
from tasks.quality.report import QualityReport
from tasks.quality.rollbacks import (
    BY_ITSELF,
    Rollback,
    decide,
    did,
    held,
    rollbacks_of,
    rolled_back,
)
from tasks.quality.rolling_back import (
    record_rollback,
    restore_data,
    restore_deployment,
    restore_registry,
)
from tasks.quality.showing import show_quality
from tasks.quality.watching import conclude_watch, judge_quality, read_watch


class RollbackPlan(BaseModel):
    """Which device gives back its model, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    thing: str = Field("hub-1", pattern=f"^{THING_NAME}$", description="The device.")
    to: str = Field("", description="A model version that ran on it; empty: the one before.")
    reason: str = Field(min_length=1, max_length=2000, description="Why; it is recorded.")
    by: str = Field("", max_length=200, description="Your name; it is recorded.")


def finding(report: QualityReport) -> str:
    """What came of a look, in a sentence."""
    return f"{report.status}: {report.reason}"


def said(rollback: Rollback) -> str:
    return f"{rollback.thing} runs model {rollback.to_version} again: {rollback.reason}"


@flow(name="watch-quality", flow_run_name="watch the new model on {thing}")
@ends_saying(finding)
def watch_quality(thing: str) -> QualityReport:
    """Judge what was last deployed to a thing, and roll it back where a limit is crossed.

    A rollback that was begun is finished first. Nothing is judged twice after the watch has ended.
    """
    settings = load_settings()
    home = settings.root
    fleet, kept = restorable_fleet(settings), tracker(settings)

    with held(home, thing):
        if unfinished := finish_rollbacks(home, thing, fleet, kept):
            report = QualityReport(thing, "rolling back", unfinished.reason, unfinished.run)
        else:
            watched = watched_deployment(home / "runs", thing, fleet.history(thing))
            report = look_at(home, watched, fleet, kept)
    show_quality(report)
    return report


@flow(name="rollback", flow_run_name="roll back {plan.thing}")
@ends_saying(said)
def roll_back(plan: RollbackPlan) -> Rollback:
    """Give a device what it ran before, by hand. Raises InvalidInputError: there is nothing."""
    settings = load_settings()
    home = settings.root
    fleet, kept = restorable_fleet(settings), tracker(settings)

    with held(home, plan.thing):
        if unfinished := finish_rollbacks(home, plan.thing, fleet, kept):
            reason = f"its rollback to {unfinished.to_version} has not come to its end"
            remedy = f"See `edgeward device status {plan.thing}`, and try again."
            raise BackendUnavailableError(plan.thing, reason, remedy)
        avoided = rolled_back(home, plan.thing)
        way = way_back(home / "runs", plan.thing, fleet.history(plan.thing), plan.to, avoided)
        versions = (way.from_version, way.to_version)
        by = plan.by or "a person"
        rollback = decide(home, plan.thing, way.run, versions, way.before, plan.reason, by)
        return carry_out(home, rollback, fleet, kept)


def look_at(
    home: Path, watched: Watched | Unwatched, fleet: RestorableFleet, kept: Tracker
) -> QualityReport:
    """Judge a deployment, as long as it is being watched."""
    if isinstance(watched, Unwatched):
        return QualityReport(watched.thing, "nothing to watch", watched.reason)
    watch = read_watch(home, watched.run)
    if watch.concluded:
        return QualityReport(watched.thing, "nothing to watch", f"it ended {watch.concluded}")
    now = datetime.now(UTC)
    watch, compared = hear_shadow(home, watch, watched, fleet, now)
    report = judge_quality(home, statistics_store(load_settings()), watched, compared, now)
    if report.status == "rolling back":
        report = take_back(home, watched, report, fleet, kept)
    if report.status in ("kept", "rolled back"):
        conclude_watch(home, watch, report)
    return report


def take_back(
    home: Path, watched: Watched, report: QualityReport, fleet: RestorableFleet, kept: Tracker
) -> QualityReport:
    """Roll back by itself; where the device cannot take it now, the next look goes on with it."""
    figures = [asdict(check) for check in report.checks]
    versions = (watched.model_version, watched.former_version)
    began = watched.began.isoformat()
    rollback = decide(
        home, watched.thing, watched.run, versions, began, report.reason, BY_ITSELF, figures
    )
    done = finished(home, rollback, fleet, kept)
    return replace(report, status="rolled back") if done else report


def finish_rollbacks(
    home: Path, thing: str, fleet: RestorableFleet, kept: Tracker
) -> Rollback | None:
    """Go on with what a process that was killed, or a device that was away, left undone.

    Gives back what is still undone then.
    """
    for rollback in rollbacks_of(home, thing):
        if not rollback.is_finished and not finished(home, rollback, fleet, kept):
            return rollback
    return None


def finished(home: Path, rollback: Rollback, fleet: RestorableFleet, kept: Tracker) -> bool:
    """Whether a rollback came to its end; why not is in the log."""
    try:
        carry_out(home, rollback, fleet, kept)
    except (DeploymentError, BackendUnavailableError) as error:
        get_run_logger().warning("%s: not rolled back yet: %s", rollback.thing, error)
        return False
    return True


def carry_out(home: Path, rollback: Rollback, fleet: RestorableFleet, kept: Tracker) -> Rollback:
    """Every step that is left of a rollback, each once."""
    rollback = restore_deployment(fleet, home, rollback)
    rollback = restore_registry(kept, home, rollback)
    rollback = restore_data(home, rollback)
    rollback = record_rollback(kept, home, rollback)
    if "told" not in rollback.done:
        announce_rollback(rollback)
        rollback = did(home, rollback, "told")
    return rollback
