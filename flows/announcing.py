"""Tells the Prefect server what came of a run or of a look at a device, for automations to hear.

An event's name is its outcome (`edgeward.run.refused`, `edgeward.drift`); flows/automations.py says
who is told.
"""

import uuid

from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from tasks.monitor_report import MonitorReport
from tasks.quality.rollbacks import Rollback
from tasks.recording import Run, read_record

EVENTS = uuid.UUID("b6a3c7a0-6f0e-4f0e-9d3e-0a3f5e0c1d52")
"""Where the ids of events are names in: one that is sent twice is the same event."""


def announce(run: Run) -> None:
    """The outcome of a run, with its reason and the gates that refused it.

    Of a run that waits for approval it tells when it begins to wait.
    """
    record = read_record(run)
    if record["status"] == "waiting" and "ended_at" in record:
        return
    refusing = [
        gate["name"]
        for gate in record["gates"]
        if gate["passed"] is False and not gate["overridden"]
    ]
    emit_event(
        f"edgeward.run.{record['status']}",
        resource={
            "prefect.resource.id": f"edgeward.run.{run.id}",
            "prefect.resource.name": run.id,
            "edgeward.thing": str(record.get("thing", "")),
        },
        payload={"reason": record["reason"], "gates": refusing, "report": str(run.report)},
    )


def announce_drift(report: MonitorReport) -> None:
    """A device whose pictures, or whose model's answers, are no longer what was trained on."""
    emit_event(
        "edgeward.drift",
        resource={
            "prefect.resource.id": f"edgeward.thing.{report.thing}",
            "prefect.resource.name": report.thing,
            "edgeward.thing": report.thing,
        },
        payload={
            "reason": report.reason,
            "checks": list(report.drifted),
        },
    )


def announce_rollback(rollback: Rollback) -> None:
    """A device that was given back what it ran before; returns once the server has been told."""
    emit_event(
        "edgeward.rolled-back",
        resource={
            "prefect.resource.id": f"edgeward.thing.{rollback.thing}",
            "prefect.resource.name": rollback.thing,
            "edgeward.thing": rollback.thing,
        },
        payload={
            "reason": rollback.reason,
            "run": rollback.run,
            "from_version": rollback.from_version,
            "to_version": rollback.to_version,
            "by": rollback.by,
            "rollback": rollback.id,
        },
        id=uuid.uuid5(EVENTS, rollback.id),
    )
    EventsWorker.instance().wait_until_empty()
