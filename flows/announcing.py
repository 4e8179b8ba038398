"""Tells the Prefect server what came of a run or of a look at a device, for automations to hear.

An event's name is its outcome (`edgeward.run.refused`, `edgeward.drift`); flows/automations.py says
who is told.
"""

from datetime import UTC, datetime

from prefect.events import Event, Resource, emit_event

from flows.sure_events import tell_surely
from tasks.drift.alarms import Change
from tasks.drift.scopes import Scope
from tasks.recording import Run, read_record


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
    tell_surely(
        Event(
            id=change.event_id(scope),
            event=f"edgeward.{alarm.kind}{ended}",
            occurred=datetime.now(UTC),
            resource=Resource(
                {
                    "prefect.resource.id": scope.resource,
                    "prefect.resource.name": str(scope),
                    "edgeward.thing": scope.name if scope.kind == "thing" else "",
                }
            ),
            payload={
                "reason": "; ".join(reasons),
                "checks": list(change.news),
                "since": alarm.since,
                "episode": alarm.episode,
                "model_versions": list(alarm.model_versions),
                "things": list(alarm.things),
                "what": change.what,
            },
        )
    )
