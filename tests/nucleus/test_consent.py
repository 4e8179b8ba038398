"""A component that listens is asked before a deployment touches it."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest

from backends.local.nucleus.consent import Consent, RejectedError

Events = list[Mapping[str, Any]]


async def asked(events: Events, count: int = 1) -> None:
    async with asyncio.timeout(5):
        while len(events) < count:
            await asyncio.sleep(0.005)


def test_a_configuration_is_taken_when_every_listener_accepts_it() -> None:
    async def play() -> Events:
        consent = Consent()
        events: Events = []
        consent.watch_validation("app", events.append)
        waiting = asyncio.create_task(consent.validate("d1", {"app": {"A": 1}, "other": {}}, 5))
        await asked(events)
        consent.report_validity("app", "d1", accepted=True, message="")
        await waiting
        return events

    (event,) = asyncio.run(play())
    assert event == {
        "validateConfigurationUpdateEvent": {"configuration": {"A": 1}, "deploymentId": "d1"}
    }


def test_a_rejection_stops_the_deployment_and_gives_the_components_reason() -> None:
    async def play() -> None:
        consent = Consent()
        events: Events = []
        consent.watch_validation("app", events.append)
        waiting = asyncio.create_task(consent.validate("d1", {"app": {}}, 5))
        await asked(events)
        consent.report_validity("app", "d1", accepted=False, message="interval < 0")
        await waiting

    with pytest.raises(RejectedError, match="app rejects its configuration: interval < 0"):
        asyncio.run(play())


def test_a_listener_that_says_nothing_is_named_at_the_timeout() -> None:
    async def play() -> None:
        consent = Consent()
        consent.watch_validation("app", lambda _event: None)
        await consent.validate("d1", {"app": {}}, 0.05)

    with pytest.raises(RejectedError, match="app did not say"):
        asyncio.run(play())


def test_an_answer_that_nobody_waits_for_is_refused() -> None:
    with pytest.raises(KeyError):
        Consent().report_validity("app", "d1", accepted=True, message="")
    with pytest.raises(KeyError):
        Consent().defer_update("app", "d1", 0)


def test_an_update_waits_for_who_defers_and_no_longer_than_its_timeout() -> None:
    async def play() -> tuple[float, float]:
        consent = Consent()
        events: Events = []
        end = consent.watch_updates("app", events.append)
        started = time.monotonic()
        waiting = asyncio.create_task(consent.prepare("d1", ["app", "deaf"], 5))
        await asked(events)
        consent.defer_update("app", "d1", 100)
        await asked(events, 2)
        consent.defer_update("app", "d1", 0)
        await waiting
        deferred = time.monotonic() - started
        started = time.monotonic()
        await consent.prepare("d2", ["app"], 0.1)
        end()
        await consent.prepare("d3", ["app"], 5)
        return deferred, time.monotonic() - started

    deferred, timed_out = asyncio.run(play())
    assert 0.1 <= deferred < 3
    assert 0.1 <= timed_out < 3
