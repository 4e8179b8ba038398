"""What the documentation shows of one device is typed, in the order in which it is shown.

The device serves a tiny model, and each picture is a hard example and an alert. Nothing is trained.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.packaging import package_model
from tasks.recipes import model_recipe
from tests.architecture.effects.retraining import deployed
from tests.architecture.stories import (
    ALONE,
    BACK,
    DOWN,
    LABELS,
    ONE_DEVICE,
    SHOWN_BATCH,
    TELEMETRY,
    TWO_MODELS,
    VERDICTS,
    Person,
    Step,
)
from tests.flows.test_cycle import left_running
from tests.flows.test_variant import remarked
from tests.site import Site
from tests.tasks.windows import baseline, seen
from tests.tiny_model import CLASSES, Compile, TinyModel
from tests.warm import warm_terminal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.jobs,
    pytest.mark.device,
    pytest.mark.usefixtures("prefect_server"),
]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Iterator[Person]:
    from prefect.settings import get_current_settings

    folder = tmp_path_factory.mktemp("reader")
    environment = {
        "EDGEWARD_HOME": str(folder / "home"),
        "EDGEWARD_AWS__BUCKET": "a-bucket",
        "PREFECT_API_URL": str(get_current_settings().api.url),
    }
    with warm_terminal(folder, environment) as terminal:
        person = Person(folder, environment, terminal)
        try:
            yield person
        finally:
            person.does(DOWN)
    assert left_running(person.home) == []


@pytest.fixture(scope="module")
def package(person: Person, compile_for: Compile, tiny_model: TinyModel) -> Path:
    return package_model(compile_for("linux-x86_64"), person.folder, tiny_model.known)


@pytest.fixture(scope="module")
def site(person: Person, device_python: Path, package: Path) -> Site:
    site = Site(person.home, device_python, "hub-1")
    rule = {"Labels": list(CLASSES), "MinScore": 0, "Sightings": 1}
    rules = [{"Name": name, **rule} for name in ("anything", "something")]
    site.deploy(package, HardExampleScore=1, PicturesMayLeave="true", Alerts=rules)
    return site


def test_before_there_is_anything(person: Person) -> None:
    for step in ALONE:
        person.starts(step)


def test_a_device_is_watched(person: Person, site: Site) -> None:
    for step in ONE_DEVICE:
        person.does(step)


def test_alerts_are_judged(person: Person, site: Site) -> None:
    told = person.does(Step("edgeward alerts --json")).splitlines()
    first, second = sorted({json.loads(alert)["id"] for alert in told})[:2]
    person.meant |= {"3f0c9a12": first, "3f0c9a12b7d1": first[:12]}
    person.meant |= {"77b1e004": second, "77b1e004c2aa": second[:12]}

    for step in VERDICTS:
        person.does(step)

    judged = map(json.loads, person.does(Step("edgeward alerts --json")).splitlines())
    assert {alert["verdict"] for alert in judged if alert["id"] in (first, second)} == {"denied"}


def test_pictures_are_labelled_and_a_retraining_is_decided(person: Person, site: Site) -> None:
    deployed(person.folder)
    for step in LABELS[:2]:
        person.does(step)
    listed = json.loads(person.does(Step("edgeward label --list --json")))
    person.meant[SHOWN_BATCH] = batch = listed[0]["batch"]
    pictures = json.loads(person.does(Step(f"edgeward label --list --batch {batch} --json")))
    rows = [f"{picture['image_id']},cat" for picture in pictures]
    (person.folder / "labels.csv").write_text("\n".join(["image_id,label", *rows, ""]))

    *_, why = [person.does(step) for step in LABELS[2:]]

    assert f"{len(rows)} newly labelled pictures, and 50 are needed" in why


def test_telemetry_is_kept_asked_and_compared(person: Person, site: Site) -> None:
    baseline(person.home, seen(200, 7, "1.0.3"))
    for step in TELEMETRY:
        person.does(step)


def test_a_second_model_is_compared_and_a_device_goes_back(
    person: Person, site: Site, package: Path
) -> None:
    changed = remarked(package, person.folder / "other")
    version = site.store.publish(model_recipe(["linux-x86_64"]), [changed]).version
    assert version == "1.0.1"
    for step in TWO_MODELS:
        person.does(step)

    for step in BACK:
        site.deploy(changed)
        person.does(step)

    components = site.fleet.device("hub-1").components
    assert components["edgeward.ImageClassification.Model"].version == "1.0.0"
