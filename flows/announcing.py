"""Tells the Prefect server what came of a run or of a look at a device, for automations to hear.

An event's name is its outcome (`edgeward.run.refused`, `edgeward.drift`); flows/automations.py says
who is told.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from backends.settings import load_settings
from flows.notify import tell_people
from flows.prefect_server import has_lasting_ui
from tasks.monitor_report import MonitorReport
from tasks.notices.kinds import notice_of
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
    payload = {"reason": report.reason, "checks": list(report.drifted)}
    announce_of_thing("edgeward.drift", report.thing, payload)


def announce_rollback(rollback: Rollback) -> None:
    """A device that was given back what it ran before; returns once the server has been told."""
    payload = {
        "reason": rollback.reason,
        "run": rollback.run,
        "from_version": rollback.from_version,
        "to_version": rollback.to_version,
        "by": rollback.by,
        "rollback": rollback.id,
    }
    announce_of_thing("edgeward.rolled-back", rollback.thing, payload, rollback.id)


def announce_of_thing(
    event: str, thing: str, payload: Mapping[str, Any], episode: str = ""
) -> None:
    """Emit an event about a thing; returns once the server has it.

    An event of the same `episode` (empty: none) is the same event, however often it is sent. Where
    no server lasts whose automations could hear it, people are told from here.
    """
    key = uuid.uuid5(EVENTS, f"{event} {thing} {episode}") if episode else uuid.uuid4()
    resource = {
        "prefect.resource.id": f"edgeward.thing.{thing}",
        "prefect.resource.name": thing,
        "edgeward.thing": thing,
    }
    emit_event(event, resource=resource, payload=dict(payload), id=key)
    EventsWorker.instance().wait_until_empty()
    if not has_lasting_ui():
        occurred = datetime.now(UTC).isoformat()
        told = {"id": str(key), "event": event, "occurred": occurred}
        notice = notice_of({**told, "resource": resource, "payload": payload})
        tell_people(load_settings(), [notice] if notice else [])
