"""The three components as they ship, on a local core device: pictures in, verified results out."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from backends.artifacts import CompiledModel
from backends.errors import DeploymentError
from backends.local.components import LocalComponents
from backends.local.fleet import LocalFleet
from backends.local.objects import LocalObjects
from backends.settings import Settings
from edge.contract import INFERENCE_COMPONENT, MODEL_COMPONENT, RUNTIME_COMPONENT
from tasks.packaging import package_inference, package_model, package_runtime
from tasks.recipes import inference_recipe, model_recipe, runtime_recipe
from tests.tiny_model import Compile

pytestmark = [pytest.mark.slow, pytest.mark.jobs, pytest.mark.device]

THING = "porch"


class Site:
    """A component store, a fleet, and pictures before its camera."""

    def __init__(self, home: Path, python: Path) -> None:
        self.home = home
        self.python = python
        self.fleet = LocalFleet(Settings(home=home), deploy_seconds=120)
        self.store = LocalComponents(home / "components", LocalObjects(home / "objects"))
        picture = home / "picture.png"
        home.mkdir(parents=True)
        Image.new("RGB", (40, 40), (70, 180, 70)).save(picture)
        self.pictures = self.fleet.place_pictures(THING, [picture])

    def deploy(self, model: CompiledModel, **configuration: object) -> str:
        """Publish everything and deploy it, configured so; the model's version."""
        packed = self.home / "packed"
        recipes = {
            MODEL_COMPONENT: (model_recipe(["linux-x86_64"]), package_model(model, packed)),
            RUNTIME_COMPONENT: (runtime_recipe(), package_runtime(packed)),
            INFERENCE_COMPONENT: (inference_recipe(), package_inference(packed)),
        }
        versions = {
            name: self.store.publish(recipe, [archive]).version
            for name, (recipe, archive) in recipes.items()
        }
        merge: dict[str, dict[str, object]] = {
            RUNTIME_COMPONENT: {"Python": str(self.python)},
            INFERENCE_COMPONENT: {
                "ImageDirectory": str(self.pictures),
                "InferenceInterval": "1",
                **configuration,
            },
        }
        self.fleet.deploy(THING, versions, merge)
        return versions[MODEL_COMPONENT]

    def next_result(self) -> tuple[str, str]:
        """(label, model version) of what the device says from now on."""
        since = datetime.now(UTC).isoformat()
        (result,) = self.fleet.results(THING, since, 1, timeout=30)
        return result.label, result.model_version


@pytest.fixture
def site(tmp_path: Path, device_python: Path) -> Iterator[Site]:
    made = Site(tmp_path / "home", device_python)
    yield made
    made.fleet.stop_everything()


def test_a_model_that_cannot_be_loaded_is_rolled_back_and_the_old_one_goes_on(
    site: Site, compile_for: Compile, tmp_path: Path
) -> None:
    good = compile_for("linux-x86_64")
    version = site.deploy(good)
    label, reported = site.next_result()
    assert reported == version

    broken = tmp_path / "broken"
    shutil.copytree(good.folder, broken)
    (broken / "compiled.params").write_bytes(b"cut off")
    with pytest.raises(DeploymentError) as failed:
        site.deploy(replace(good, folder=broken))

    assert failed.value.status == "FAILED_ROLLBACK_COMPLETE"
    assert INFERENCE_COMPONENT in failed.value.reason
    assert "it said: " in failed.value.reason
    assert site.fleet.device(THING).components[MODEL_COMPONENT].version == version
    assert site.next_result() == (label, version)
