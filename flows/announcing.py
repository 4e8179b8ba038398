"""Tells the Prefect server what came of a run or of a look at a device, for automations to hear.

An event's name is its outcome (`edgeward.run.refused`, `edgeward.drift`); flows/automations.py says
who is told.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from prefect.events import Event, Resource, emit_event

from backends.settings import load_settings
from flows.notify import tell_people
from flows.prefect_server import has_lasting_ui
from flows.sure_events import tell_surely
from tasks.drift.alarms import Change
from tasks.drift.scopes import Scope
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


def announce_drift(scope: Scope, change: Change) -> None:
    """An alarm that began, grew (by a check, or under another model version) or ended.

    It is on the server when this returns; told twice, it is the same event there.
    """
    alarm = change.alarm
    ended = ".ended" if change.what == "ended" else ""
    reasons = [f"{name}: {alarm.checks[name].says}" for name in change.news]
    _tell(
        change.event_id(scope),
        f"edgeward.{alarm.kind}{ended}",
        {
            "prefect.resource.id": scope.resource,
            "prefect.resource.name": str(scope),
            "edgeward.thing": scope.name if scope.kind == "thing" else "",
        },
        {
            "reason": "; ".join(reasons),
            "checks": list(change.news),
            "since": alarm.since,
            "episode": f"{alarm.kind}-{alarm.episode}",
            "model_versions": list(alarm.model_versions),
            "things": list(alarm.things),
            "what": change.what,
        },
    )


def announce_rollback(rollback: Rollback) -> None:
    """A device that was given back what it ran before; returns once the server has been told."""
    thing = rollback.thing
    _tell(
        uuid.uuid5(EVENTS, f"edgeward.rolled-back {thing} {rollback.id}"),
        "edgeward.rolled-back",
        {
            "prefect.resource.id": f"edgeward.thing.{thing}",
            "prefect.resource.name": thing,
            "edgeward.thing": thing,
        },
        {
            "reason": rollback.reason,
            "run": rollback.run,
            "from_version": rollback.from_version,
            "to_version": rollback.to_version,
            "by": rollback.by,
            "rollback": rollback.id,
        },
    )


def _tell(
    key: uuid.UUID, event: str, resource: Mapping[str, str], payload: Mapping[str, Any]
) -> None:
    """Emit an event; returns once the server has it. The same key is the same event there.

    Where no server lasts whose automations could hear it, people are told from here.
    """
    occurred = datetime.now(UTC)
    tell_surely(
        Event(
            id=key,
            event=event,
            occurred=occurred,
            resource=Resource(dict(resource)),
            payload=dict(payload),
        )
    )
    if not has_lasting_ui():
        told = {"id": str(key), "event": event, "occurred": occurred.isoformat()}
        notice = notice_of({**told, "resource": resource, "payload": payload})
        tell_people(load_settings(), [notice] if notice else [])
