"""The former model is put beside the new one for as long as the targets ask, and taken away."""

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from backends.artifacts import Deployment, PastDeployment
from backends.connect import local_components
from backends.settings import Settings
from edge.contract import CHALLENGER_COMPONENT, INFERENCE_COMPONENT, MODEL_COMPONENT
from flows.shadow import hear_shadow
from tasks.packaging import model_stem
from tasks.quality.deployments import Watched
from tasks.quality.watching import read_watch
from tasks.recipes import model_recipe
from tests.architecture.effects.runs import without_a_flow
from tests.flows.test_rollback import RestorableFleet
from tests.tasks.test_quality import BEGAN, NEW, OLD
from tests.tasks.test_quality import watched as watched_deployment

pytestmark = pytest.mark.usefixtures("prefect_server")

SOON = BEGAN + timedelta(minutes=10)
LATE = BEGAN + timedelta(hours=3)


@dataclass
class Fleet(RestorableFleet):
    """Remembers each deployment, as a fleet does."""

    def deploy(
        self,
        thing: str,
        components: Mapping[str, str],
        merge: Mapping[str, Mapping[str, object]],
    ) -> Deployment:
        self.past.insert(0, PastDeployment(BEGAN.isoformat(), components, merge))
        return super().deploy(thing, components, merge)

    @property
    def running(self) -> Mapping[str, str]:
        return self.past[0].components

    @property
    def mode(self) -> object:
        return self.past[0].merge.get(INFERENCE_COMPONENT, {}).get("VariantMode")


@pytest.fixture
def fleet(home: Path, tmp_path: Path) -> Iterator[Fleet]:
    """A device that runs the new model; both are in the component store."""
    store = local_components(Settings(home=home))
    for version in (OLD, NEW):
        package = tmp_path / f"{model_stem('linux-x86_64')}.zip"
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("compiled.so", version)
        assert store.publish(model_recipe(["linux-x86_64"]), [package]).version == version
    runs = {MODEL_COMPONENT: NEW, INFERENCE_COMPONENT: "1.0.0"}
    with without_a_flow():
        yield Fleet({}, past=[PastDeployment(BEGAN.isoformat(), runs, {})])


@pytest.fixture
def watched() -> Watched:
    return watched_deployment(shadow_hours=2)


def test_the_former_model_answers_in_shadow_for_as_long_as_it_is_wanted(
    home: Path, fleet: Fleet, watched: Watched
) -> None:
    before = dict(fleet.running)

    watch, compared = hear_shadow(home, read_watch(home, "run-2"), watched, fleet, SOON)

    assert fleet.running == {**before, CHALLENGER_COMPONENT: watch.shadow}
    assert fleet.mode == "shadow"
    assert compared
    assert compared.agreement is None  # nothing was said yet
    again, _ = hear_shadow(home, read_watch(home, "run-2"), watched, fleet, SOON)
    assert (again, len(fleet.past)) == (watch, 2)

    ended, _ = hear_shadow(home, again, watched, fleet, LATE)

    assert (fleet.running, fleet.mode) == (before, "off")
    assert ended.shadow == ""
    assert read_watch(home, "run-2") == ended


def test_a_challenger_that_people_have_put_there_is_left_alone(
    home: Path, fleet: Fleet, watched: Watched
) -> None:
    theirs = {**fleet.running, CHALLENGER_COMPONENT: "7.0.0"}
    fleet.deploy("hub-1", theirs, {})

    for now in (SOON, LATE):
        hear_shadow(home, read_watch(home, "run-2"), watched, fleet, now)

    assert fleet.running == theirs


def test_without_being_asked_nothing_is_put_beside_a_model(home: Path, fleet: Fleet) -> None:
    _, compared = hear_shadow(home, read_watch(home, "run-2"), watched_deployment(), fleet, SOON)

    assert compared is None
    assert len(fleet.past) == 1
