"""One device as a person has it: components in a store, a fleet, pictures before a camera."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil
from PIL import Image

from backends.artifacts import DeviceResult
from backends.local.components import LocalComponents
from backends.local.fleet import LocalFleet
from backends.local.objects import LocalObjects
from backends.settings import Settings
from edge.contract import INFERENCE_COMPONENT, MODEL_COMPONENT, MODEL_LOCATION, RUNTIME_COMPONENT
from tasks.packaging import package_inference, package_runtime
from tasks.recipes import inference_recipe, model_recipe, runtime_recipe

THING = "porch"


class Site:
    """A component store, a fleet, and pictures before its camera."""

    def __init__(self, home: Path, python: Path, thing: str = THING) -> None:
        self.home = home
        self.thing = thing
        self.python = python
        self.fleet = LocalFleet(Settings(home=home), deploy_seconds=120)
        self.store = LocalComponents(home / "components", LocalObjects(home / "objects"))
        self.location = home / "things" / thing / "work" / MODEL_COMPONENT / MODEL_LOCATION
        home.mkdir(parents=True)
        self.pictures = self.fleet.place_pictures(thing, list(_pictures(home / "pictures")))

    def deploy(self, model: Path, **configuration: object) -> str:
        """Publish everything and deploy it, with `model` (a zip); the model's version."""
        packed = self.home / "packed"
        recipes = {
            MODEL_COMPONENT: (model_recipe(["linux-x86_64"]), model),
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
                "InferenceInterval": "0.5",
                **configuration,
            },
        }
        self.fleet.deploy(self.thing, versions, merge)
        return versions[MODEL_COMPONENT]

    def results(self, since: str, count: int = 1) -> Sequence[DeviceResult]:
        found = self.fleet.results(self.thing, since, count, timeout=30)
        assert len(found) == count
        return found

    def serving(self) -> int:
        """The process that answers."""
        work = str(self.home / "things" / self.thing / "work" / INFERENCE_COMPONENT)
        (found,) = (
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if process.info["cmdline"] and process.info["cmdline"][-2:] == ["-m", "edge"]
            if process.cwd() == work
        )
        return found

    def states(self) -> dict[str, str]:
        components = self.fleet.device(self.thing).components
        return {name: f"{each.version} {each.state}" for name, each in components.items()}


def now() -> str:
    return datetime.now(UTC).isoformat()


def _pictures(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    for number in range(6):
        path = folder / f"{number}.png"
        Image.new("RGB", (40, 40), (40 * number, 180, 70)).save(path)
        yield path
