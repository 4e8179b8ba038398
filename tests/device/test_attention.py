"""What a device does about what it sees, alerts and hard examples, and about stuck work."""

import base64
import hashlib
import json
import queue
from pathlib import Path
from typing import Any

import pytest

from backends.local.nucleus.rpc import OperationError
from edge.contract import (
    LOCAL_ALERTS_TOPIC,
    alerts_topic,
    commands_topic,
    examples_topic,
    heartbeat_topic,
    statistics_topic,
)
from tests.device.conftest import THING, Device, MakeDevice
from tests.tiny_model import CLASSES

pytestmark = [pytest.mark.device, pytest.mark.jobs]

ANYTHING = {"Name": "anything", "Labels": list(CLASSES), "MinScore": "0", "Sightings": "1"}
STUCK = Path(__file__).parents[1] / "fakes" / "stuck_component.py"
GREEN = (0, 250, 0)


def heard_locally(device: Device) -> "queue.Queue[dict[str, Any]]":
    """What other components of the device hear of alerts."""
    heard: queue.Queue[dict[str, Any]] = queue.Queue()

    async def subscribe() -> None:
        device.core.bus.subscribe(
            "lamp", LOCAL_ALERTS_TOPIC, None, lambda _topic, message: heard.put(message)
        )

    device.core.call(subscribe())
    return heard


def ask(device: Device, **command: Any) -> None:
    wanted = {"command": "send-examples", "request_id": "r", "count": 5, **command}
    device.core.deliver(commands_topic(THING), json.dumps(wanted).encode())


def subscribed(device: Device) -> bool:
    return any(name == commands_topic(THING) for name, _ in device.core.mqtt._receivers)


