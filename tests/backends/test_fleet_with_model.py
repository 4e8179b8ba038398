"""The three components as they ship, on a local core device: pictures in, verified results out."""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from backends.artifacts import CompiledModel, DeviceResult
from backends.errors import DeploymentError
from edge.contract import INFERENCE_COMPONENT, MODEL_COMPONENT
from tasks.packaging import model_stem, package_model
from tests.site import THING, Site, now
from tests.tiny_model import Compile, TinyModel

pytestmark = [pytest.mark.slow, pytest.mark.jobs, pytest.mark.device]

LONGEST_GAP = 3.0  # seconds between two results, of a picture every half second

Break = Callable[[Path], object]


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


def test_a_component_that_dies_after_it_was_ready_is_started_again_and_stops_with_the_device(
    site: Site, sound: Path
) -> None:
    """Startup in the foreground must not be worse than Run was."""
    began = now()
    site.deploy(sound)
    site.results(began)
    first = psutil.Process(site.serving())

    first.kill()
    first.wait(timeout=10)
    site.results(now())
    second = psutil.Process(site.serving())
    site.fleet.stop_device(THING)

    assert second.pid != first.pid
    assert not second.is_running()
    log = (site.home / "things" / THING / "logs" / f"{INFERENCE_COMPONENT}.log").read_text()
    assert "the process ended with exit status 137" in log
    assert log.count("-> RUNNING") == 2
