"""Who is told when something goes wrong: Prefect automations, kept as code.

Each hears an event and posts subject and body to the webhook of the settings. Deploying again
mends them by name, and leaves off what a person has switched off.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import PrefectClient
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from backends.settings import NotifySettings

BLOCK = "edgeward-webhook"
RUN = "edgeward.run.*"
FLOW_RUN = "prefect.flow-run.*"
MONITOR: Mapping[str, Any] = {
    "prefect.resource.role": "flow",
    "prefect.resource.name": "watch",
}
OURS: Mapping[str, Any] = {
    "prefect.resource.role": "tag",
    "prefect.resource.id": "prefect.tag.edgeward",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """What is heard, and what is then said. Subject and body are Jinja templates of Prefect's."""

    name: str
    subject: str
    body: str
    trigger: EventTrigger

    def automation(self, block: UUID, tags: list[str]) -> AutomationCore:
        action = SendNotification(block_document_id=block, subject=self.subject, body=self.body)
        return AutomationCore(name=self.name, trigger=self.trigger, actions=[action], tags=tags)


def notices(settings: NotifySettings) -> tuple[Notice, ...]:
    """Everything that somebody is told."""
    reason = "{{ event.payload.reason }}"
    return (
        Notice(
            "Edgeward: a flow failed",
            "{{ flow.name }} failed",
            "{{ flow_run.name }} ended {{ flow_run.state.name }}: {{ flow_run.state.message }}",
            _heard(
                {
                    "prefect.flow-run.Failed",
                    "prefect.flow-run.Crashed",
                    "prefect.flow-run.TimedOut",
                },
                FLOW_RUN,
                OURS,
            ),
        ),
        Notice(
            "Edgeward: a gate refused a run",
            "A gate refused run {{ event.resource.name }}",
            f"{reason}. See {{{{ event.payload.report }}}}",
            _heard({"edgeward.run.refused"}, RUN),
        ),
        Notice(
            "Edgeward: a release waits for approval",
            "Run {{ event.resource.name }} waits for approval",
            reason,
            _heard({"edgeward.run.waiting"}, RUN),
        ),
        Notice(
            "Edgeward: a device drifts",
            "{{ event.resource.name }} drifts",
            reason,
            _heard({"edgeward.drift"}, "edgeward.thing.*"),
        ),
        Notice(
            "Edgeward: the monitor is silent",
            "Nobody looks at the devices",
            f"The flow watch has not completed for {settings.silence_minutes:g} minutes: is its "
            "schedule active, and does a worker run?",
            EventTrigger(
                posture=Posture.Proactive,
                expect={"prefect.flow-run.Completed"},
                match={"prefect.resource.id": FLOW_RUN},
                match_related=dict(MONITOR),
                threshold=1,
                within=timedelta(minutes=settings.silence_minutes),
            ),
        ),
    )


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
    """Make the server's automations those of `notices`; their names. Without a webhook: none."""
    wanted = notices(settings) if settings.webhook.get_secret_value() else ()
    if wanted:
        block = await _save_block(settings.webhook.get_secret_value())
    for notice in notices(settings):
        found = await client.read_automations_by_name(notice.name)
        if notice not in wanted:
            for one in found:
                await client.delete_automation(one.id)
            continue
        automation = notice.automation(block, ["edgeward"])
        if not found:
            await client.create_automation(automation)
        for one in found:
            automation.enabled = one.enabled
            await client.update_automation(one.id, automation)
    return [notice.name for notice in wanted]


async def _save_block(url: str) -> UUID:
    block = CustomWebhookNotificationBlock(
        name=BLOCK,
        url="{{webhook}}",
        json_data={"subject": "{{subject}}", "body": "{{body}}", "text": "{{subject}}: {{body}}"},
        secrets={"webhook": url},
    )
    return await block.save(BLOCK, overwrite=True)  # type: ignore[no-any-return]
