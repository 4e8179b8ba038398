"""Two models on one device: paired answers, a share of the pictures, and a champion unharmed."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from edge.contract import heartbeat_topic, statistics_topic
from tests.device.conftest import THING, Device, MakeDevice, variant
from tests.tiny_model import CLASSES

pytestmark = [pytest.mark.device, pytest.mark.jobs]

LABELS = ["one", "two", "three"]


@pytest.fixture
def device(make_device: MakeDevice, model_folder: Path, tmp_path: Path) -> Device:
    """A device with pictures, and a challenger that is told by its labels."""
    made: Device = make_device(InferenceInterval="0.05")
    for number in range(12):
        made.add_picture(f"{number}.png", (number * 20, 90, 200 - number * 10))
    made.challenge_with(variant(model_folder, tmp_path / "challenger", LABELS), "1.0.7")
    return made


def test_without_being_asked_for_there_is_no_challenger(device: Device) -> None:
    device.start()

    messages = [device.result() for _ in range(5)]

    assert {message["variant"] for message in messages} == {"champion"}
    assert not any("shadow" in message for message in messages)


def test_in_shadow_mode_each_message_has_both_answers_to_the_same_picture(device: Device) -> None:
    device.start()
    device.core.merge({"VariantMode": "shadow"})

    message = device.result(lambda message: "shadow" in message)

    assert (message["variant"], message["model_version"]) == ("champion", "1.0.0")
    shadow = message["shadow"]
    assert set(shadow) == {"model_version", "label", "score", "latency_ms"}
    assert shadow["model_version"] == "1.0.7"
    assert shadow["label"] == LABELS[CLASSES.index(message["label"])]
    assert shadow["score"] == pytest.approx(message["score"], abs=1e-6)
    device.stop()
    assert device.message(statistics_topic(THING))["model_version"] == "1.0.0"


def test_in_split_mode_the_same_pictures_are_always_the_challengers(device: Device) -> None:
    device.start()
    device.core.merge({"VariantMode": "split", "VariantShare": "0.5"})
    device.result(lambda message: message["variant"] == "challenger")

    by_picture: dict[str, set[str]] = {}
    answered: Counter[str] = Counter()
    for _ in range(36):
        message = device.result()
        by_picture.setdefault(message["image_id"], set()).add(message["variant"])
        answered[message["variant"]] += 1
        versions = {"champion": "1.0.0", "challenger": "1.0.7"}
        assert message["model_version"] == versions[message["variant"]]
        assert (message["label"] in LABELS) is (message["variant"] == "challenger")

    assert all(len(variants) == 1 for variants in by_picture.values())
    expected = {
        name: {"challenger" if int(name[:8], 16) < 2**31 else "champion"} for name in by_picture
    }
    assert by_picture == expected
    assert min(answered.values()) > 0
    device.stop()
    windows = [device.message(statistics_topic(THING)) for _ in range(3)]
    counted = {window["model_version"]: set(window["labels"]) for window in windows}
    assert counted["1.0.7"] <= set(LABELS)
    assert counted["1.0.0"] <= set(CLASSES)


def test_a_challenger_that_is_let_go_answers_no_more(device: Device) -> None:
    device.core.merge({"VariantMode": "split", "VariantShare": "1"})
    device.start()
    device.result(lambda message: message["variant"] == "challenger")

    device.core.merge({"VariantMode": "off"})
    device.result(lambda message: message["variant"] == "champion")

    assert {device.result()["variant"] for _ in range(12)} == {"champion"}


@pytest.mark.parametrize("fault", ["missing", "no library", "deadly"])
def test_a_broken_challenger_is_a_word_in_the_heartbeat_and_harms_nobody(
    device: Device, model_folder: Path, deadly: Path, tmp_path: Path, fault: str
) -> None:
    broken = Path(shutil.copytree(model_folder, tmp_path / "broken"))
    if fault == "missing":
        device.challenger_pointer.unlink()
        reason = "its location cannot be read"
    elif fault == "no library":
        (broken / "compiled.so").write_text("not a library")
        device.challenge_with(broken, "1.0.8")
        reason = "DLR cannot load it"
    else:
        shutil.copy(deadly, broken / "compiled.so")
        device.challenge_with(broken, "1.0.8")
        reason = "its library ended the check with signal 4"
    device.core.merge({"VariantMode": "split", "VariantShare": "1"})

    device.start()
    device.wait_for(lambda: "The challenger is not taken" in device.log, "a refusal")
    assert {device.result()["variant"] for _ in range(5)} == {"champion"}
    device.stop()

    assert reason in device.log
    assert device.log.count("The challenger is not taken") == 1


def test_the_heartbeat_tells_of_the_challenger(device: Device) -> None:
    device.core.merge({"VariantMode": "shadow"})
    device.start()

    device.result(lambda message: "shadow" in message)
    beat = device.message(heartbeat_topic(THING))

    assert beat["challenger_problem"] is None
    assert beat["challenger_version"] in (None, "1.0.7")  # it may still be on its trial


def test_a_challenger_with_which_the_component_ends_again_and_again_is_left_out(
    device: Device,
) -> None:
    """The third end in a row would make the component BROKEN, and the champion silent."""
    device.core.merge({"VariantMode": "shadow"})
    for ends in (1, 2):
        device.start()
        loaded = f"the challenger at start {ends}"
        device.wait_for(lambda: device.log.count("Challenger 1.0.7 is there") == ends, loaded)  # noqa: B023
        device.close()  # as a crash in its library would

    device.start()
    device.wait_for(lambda: "the component ended 2 times with it" in device.log, "a refusal")
    before = device.log.count('"shadow"')
    for _ in range(5):
        device.result()

    assert device.log.count('"shadow"') == before
    noted = json.loads((device.work / "challenger-on-probation.json").read_text())
    assert noted["ends"] == 2
