"""The inference component as a process: what a device does, and what it survives."""

import hashlib
import json
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from backends.local.nucleus.rpc import OperationError
from edge.contract import (
    RUNTIME_COMPONENT,
    RUNTIME_PYTHON,
    heartbeat_topic,
    parse_result,
    parse_statistics,
    statistics_topic,
)
from edge.statistics import Summary
from tests.device.conftest import THING, MakeDevice, of_kind, variant
from tests.tiny_model import CLASSES

pytestmark = [pytest.mark.device, pytest.mark.jobs]


def test_it_publishes_a_result_for_every_picture_without_touching_the_network(
    make_device: MakeDevice,
) -> None:
    device = make_device(InferenceInterval="0.05")
    paths = [device.add_picture(f"{n}.png", (n * 40, 90, 200 - n * 20)) for n in range(5)]

    device.start()
    seen = [device.result() for _ in paths]

    ids = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert [message["image_id"] for message in seen] == ids
    first = parse_result(json.dumps(seen[0]).encode())
    assert (first.thing, first.model_version) == (THING, "1.0.0")
    assert first.label in CLASSES
    assert device.stop()[0] == 0
    assert not device.network_attempts.exists(), device.network_attempts.read_text()


@of_kind(["classic"])  # lite answers UpdateState with ServiceError
def test_it_reports_that_it_is_ready(make_device: MakeDevice) -> None:
    device = make_device()
    device.add_picture("a.png")
    device.start()
    device.result()

    assert ("edgeward.ImageClassification", "RUNNING") in device.core.lifecycle.states


@of_kind(["classic"])  # as above
def test_it_reports_that_it_cannot_run(make_device: MakeDevice) -> None:
    device = make_device(UseCamera="perhaps")
    device.start()
    device.ended()

    assert ("edgeward.ImageClassification", "ERRORED") in device.core.lifecycle.states


def test_a_still_folder_keeps_producing_and_a_new_picture_comes_next(
    make_device: MakeDevice,
) -> None:
    device = make_device()
    old = [device.add_picture(f"{n}.png", (n * 40, 9, 9)) for n in range(2)]
    device.start()
    ids = [hashlib.sha256(path.read_bytes()).hexdigest() for path in old]

    again = [device.result()["image_id"] for _ in range(6)]
    new = device.add_picture("new.jpg", (5, 5, 250))
    new_id = hashlib.sha256(new.read_bytes()).hexdigest()

    assert again == ids * 3
    assert device.result(lambda message: message["image_id"] == new_id)


