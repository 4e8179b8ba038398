"""The scheduled look at the devices, run for real on a Prefect server that hears what it tells."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL

from flows.watch import WatchPlan, watch
from tests.tasks.windows import baseline, seen, store

pytestmark = pytest.mark.usefixtures("prefect_server")


def heard(name: str, resource: str) -> list[dict[str, Any]]:
    """The events of that name which the server has, once there is one."""
    only = {"event": {"name": [name]}, "resource": {"id": [resource]}}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = httpx.post(f"{PREFECT_API_URL.value()}/events/filter", json={"filter": only})
        events: list[dict[str, Any]] = answer.raise_for_status().json()["events"]
        if events:
            return events
        time.sleep(0.1)
    raise AssertionError(f"no {name} of {resource}")


def test_drift_of_one_device_is_an_event_and_no_failure(home: Path) -> None:
    baseline(home, seen(200, seed=7))
    store(home, seen(150, 1, brightness=0.15), thing="watched-1")
    store(home, seen(150, 1), thing="watched-2")

    reports = watch(WatchPlan(things=("watched-2", "watched-1")))

    assert [report.status for report in reports] == ["ok", "drift"]
    (event,) = heard("edgeward.drift", "edgeward.thing.watched-1")
    assert event["payload"]["checks"] == ["input.brightness"]
    assert "brightness" in event["payload"]["reason"]
    assert event["resource"]["edgeward.thing"] == "watched-1"
