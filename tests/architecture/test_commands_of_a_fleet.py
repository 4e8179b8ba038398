"""What the documentation shows of many devices, and of a Prefect server, is typed."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.architecture.stories import (
    A_FLEET,
    DOWN,
    OF_PREFECT,
    SHOWN_DEPLOYMENT,
    Person,
    Step,
)
from tests.fakes.component_store import Store
from tests.flows.test_cycle import left_running
from tests.warm import warm_terminal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def server(prefect_server: None) -> str:
    from prefect.settings import get_current_settings

    return str(get_current_settings().api.url)


@pytest.fixture
def person(tmp_path: Path, server: str) -> Iterator[Person]:
    environment = {"EDGEWARD_HOME": str(tmp_path / "home"), "PREFECT_API_URL": server}
    with warm_terminal(tmp_path, environment) as terminal:
        person = Person(tmp_path, environment, terminal)
        try:
            yield person
        finally:
            person.does(DOWN)
    assert left_running(person.home) == []


def test_devices_are_grouped_given_components_and_looked_at(person: Person) -> None:
    store, sleeps = Store(person.home), {"Run": "exec sleep 1000"}
    store.add("edgeward.ImageClassification", "1.0.0", sleeps)
    for version in ("1.0.0", "1.2.0", "1.3.0"):
        store.add("my.App", version, sleeps, defaults={"Level": 1})
    before: dict[str, Callable[[], object]] = {
        "deploy group/porch": lambda: person.does(Step("edgeward device stop hub-2")),
        "deploy group/all": lambda: person.does(Step("edgeward group add all sim-1")),
        "deployment show": lambda: person.meant.update(newest(person)),
    }
    for step in A_FLEET:
        for beginning in [words for words in before if step.line.startswith(f"edgeward {words}")]:
            before.pop(beginning)()  # once
        person.does(step)


def newest(person: Person) -> dict[str, str]:
    """What the example of a deployment's id stands for."""
    listed = json.loads(person.does(Step("edgeward deployment list --json")))
    return dict.fromkeys(("ID", SHOWN_DEPLOYMENT), listed[0]["deploymentId"])


def test_a_prefect_server_of_ones_own_is_used(tmp_path: Path, server: str) -> None:
    home = str(tmp_path / "home")
    person = Person(tmp_path, {"PREFECT_API_URL": server, "EDGEWARD_HOME": home})
    for step in OF_PREFECT[:3]:
        person.starts(step)
    watch = httpx.get(f"{server}/deployments/name/watch/scheduled").raise_for_status().json()
    schedule = {"SCHEDULE-ID": watch["schedules"][0]["id"]}
    for step in OF_PREFECT[3:]:
        person.starts(replace(step, instead=schedule))
    watch = httpx.get(f"{server}/deployments/name/watch/scheduled").raise_for_status().json()
    assert watch["schedules"][0]["active"] is False
