"""Who is told when something goes wrong: Prefect automations, kept as code.

Each hears one kind of event and starts the flow `notify` with it, which groups and tells by the
channels of the settings (docs/adr/0046). Two speak of what `notify` itself needs, so the server
posts them to the webhook by itself. Deploying again mends them by name, and leaves off what a
person has switched off.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import PrefectClient
from prefect.events.actions import ActionTypes, RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from backends.settings import NotifySettings
from tasks.notices.kinds import FAILURES, KINDS, Kind

BLOCK = "edgeward-webhook"
NOTIFY = "notify/on-event"
FLOW_RUN = "prefect.flow-run.*"
MONITOR: Mapping[str, Any] = {
    "prefect.resource.role": "flow",
    "prefect.resource.name": "watch",
}
TELLER: Mapping[str, Any] = {
    "prefect.resource.role": "flow",
    "prefect.resource.name": "notify",
}
OURS: Mapping[str, Any] = {
    "prefect.resource.role": "tag",
    "prefect.resource.id": "prefect.tag.edgeward",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """What is heard. `subject` and `body` (Jinja of Prefect's) are the server's own words.

    Where there are none, the flow `notify` finds the words.
    """

    name: str
    trigger: EventTrigger
    subject: str = ""
    body: str = ""

    @property
    def is_told_by_the_server(self) -> bool:
        return bool(self.subject)

    def automation(self, block: UUID | None, teller: UUID, tags: list[str]) -> AutomationCore:
        action: ActionTypes
        if self.is_told_by_the_server and block is not None:
            action = SendNotification(block_document_id=block, subject=self.subject, body=self.body)
        else:
            plan = {"event": "{{ event.id | string }}", "name": "{{ event.event }}"}
            action = RunDeployment(deployment_id=teller, parameters={"plan": plan})
        return AutomationCore(name=self.name, trigger=self.trigger, actions=[action], tags=tags)


def notices(settings: NotifySettings) -> tuple[Notice, ...]:
    """Everything that somebody is told."""
    return (
        *(Notice(kind.automation, _trigger(kind)) for kind in KINDS),
        Notice(
            "Edgeward: people could not be told",
            _heard(set(FAILURES), FLOW_RUN, TELLER),
            "A message could not be told",
            "{{ flow_run.name }} ended {{ flow_run.state.name }}: {{ flow_run.state.message }}. "
            "See its log in Prefect's UI, and `edgeward doctor`.",
        ),
        Notice(
            "Edgeward: the monitor is silent",
            EventTrigger(
                posture=Posture.Proactive,
                expect={"prefect.flow-run.Completed"},
                match={"prefect.resource.id": FLOW_RUN},
                match_related=dict(MONITOR),
                threshold=1,
                within=timedelta(minutes=settings.silence_minutes),
            ),
            "Nobody looks at the devices",
            f"The flow watch has not completed for {settings.silence_minutes:g} minutes: is its "
            "schedule active, and does a worker run? See `edgeward doctor`.",
        ),
    )


def _trigger(kind: Kind) -> EventTrigger:
    """`notify` has another tag than the other flows: its own failure would call it again."""
    if kind.of_prefect:
        return _heard(set(FAILURES), FLOW_RUN, OURS)
    return _heard({kind.event}, "edgeward.*")


def _heard(
    events: set[str], resource: str, related: Mapping[str, Any] | None = None
) -> EventTrigger:
    return EventTrigger(
        posture=Posture.Reactive,
        expect=events,
        match={"prefect.resource.id": resource},
        match_related=dict(related or {}),
        threshold=1,
    )


async def apply_automations(client: PrefectClient, settings: NotifySettings) -> list[str]:
    """Make the server's automations those of `notices`; their names.

    The flow `notify` must be deployed. Without a webhook the server itself has nobody to tell.
    """
    teller = (await client.read_deployment_by_name(NOTIFY)).id
    url = settings.webhook.get_secret_value()
    block = await _save_block(url) if url else None
    applied = []
    for notice in notices(settings):
        found = await client.read_automations_by_name(notice.name)
        if notice.is_told_by_the_server and block is None:
            for one in found:
                await client.delete_automation(one.id)
            continue
        applied.append(notice.name)
        automation = notice.automation(block, teller, ["edgeward"])
        if not found:
            await client.create_automation(automation)
        for one in found:
            automation.enabled = one.enabled
            await client.update_automation(one.id, automation)
    return applied


async def _save_block(url: str) -> UUID:
    block = CustomWebhookNotificationBlock(
        name=BLOCK,
        url="{{webhook}}",
        json_data={
            "subject": "{{subject}}",
            "body": "{{body}}",
            "text": "{{subject}}: {{body}}",
            "severity": "critical",
        },
        secrets={"webhook": url},
    )
    return await block.save(BLOCK, overwrite=True)  # type: ignore[no-any-return]
