"""What the component does with a model that is new, broken, or gone."""

import json
import shutil
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edge.contract import heartbeat_topic
from tasks.packaging import package_model
from tests.device.conftest import THING, Device, MakeDevice
from tests.tiny_model import Compile, TinyModel

pytestmark = [pytest.mark.device, pytest.mark.jobs]

STATES = "edgeward.ImageClassification"


@pytest.fixture(scope="module")
def known_model(
    compile_for: Compile, tiny_model: TinyModel, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The model as it ships, with its self-test picture, unpacked."""
    folder = tmp_path_factory.mktemp("known")
    package = package_model(compile_for("linux-x86_64"), folder, tiny_model.known)
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder / "model")
    return folder / "model"


@pytest.fixture
def device(make_device: MakeDevice, known_model: Path, tmp_path: Path) -> Device:
    made: Device = make_device()
    made.add_picture("a.png")
    made.point_to(Path(shutil.copytree(known_model, tmp_path / "first")), "1.0.0")
    return made


def wrong(model: Path, into: Path) -> Path:
    """The same model, which is said to answer its self-test picture otherwise."""
    shutil.copytree(model, into)
    meta: dict[str, Any] = json.loads((into / "compiled.meta").read_text())
    meta["Edgeward"]["self_test"]["probabilities"].reverse()
    (into / "compiled.meta").write_text(json.dumps(meta))
    return into


def said(device: Device, *states: str) -> bool:
    """Whether the component reported just these; nucleus lite takes no reports."""
    heard = [state for component, state in device.core.lifecycle.states if component == STATES]
    if "UpdateState" in device.nucleus.missing_operations:
        return heard == []
    return heard == list(states)


def test_a_model_that_answers_its_own_picture_wrongly_does_not_take_over(
    device: Device, known_model: Path, tmp_path: Path
) -> None:
    device.start()
    device.result()

    device.point_to(wrong(known_model, tmp_path / "wrong"), "1.0.1")
    device.wait_for(lambda: "Model 1.0.0 goes on serving" in device.log, "a refusal")

    assert "self-test: it calls self-test.jpg" in device.log
    assert device.result()["model_version"] == "1.0.0"
    assert said(device, "RUNNING")


def test_the_last_good_model_serves_after_a_power_cut(
    device: Device, known_model: Path, tmp_path: Path
) -> None:
    """Nobody deploys then: a device that waits for the right model would be blind for good."""
    device.start()
    device.result()
    device.point_to(wrong(known_model, tmp_path / "wrong"), "1.0.1")
    device.close()

    device.start()
    device.wait_for(
        lambda: "Model 1.0.0, the last good one, serves" in device.log, "a second start"
    )
    device.wait_for(lambda: said(device, "RUNNING", "RUNNING"), "its readiness")
    device.result()

    beat = device.message(heartbeat_topic(THING), lambda message: message["model_problem"])
    assert beat["model_version"] == "1.0.0"
    assert "self-test" in beat["model_problem"]
    device.point_to(known_model, "1.0.2")
    device.result(lambda message: message["model_version"] == "1.0.2")


def test_without_any_sound_model_it_is_errored_and_never_says_running(
    device: Device, known_model: Path, tmp_path: Path
) -> None:
    device.point_to(wrong(known_model, tmp_path / "wrong"), "1.0.0")

    device.start()

    assert device.ended() == 1
    assert said(device, "ERRORED")


def test_the_last_good_model_may_be_gone(device: Device, known_model: Path, tmp_path: Path) -> None:
    """The nucleus removes the artifacts of versions that it does not run any more."""
    device.start()
    device.result()
    device.stop()
    device.point_to(wrong(known_model, tmp_path / "wrong"), "1.0.1")
    shutil.rmtree(tmp_path / "first")

    device.start()

    assert device.ended() == 1
    assert "Nor can the last good model serve" in device.log
    assert said(device, "RUNNING", "ERRORED")


def test_another_version_of_the_component_does_not_let_the_last_good_model_stand_in(
    device: Device, known_model: Path, tmp_path: Path
) -> None:
    """It starts in a deployment, which a broken model has to fail."""
    device.start()
    device.result()
    device.stop()
    device.point_to(wrong(known_model, tmp_path / "wrong"), "1.0.1")
    edge = device.root / "artifacts" / "edge"
    source = edge.resolve()
    edge.unlink()
    shutil.copytree(source, edge, ignore=shutil.ignore_patterns("__pycache__"))

    device.start()

    assert device.ended() == 1
    assert said(device, "RUNNING", "ERRORED")


def test_a_component_that_comes_before_its_first_model_waits_for_it(
    device: Device, known_model: Path
) -> None:
    device.pointer.unlink()
    device.start()
    device.wait_for(lambda: "Waiting for a model" in device.log, "a word")
    assert said(device)

    device.point_to(known_model, "1.0.0")

    assert device.result()["model_version"] == "1.0.0"


def test_the_swap_is_made_between_two_pictures(device: Device, known_model: Path) -> None:
    """Every result is of one model, in the order of the pictures, and none is left out."""
    device.core.merge({"InferenceInterval": "0.02"})
    device.start()
    device.result()
    swap = threading.Thread(target=device.point_to, args=(known_model, "1.0.1"))
    swap.start()
    swap.join()

    versions = [device.result()["model_version"]]
    while versions[-1] == "1.0.0":
        versions.append(device.result()["model_version"])

    assert set(versions[:-1]) <= {"1.0.0"}
    assert [device.result()["model_version"] for _ in range(5)] == ["1.0.1"] * 5


def test_a_new_model_answers_for_the_whole_scene_at_once(device: Device, known_model: Path) -> None:
    """A deployment is judged by the new model's answers to pictures that the old one has seen."""
    device.core.merge({"InferenceInterval": "3600"})
    for number in range(3):
        device.add_picture(f"{number}.png", (number * 60, 9, 9))
    device.start()
    seen = {device.result()["image_id"] for _ in range(4)}
    assert len(seen) == 4

    device.point_to(known_model, "1.0.1")
    answered = [device.result() for _ in range(4)]

    assert {message["model_version"] for message in answered} == {"1.0.1"}
    assert {message["image_id"] for message in answered} == seen


def test_a_served_model_s_files_may_be_written_again_in_place(device: Device) -> None:
    """As nucleus lite does when a version is deployed once more: it truncates what is mapped."""
    device.start()
    device.result()
    folder = Path(device.pointer.read_text().splitlines()[0])

    for file in folder.iterdir():
        file.write_bytes(b"")
    device.add_picture("b.png", (10, 200, 10))

    assert device.result()["model_version"] == "1.0.0"
    assert list(device.work.glob("model-being-loaded-*")) == []


def test_without_room_for_a_copy_the_model_is_loaded_where_it_lies(device: Device) -> None:
    device.start(full_disk=True)
    device.wait_for(lambda: "loaded where it lies" in device.log, "the word of it")
    device.wait_for(lambda: '"inference-results"' in device.log, "a result")
