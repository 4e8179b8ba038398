"""Tells people what the Prefect server has heard: an automation starts this with an event.

The server keeps its events, so one run tells all of that kind that came meanwhile, as one message.
"""

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.events.filters import (
    EventFilter,
    EventIDFilter,
    EventNameFilter,
    EventOccurredFilter,
)
from pydantic import BaseModel, ConfigDict, Field

from backends.connect import channels
from backends.quiet_time import parse_quiet_time
from backends.settings import Settings, load_settings
from flows.outcome_state import ends_saying
from tasks.notices.kinds import BY_EVENT, FAILURES, Notice, notice_of
from tasks.notices.telling import Told, tell

LOOK_BACK = timedelta(minutes=30)
MOST_EVENTS = 1000
PAGE = 50
"""Events that the server gives at once."""
STORED_WITHIN = 60.0
"""Seconds after which the server should have stored an event that it has heard."""
POLL_SECONDS = 0.5


class NotifyPlan(BaseModel):
    """What happened; without an event, only what waits is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: str = Field("", description="The event's id.")
    name: str = Field("", description="The event's name, as in docs/how-to/quality.md.")


@flow(name="notify", flow_run_name="tell of {plan.name}")
@ends_saying(str)
def notify(plan: NotifyPlan = NotifyPlan()) -> Told:
    """Tell people of an event, and of all of its kind since, by every channel of the settings."""
    settings = load_settings()
    notices = news(plan, settings.notify.group_seconds)
    return tell_people(settings, notices)


def tell_people(settings: Settings, notices: list[Notice]) -> Told:
    """Tell of `notices`, and of what was held back or failed before."""
    quiet = parse_quiet_time(settings.notify.quiet)
    log = get_run_logger() if FlowRunContext.get() else logging.getLogger(__name__)
    return tell(settings.root, notices, channels(settings), quiet, log)


def news(plan: NotifyPlan, group_seconds: float) -> list[Notice]:
    """The events of that name which the server has, once others have had time to come as well."""
    if not plan.event:
        return []
    kind = BY_EVENT.get(FAILURES[0] if plan.name in FAILURES else plan.name)
    if kind is not None and kind.severity != "critical":
        time.sleep(group_seconds)
    stored = _stored(plan)
    notices = [notice_of(event) for event in stored]
    return [notice for notice in notices if notice is not None]


def _stored(plan: NotifyPlan) -> list[dict[str, Any]]:
    """The recent events of a name, oldest first; the server stores them some seconds late."""
    names = list(FAILURES if plan.name in FAILURES else (plan.name,))
    this = _filter(id=EventIDFilter(id=[plan.event]))
    deadline = time.monotonic() + STORED_WITHIN
    with get_client(sync_client=True) as client:
        while not (found := client.read_events(this, limit=1).events):
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
        page = client.read_events(_filter(event=EventNameFilter(name=names)), limit=PAGE)
        while page.events and len(found) < MOST_EVENTS:
            found += page.events
            if page.next_page is None:
                break
            page = client.read_events_page(str(page.next_page))
    known = {str(event.id): event.model_dump(mode="json") for event in found}
    return sorted(known.values(), key=lambda event: str(event["occurred"]))


def _filter(**wanted: Any) -> EventFilter:
    now = datetime.now(UTC)
    return EventFilter(occurred=EventOccurredFilter(since=now - LOOK_BACK, until=now), **wanted)
