"""An hour without a network: what the device delivers then, and what arrives."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backends.local.cloud.rules import apply
from backends.local.cloud.tables import Tables, read_file
from backends.local.nucleus.rpc import OperationError
from edge.contract import RESULTS_TOPIC
from tests.device.conftest import Device, MakeDevice, of_kind
from tests.fakes.core_device import Published

pytestmark = [pytest.mark.device, pytest.mark.jobs, pytest.mark.slow]

HOUR = 3600  # results: one a second
LONG = 120.0


def add_pictures(device: Device, count: int) -> None:
    """So many different pictures, small ones; the component takes new ones as fast as it can."""
    noise = np.random.default_rng(3)
    for number in range(count):
        pixels = noise.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        hidden = device.pictures / f".{number:05d}.bmp"
        Image.fromarray(pixels).save(hidden)
        hidden.replace(device.pictures / f"{number:05d}.bmp")


def wait_for(condition: object, device: Device, what: str) -> None:
    deadline = time.monotonic() + LONG
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"{what} did not happen:\n{device.log[-2000:]}"
        assert device.process is not None
        assert device.process.poll() is None, device.log[-2000:]
        time.sleep(0.2)


def made(device: Device) -> list[str]:
    """Ids of the results that the component logged, in its order."""
    lines = [line for line in device.log.splitlines() if '"inference-results"' in line]
    return [json.loads(line[line.index("{") :])["message_id"] for line in lines]


def results(published: list[Published]) -> list[str]:
    found = [json.loads(each.payload) for each in published if each.topic == RESULTS_TOPIC]
    return [message["message_id"] for message in found]


def arrived(device: Device) -> list[Published]:
    with device.core.mqtt.messages.mutex:
        return list(device.core.mqtt.messages.queue)


def stored(cloud: Path, published: list[Published]) -> list[str]:
    """Ids of the results in the cloud's table, after it was given all that arrived."""
    tables = Tables(cloud)
    now = datetime.now(UTC)
    for each in published:
        tables.add(apply(each.topic, each.payload, now))
    tables.close()
    rows = [
        row for path in cloud.glob("results/*/*/*.parquet") for row in read_file(path).to_pylist()
    ]
    return [row["message_id"] for row in rows]


@of_kind(["lite"])  # the classic nucleus keeps what it cannot send, and refuses nothing
def test_an_hour_of_results_without_a_broker_all_arrive_once_and_in_order(
    make_device: MakeDevice, tmp_path: Path
) -> None:
    device = make_device(InferenceInterval="0.5")
    add_pictures(device, HOUR)  # at each tick a thousand of what is new
    device.core.mqtt.fault = OperationError("ServiceError", "")
    device.start()
    wait_for(lambda: device.log.count('"inference-results"') >= HOUR, device, "an hour of results")
    assert arrived(device) == []

    device.core.mqtt.fault = None
    wait_for(lambda: len(arrived(device)) > HOUR / 3, device, "a part of the delivery")
    device.close()  # kill -9, in the middle of it
    for picture in device.pictures.iterdir():
        picture.unlink()  # nothing new to be seen
    device.start()
    wait_for(lambda: len(set(results(arrived(device)))) >= HOUR, device, "the rest")
    device.stop()

    published = arrived(device)
    wanted = [identifier for identifier in made(device) if identifier in set(results(published))]
    assert wanted[:HOUR] == made(device)[:HOUR]
    assert stored(tmp_path / "cloud", published) == list(dict.fromkeys(results(published)))
    assert list(dict.fromkeys(results(published))) == wanted
    assert len(published) - len(set(results(published))) < 100  # few went twice
    assert all(len(each.payload) <= 7000 for each in published)