def test_every_change_of_configuration_is_taken_without_a_restart(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    device = make_device(InferenceInterval=3600)
    device.add_picture("a.png")
    device.start()
    device.result()
    assert device.process is not None
    process = device.process.pid

    device.core.merge({"PublishResultsOnTopic": "edgeward/other"})
    assert device.result(topic="edgeward/other")["label"] in CLASSES

    device.core.merge({"PublishResultsOnTopic": "ml/dlr/image-classification", "MaxResults": 1.0})
    assert device.result()["inference-description"].startswith("Top 1 predictions")

    device.core.merge({"ScoreThreshold": 1})
    described = device.result(lambda message: "score 1.0" in message["inference-description"])
    assert described["inference-results"] == []

    named = device.add_picture("named.png", (1, 2, 3))
    device.core.merge({"ImageName": "named.png"})
    wanted = hashlib.sha256(named.read_bytes()).hexdigest()
    device.result(lambda message: message["image_id"] == wanted)

    device.core.merge({"CameraCommand": f"cat {device.pictures / 'a.png'}", "UseCamera": True})
    wanted = hashlib.sha256((device.pictures / "a.png").read_bytes()).hexdigest()
    device.result(lambda message: message["image_id"] == wanted)

    device.core.merge({"InferenceInterval": "0.05"})
    times = [device.result()["taken_at"] for _ in range(5)]
    span = datetime.fromisoformat(times[-1]) - datetime.fromisoformat(times[0])
    assert span < timedelta(seconds=5)

    device.core.merge({"StatisticsInterval": "1"})
    window = parse_statistics(json.dumps(device.message(statistics_topic(THING))).encode())
    assert Summary.from_dict(window.summary).count > 0
    assert device.process.pid == process
    assert device.process.poll() is None


def test_a_bad_configuration_is_kept_out_and_the_good_one_stays(make_device: MakeDevice) -> None:
    device = make_device()
    device.add_picture("a.png")
    device.start()
    device.result()

    device.core.merge({"InferenceInterval": "never"})
    device.wait_for(lambda: "Configuration refused, the former" in device.log, "a refusal")
    device.result()

    device.stop()
    device.start()  # lite keeps the bad value, and the power comes back
    device.result()


@of_kind(["classic"])  # lite asks nobody before it deploys
def test_a_configuration_is_judged_before_it_is_deployed(make_device: MakeDevice) -> None:
    device = make_device()
    device.add_picture("a.png")
    device.start()
    device.result()

    device.core.validate("d-1", {"InferenceInterval": "never"})
    device.core.validate("d-2", {"InferenceInterval": "5"})
    device.wait_for(lambda: len(device.core.lifecycle.validity) == 2, "an answer to both")

    answers = {name: (taken, why) for name, taken, why in device.core.lifecycle.validity}
    assert not answers["d-1"][0]
    assert "InferenceInterval" in answers["d-1"][1]
    assert answers["d-2"][0]


def test_a_first_configuration_that_is_bad_ends_it_with_its_name(make_device: MakeDevice) -> None:
    device = make_device(UseCamera="perhaps")

    device.start()

    assert device.ended() == 1
    assert "UseCamera: 'perhaps' is not possible, it must be true or false" in device.log


def test_unreadable_pictures_are_named_once_counted_and_survived(make_device: MakeDevice) -> None:
    device = make_device()
    (device.pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (device.pictures / "empty.png").write_bytes(b"")
    device.add_picture("good.png")

    device.start()
    device.wait_for(lambda: "empty.png: empty" in device.log, "a word on the empty file")
    device.wait_for(lambda: "broken.jpg: truncated" in device.log, "a word on the broken one")
    for _ in range(5):
        device.result()
    device.stop()

    window = parse_statistics(json.dumps(device.message(statistics_topic(THING))).encode())
    assert Summary.from_dict(window.summary).unreadable == 2
    assert device.log.count("broken.jpg") == 1


def test_a_lost_session_ends_it_non_zero_so_that_it_is_started_again(
    make_device: MakeDevice,
) -> None:
    device = make_device()
    device.add_picture("a.png")
    device.start()
    device.result()

    device.core.disconnect()

    assert device.ended() == 1
    assert "session with the nucleus is lost" in device.log


def test_it_says_so_when_no_nucleus_started_it(make_device: MakeDevice) -> None:
    device = make_device()

    device.start(SVCUID="WRONG")

    assert device.ended() == 1
    assert "does not accept our token" in device.log


def test_nothing_is_lost_while_the_broker_is_away_not_even_by_a_kill(
    make_device: MakeDevice,
) -> None:
    device = make_device()
    device.add_picture("a.png")
    device.core.mqtt.fault = OperationError("ServiceError", "")
    device.start()
    device.wait_for(lambda: device.log.count('"message_id"') >= 4, "four results")
    device.close()
    made = [
        json.loads(line[line.index("{") :])["message_id"]
        for line in device.log.splitlines()
        if '"message_id"' in line
    ]

    device.core.mqtt.fault = None
    device.start()
    delivered = [device.result()["message_id"] for _ in made]

    assert set(delivered[:3]) <= set(made)
    missing = set(made[:-1]) - set(delivered)  # the last one may have been killed with the log
    assert not missing
    assert len(set(delivered)) == len(delivered)


def test_a_full_disk_is_said_once_and_results_still_go_out(make_device: MakeDevice) -> None:
    device = make_device()
    device.add_picture("a.png")

    device.start(full_disk=True)
    for _ in range(5):
        device.result()

    assert device.log.count("messages are kept in memory") == 1
    assert device.stop()[0] == 0


def test_a_picture_that_is_still_being_written_is_not_held_against_anyone(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    device = make_device(InferenceInterval=3600)
    whole = device.add_picture("whole.png").read_bytes()
    wanted = hashlib.sha256(whole + b"\0").hexdigest()
    half = device.pictures / "half.png"
    half.write_bytes(whole[:60])
    device.start()
    device.result()

    half.write_bytes(whole + b"\0")

    device.result(lambda message: message["image_id"] == wanted)
    assert "half.png" not in device.log.replace(wanted, "")


@of_kind(["classic"])  # lite lacks them in every other test
def test_it_runs_where_the_nucleus_lacks_what_is_optional(make_device: MakeDevice) -> None:
    device = make_device()
    for missing in ("SubscribeToValidateConfigurationUpdates", "UpdateState"):
        device.without(missing)
    device.add_picture("a.png")

    device.start()

    device.result()
    device.core.merge({"MaxResults": "1"})
    device.result(lambda message: "Top 1 " in message["inference-description"])
    assert device.stop()[0] == 0


def test_results_on_a_topic_without_permission_wait_until_it_is_granted(
    make_device: MakeDevice,
) -> None:
    device = make_device(PublishResultsOnTopic="garden/results")
    device.add_picture("a.png")
    device.start()
    device.message(heartbeat_topic(THING))
    device.wait_for(lambda: "Not authorised to publish on garden/results" in device.log, "a word")

    policy = {"operations": ["aws.greengrass#PublishToIoTCore"], "resources": ["garden/#"]}
    device.core.merge({"accessControl": {"aws.greengrass.ipc.mqttproxy": {"garden": policy}}})

    first = device.result(topic="garden/results")
    made = [line for line in device.log.splitlines() if '"message_id"' in line]
    assert first["message_id"] in made[0]


def test_sigterm_ends_it_in_time_although_the_nucleus_hangs(make_device: MakeDevice) -> None:
    device = make_device()
    device.add_picture("a.png")
    device.start()
    device.result()
    hanging = threading.Event()
    device.hang(hanging)

    status, seconds = device.stop()

    hanging.set()
    assert (status, seconds < 2) == (0, True), seconds


def test_sigterm_ends_it_cleanly_with_its_last_window(make_device: MakeDevice) -> None:
    device = make_device()
    device.add_picture("a.png")
    device.start()
    device.result()

    status, seconds = device.stop()

    assert status == 0
    assert seconds < 2
    assert device.message(statistics_topic(THING))["count"] > 0


def test_a_new_model_takes_over_and_a_broken_one_does_not(
    make_device: MakeDevice, model_folder: Path, tmp_path: Path
) -> None:
    device = make_device()
    device.add_picture("a.png")
    device.start()
    device.result(lambda message: message["model_version"] == "1.0.0")

    newer = variant(model_folder, tmp_path / "newer", ["one", "two", "three"])
    device.point_to(newer, "1.0.1")
    assert device.result(lambda message: message["model_version"] == "1.0.1")["label"] in (
        "one",
        "two",
        "three",
    )
    broken = variant(model_folder, tmp_path / "broken", ["one", "two", "three"])
    (broken / "compiled.so").write_bytes(b"not a library")
    device.point_to(broken, "1.0.2")
    device.wait_for(lambda: "Model 1.0.1 goes on serving" in device.log, "a refusal")

    assert device.result()["model_version"] == "1.0.1"
    windows = device.message(statistics_topic(THING))
    assert windows["model_version"] == "1.0.0"


def test_the_heartbeat_tells_how_the_device_is(make_device: MakeDevice) -> None:
    device = make_device()

    device.start()
    beat = device.message(heartbeat_topic(THING))

    assert beat["model_version"] == "1.0.0"
    assert beat["runtime_version"] == "1.6.0"
    assert beat["rss_mb"] > 1
    assert beat["disk_free_mb"] > 1


def test_no_message_is_too_large_for_nucleus_lite(
    make_device: MakeDevice, model_folder: Path, tmp_path: Path
) -> None:
    device = make_device(ScoreThreshold=0, MaxResults=1000)
    labels = [f"{n}-" + "long" * 900 for n in range(3)]
    device.point_to(variant(model_folder, tmp_path / "long", labels), "1.0.0")
    device.add_picture("a.png")

    device.start()
    message = device.result()

    assert len(json.dumps(message)) <= 7000
    assert len(message["inference-results"]) < 3
    assert "lowest results were cut" in device.log


def test_it_waits_a_while_for_a_nucleus_that_is_starting_itself(make_device: MakeDevice) -> None:
    """Lite gives a component three starts an hour: none is to be lost to that."""
    device = make_device()
    device.add_picture("a.png")
    ipc = Path(device.core.environment["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"])
    away = ipc.rename(ipc.with_suffix(".away"))

    device.start()
    time.sleep(1)
    away.rename(ipc)

    assert device.result()["label"] in CLASSES
    assert device.process is not None
    assert device.process.poll() is None


def test_it_goes_over_to_an_interpreter_that_the_runtime_replaced(make_device: MakeDevice) -> None:
    device = make_device()
    device.add_picture("a.png")
    python = device.root / "work" / RUNTIME_COMPONENT / RUNTIME_PYTHON
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nexec the-first\n")
    device.start()
    device.result()

    python.with_suffix(".new").write_text("#!/bin/sh\nexec another\n")
    python.with_suffix(".new").replace(python)

    assert device.ended() == 1  # to be started again, now on the new one
    assert "another interpreter" in device.log
