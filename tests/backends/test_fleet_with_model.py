"""The three components as they ship, on a local core device: pictures in, verified results out."""

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from backends.artifacts import CompiledModel, DeviceResult
from backends.errors import DeploymentError
from backends.local.components import LocalComponents
from backends.local.fleet import LocalFleet
from backends.local.objects import LocalObjects
from backends.settings import Settings
from edge.contract import INFERENCE_COMPONENT, MODEL_COMPONENT, MODEL_LOCATION, RUNTIME_COMPONENT
from tasks.packaging import model_stem, package_inference, package_model, package_runtime
from tasks.recipes import inference_recipe, model_recipe, runtime_recipe
from tests.tiny_model import Compile, TinyModel

pytestmark = [pytest.mark.slow, pytest.mark.jobs, pytest.mark.device]

THING = "porch"
LONGEST_GAP = 1.5  # seconds between two results of a picture every half second
DEADLY = "void __attribute__((constructor)) die(void) { __builtin_trap(); }\n"

Break = Callable[[Path], object]


class Site:
    """A component store, a fleet, and pictures before its camera."""

    def __init__(self, home: Path, python: Path) -> None:
        self.home = home
        self.python = python
        self.fleet = LocalFleet(Settings(home=home), deploy_seconds=120)
        self.store = LocalComponents(home / "components", LocalObjects(home / "objects"))
        self.location = home / "things" / THING / "work" / MODEL_COMPONENT / MODEL_LOCATION
        picture = home / "picture.png"
        home.mkdir(parents=True)
        Image.new("RGB", (40, 40), (70, 180, 70)).save(picture)
        self.pictures = self.fleet.place_pictures(THING, [picture])

    def deploy(self, model: Path) -> str:
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
            },
        }
        self.fleet.deploy(THING, versions, merge)
        return versions[MODEL_COMPONENT]

    def results(self, since: str, count: int = 1) -> Sequence[DeviceResult]:
        found = self.fleet.results(THING, since, count, timeout=30)
        assert len(found) == count
        return found

    def serving(self) -> int:
        """The process that answers."""
        work = str(self.home / "things" / THING / "work" / INFERENCE_COMPONENT)
        (found,) = (
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if process.info["cmdline"] and process.info["cmdline"][-2:] == ["-m", "edge"]
            if process.cwd() == work
        )
        return found

    def states(self) -> dict[str, str]:
        components = self.fleet.device(THING).components
        return {name: f"{each.version} {each.state}" for name, each in components.items()}


def now() -> str:
    return datetime.now(UTC).isoformat()


def moment(result: DeviceResult) -> float:
    return datetime.fromisoformat(result.taken_at).timestamp()


def pack(folder: Path, into: Path) -> Path:
    """Zip a model folder as it is: the rules that keep a broken one from shipping are elsewhere."""
    into.mkdir(parents=True)
    package = into / f"{model_stem('linux-x86_64')}.zip"
    with zipfile.ZipFile(package, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return package


def meta(change: Callable[[dict[str, Any]], object]) -> Break:
    """A change of what compiled.meta has under our own key."""

    def apply(folder: Path) -> None:
        value = json.loads((folder / "compiled.meta").read_text())
        change(value["Edgeward"])
        (folder / "compiled.meta").write_text(json.dumps(value))

    return apply


def other_labels(folder: Path) -> None:
    meta(lambda own: own.update(labels=["a", "b", "c"]))(folder)


def other_answer(own: dict[str, Any]) -> None:
    own["self_test"]["probabilities"] = own["self_test"]["probabilities"][::-1]


BROKEN: dict[str, tuple[Break, str]] = {
    "no library": (lambda folder: (folder / "compiled.so").write_text("not a library"), "DLR"),
    "cut parameters": (
        lambda folder: (folder / "compiled.params").write_bytes(
            (folder / "compiled.params").read_bytes()[:200]
        ),
        "DLR cannot load it",
    ),
    "other labels": (other_labels, "synset.txt and compiled.meta name different labels"),
    "another answer": (meta(other_answer), "self-test: it calls self-test.jpg"),
}


@pytest.fixture
def site(tmp_path: Path, device_python: Path) -> Iterator[Site]:
    made = Site(tmp_path / "home", device_python)
    yield made
    made.fleet.stop_everything()


@pytest.fixture(scope="module")
def sound(
    compile_for: Compile, tiny_model: TinyModel, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The model's package as it ships."""
    folder = tmp_path_factory.mktemp("packed")
    return package_model(compile_for("linux-x86_64"), folder, tiny_model.known)


@pytest.fixture(scope="module")
def newer(
    compile_for: Compile, tiny_model: TinyModel, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A later version of it, sound as well."""
    model: CompiledModel = compile_for("linux-x86_64")
    folder = tmp_path_factory.mktemp("newer")
    shutil.copytree(model.folder, folder / "model")
    meta(lambda own: own.update(trained="later"))(folder / "model")
    changed = replace(model, folder=folder / "model")
    return package_model(changed, folder / "packed", tiny_model.known)


@pytest.fixture
def unpacked(sound: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(sound) as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


@pytest.fixture(scope="module")
def deadly(jobs_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that ends the process which loads it."""
    folder = tmp_path_factory.mktemp("deadly")
    (folder / "deadly.c").write_text(DEADLY)
    command = [jobs_python, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu", "-shared"]
    command += ["-nostdlib", "-o", folder / "compiled.so", folder / "deadly.c"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, cwd=folder)
    return folder / "compiled.so"


def test_a_broken_model_fails_its_deployment_and_the_old_one_serves_without_a_gap(
    site: Site, sound: Path, newer: Path, unpacked: Path, deadly: Path, tmp_path: Path
) -> None:
    """Whatever is wrong with it: the process that serves must not even notice."""
    began = now()
    version = site.deploy(sound)
    site.results(began)
    process, location = site.serving(), site.location.read_text()
    kinds = {**BROKEN, "a deadly library": (lambda to: shutil.copy(deadly, to), "with signal 4")}

    for number, (kind, (damage, reason)) in enumerate(kinds.items()):
        folder = Path(shutil.copytree(unpacked, tmp_path / f"broken-{number}"))
        damage(folder)
        with pytest.raises(DeploymentError) as failed:
            site.deploy(pack(folder, tmp_path / f"packed-{number}"))
        assert failed.value.status == "FAILED_ROLLBACK_COMPLETE", kind
        assert MODEL_COMPONENT in failed.value.reason, kind
        assert reason in failed.value.reason, kind
        assert site.location.read_text() == location, kind
        assert site.serving() == process, kind

    later = now()
    newest = site.deploy(newer)
    while (said := site.results(later)[0]).model_version != newest:
        assert said.model_version == version
        later = now()
    assert site.serving() == process
    assert site.states()[INFERENCE_COMPONENT].endswith("RUNNING")
    answers = site.fleet.results(THING, began, 10_000, timeout=0)
    times = sorted(map(moment, answers))
    assert {answer.model_version for answer in answers} == {version, newest}
    assert max(second - first for first, second in pairwise(times)) < LONGEST_GAP


def test_a_first_model_that_is_broken_fails_its_deployment(
    site: Site, unpacked: Path, tmp_path: Path
) -> None:
    """There is nothing to go back to; the device must say so, and not seem well."""
    meta(other_answer)(unpacked)

    with pytest.raises(DeploymentError) as failed:
        site.deploy(pack(unpacked, tmp_path / "broken"))

    assert failed.value.status == "FAILED_ROLLBACK_COMPLETE"
    assert "self-test: it calls self-test.jpg" in failed.value.reason
    assert site.states() == {}
