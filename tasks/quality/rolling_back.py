"""Gives a device back what it ran, and all that followed from the new model with it."""

from dataclasses import asdict
from pathlib import Path

from prefect import get_run_logger, task

from backends.moments import parse_moment
from backends.ports import RestorableFleet, Tracker
from tasks.accepted_data import accepted_folder, source_name
from tasks.handover import has_handed_over, take_over
from tasks.quality.deployments import model_of
from tasks.quality.former import restore_accepted, restore_champion
from tasks.quality.rollbacks import Rollback, did
from tasks.recording import Run, note, read_record
from tasks.reporting import write_report
from tasks.retrying import CALLS_BACKEND

STATUS = "rolled back"


@task(**CALLS_BACKEND, task_run_name="roll {rollback.thing} back to {rollback.to_version}")
def restore_deployment(fleet: RestorableFleet, home: Path, rollback: Rollback) -> Rollback:
    """Deploy what ran before, unless that was done. Raises DeploymentError, and may be repeated."""
    if "deployed" in rollback.done:
        return rollback
    newest = next(iter(fleet.history(rollback.thing)), None)
    taken = newest is not None and model_of(newest) == rollback.to_version
    if newest is None or not taken or parse_moment(newest.at) < parse_moment(rollback.decided_at):
        get_run_logger().warning("%s: rolling back: %s", rollback.thing, rollback.reason)
        fleet.roll_back(rollback.thing, rollback.before)
    return did(home, rollback, "deployed")


@task(**CALLS_BACKEND, task_run_name="registry goes back")
def restore_registry(tracker: Tracker, home: Path, rollback: Rollback) -> Rollback:
    """The former champion is champion again; the version taken back is marked."""
    if "registry" in rollback.done:
        return rollback
    if (run := _shipped_by(home, rollback)) and has_handed_over(run, "version"):
        model = source_name(read_record(run)["data"]["source"])
        version = take_over(run, "version", str)
        tracker.tag(model, version, {"rolled_back": rollback.reason[:500]})
        restore_champion(tracker, model, version, run)
    return did(home, rollback, "registry")


@task(**CALLS_BACKEND, task_run_name="accepted data go back")
def restore_data(home: Path, rollback: Rollback) -> Rollback:
    """The data that were accepted before are what the next run is compared with."""
    if "data" in rollback.done:
        return rollback
    if run := _shipped_by(home, rollback):
        data = read_record(run)["data"]
        folder = accepted_folder(home / "accepted", data["source"])
        restore_accepted(folder, data["fingerprint"], run)
    return did(home, rollback, "data")


@task(**CALLS_BACKEND, task_run_name="record the rollback")
def record_rollback(tracker: Tracker, home: Path, rollback: Rollback) -> Rollback:
    """The record of the run that shipped the model says that it was taken back, and its report."""
    if "record" in rollback.done:
        return rollback
    if run := _shipped_by(home, rollback):
        told = {**asdict(rollback), "id": rollback.id}
        told.pop("done")
        note(run, status=STATUS, reason=rollback.reason, rollback=told)
        write_report(run.folder)
        if tracked := read_record(run).get("tracked"):
            tracker.end(tracked, STATUS, [run.record, run.report])
    return did(home, rollback, "record")


def _shipped_by(home: Path, rollback: Rollback) -> Run | None:
    run = Run(rollback.run, home / "runs" / rollback.run)
    return run if rollback.run and run.record.is_file() else None