def test_an_alert_is_heard_on_the_device_at_once_and_in_the_cloud_when_it_is_back(
    make_device: MakeDevice,
) -> None:
    device = make_device(Alerts=[ANYTHING])
    heard = heard_locally(device)
    path = device.add_picture("a.png")
    device.core.mqtt.fault = OperationError("ServiceError", "")

    device.start()
    local = heard.get(timeout=15)["jsonMessage"]["message"]
    device.core.mqtt.fault = None
    alert = device.message(alerts_topic(THING))

    assert local == alert
    assert (alert["thing"], alert["alert"], alert["sightings"]) == (THING, "anything", 1)
    assert alert["label"] in CLASSES
    assert alert["image_id"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert alert["model_version"] == "1.0.0"
    assert alert["first_seen_at"] == alert["taken_at"]


def test_the_quiet_time_goes_on_after_a_restart(make_device: MakeDevice) -> None:
    device = make_device(Alerts=[{**ANYTHING, "QuietSeconds": "3600"}])
    device.add_picture("a.png")
    device.start()
    device.message(alerts_topic(THING))
    device.stop()

    device.start()
    device.add_picture("b.png", (1, 2, 3))
    for _ in range(4):
        device.result()

    assert device.log.count("Alert anything") == 1


def test_alerts_reach_the_cloud_where_the_nucleus_has_no_local_topics_and_it_is_said_once(
    make_device: MakeDevice,
) -> None:
    device = make_device(Alerts=[{**ANYTHING, "QuietSeconds": "0"}])
    device.without("PublishToTopic")
    device.add_picture("a.png")

    device.start()
    for _ in range(3):
        device.message(alerts_topic(THING))

    device.wait_for(lambda: "Alerts are not published on" in device.log, "a word on it")
    assert device.log.count("Alerts are not published on") == 1


def test_a_rule_for_a_label_that_the_model_does_not_have_is_said(make_device: MakeDevice) -> None:
    device = make_device(Alerts=[{**ANYTHING, "Labels": ["unicorn"]}])
    device.add_picture("a.png")

    device.start()
    device.result()

    assert "The model has no label unicorn" in device.log


def test_hard_examples_are_given_when_they_are_asked_for_and_may_leave(
    make_device: MakeDevice,
) -> None:
    device = make_device(HardExampleScore="1", PicturesMayLeave="true", InferenceInterval=3600)
    paths = [device.add_picture(f"{n}.png", (n * 90, 9, 9)) for n in range(2)]
    device.start()
    device.wait_for(lambda: subscribed(device), "a subscription to commands")
    for _ in paths:
        device.result()

    ask(device)
    parts = [device.message(examples_topic(THING)) for _ in paths]
    end = device.message(examples_topic(THING))

    found = {part["image_id"]: base64.b64decode(part["data"]) for part in parts}
    assert found == {hashlib.sha256(p.read_bytes()).hexdigest(): p.read_bytes() for p in paths}
    assert all(part["result"]["image_id"] == part["image_id"] for part in parts)
    assert end["sent"] == 2


def test_by_default_no_picture_leaves_and_not_later_either(make_device: MakeDevice) -> None:
    device = make_device(HardExampleScore="1", InferenceInterval=3600)
    device.add_picture("a.png")
    device.start()
    device.result()
    device.wait_for(lambda: subscribed(device), "a subscription to commands")

    ask(device, request_id="first")
    assert "PicturesMayLeave" in device.message(examples_topic(THING))["refused"]

    device.core.merge({"PicturesMayLeave": "true"})
    device.wait_for(lambda: "pictures_may_leave=True" in device.log, "the change")
    ask(device, request_id="second")
    end = device.message(examples_topic(THING))
    assert (end["sent"], end["staying"]) == (0, 1)


def test_a_device_that_may_not_hear_commands_works_until_it_may(make_device: MakeDevice) -> None:
    publish = {"operations": ["aws.greengrass#PublishToIoTCore"], "resources": ["*"]}
    device = make_device(accessControl={"aws.greengrass.ipc.mqttproxy": {"publish": publish}})
    device.add_picture("a.png")
    device.start()
    for _ in range(3):
        device.result()
    device.wait_for(lambda: "Commands are not received" in device.log, "a word on it")
    assert device.log.count("Commands are not received") == 1

    granted = {"operations": ["aws.greengrass#SubscribeToIoTCore"], "resources": ["edgeward/#"]}
    device.core.merge({"accessControl": {"aws.greengrass.ipc.mqttproxy": {"hear": granted}}})

    device.wait_for(lambda: subscribed(device), "a subscription to commands")
    assert device.stop()[0] == 0
    assert device.log.count("Commands are not received") == 1


def test_work_that_is_stuck_ends_with_its_reason_and_goes_on_without_that_picture(
    make_device: MakeDevice,
) -> None:
    device = make_device(WatchdogSeconds="1", ImageDirectory="", ImageName="")
    device.add_picture("bad.png", GREEN)
    device.core.merge({"ImageDirectory": str(device.pictures)})

    for _ in range(2):
        device.start(program=STUCK)
        assert device.ended() == 70
    assert device.log.count("The work is stuck over") == 2
    assert "bad.png" in device.log

    good = device.add_picture("good.png")
    device.start(program=STUCK)
    result = device.result()
    beat = device.message(heartbeat_topic(THING), lambda beat: beat["watchdog_restarts"] == 2)
    status, _ = device.stop()

    assert result["image_id"] == hashlib.sha256(good.read_bytes()).hexdigest()
    assert beat["watchdog_restarts"] == 2
    assert device.log.count("passed over, the work was stuck over it") == 1
    assert status == 0
    assert device.message(statistics_topic(THING))["unreadable"] == 1


def test_a_slow_camera_command_is_not_taken_for_stuck_work(make_device: MakeDevice) -> None:
    device = make_device(WatchdogSeconds="1")
    path = device.add_picture("a.png")
    device.core.merge({"CameraCommand": f"sh -c 'sleep 3; cat {path}'", "UseCamera": True})

    device.start()

    device.result()
    assert "stuck" not in device.log


def test_a_new_setting_of_the_watchdog_is_taken_without_a_restart(make_device: MakeDevice) -> None:
    device = make_device(WatchdogSeconds="0")
    device.add_picture("good.png")
    device.start(program=STUCK)
    device.result()

    device.core.merge({"WatchdogSeconds": "1"})
    device.wait_for(lambda: "watchdog_seconds=1.0" in device.log, "the change")
    device.add_picture("bad.png", GREEN)

    assert device.ended() == 70


def test_the_heartbeat_tells_of_alerts_hard_examples_and_the_watchdog(
    make_device: MakeDevice,
) -> None:
    device = make_device()

    device.start()
    beat = device.message(heartbeat_topic(THING))

    assert (beat["alerts"], beat["hard_examples"], beat["hard_examples_mb"]) == (0, 0, 0)
    assert (beat["watchdog_restarts"], beat["last_result_age_s"]) == (0, None)
