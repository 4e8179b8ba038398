"""What each key of the inference component's configuration changes in what it reports.

The loop of the component itself runs here, with a stand-in for the compiled model and the broker.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from backends.local.nucleus.authorization import MQTT_PROXY, is_allowed
from backends.settings import PROJECT
from edge.challenger import Challenger
from edge.configuration import Configuration
from edge.contract import DEFAULT_CONFIGURATION, RESULTS_TOPIC
from edge.outbox import Outbox
from edge.pictures import Preprocessing
from edge.reporting import Reporter
from edge.signals import Signals
from edge.surroundings import Surroundings
from edge.variants import Variants
from edge.watch import Watch
from tests.architecture.effects.effect import Effect

SCORES = {"cat": 0.6, "dog": 0.4}


class SureOfCats:
    """A Serving whose model always says the same."""

    version = "1.0.0"
    problem = None
    runtime_version = "1.6.0"
    labels = tuple(SCORES)
    preprocessing = Preprocessing(width=8, height=8)

    def __init__(self, scores: Mapping[str, float] = SCORES) -> None:
        self._scores = scores

    @property
    def classifier(self) -> "SureOfCats":
        return self

    def refresh(self) -> bool:
        return False

    def scores(self, _picture: object) -> Mapping[str, float]:
        return self._scores


class SureOfDogs(Challenger):
    """A Challenger that is there at once, and always says the same."""

    def follow(self, wanted: bool) -> bool:
        stand_in: Any = SureOfCats({"cat": 0.1, "dog": 0.9})
        self.classifier = stand_in if wanted else None
        return False


class Sent(list[tuple[str, dict[str, Any]]]):
    """A Delivery that keeps what it is given."""

    def send(self, topic: str, payload: bytes, only_newest: bool = False) -> None:
        self.append((topic, json.loads(payload)))

    depth = 0

    def retry_parked(self) -> None:
        pass

    def withdraw(self, _topic: str) -> None:
        pass


class Asks:
    """A Nucleus whose cloud asks for hard examples at once."""

    def subscribe(self, topic: str, receive: Callable[[bytes], None], _ended: object) -> None:
        command = {"command": "send-examples", "request_id": "r", "count": 1}
        receive(json.dumps(command).encode())

    def publish_local(self, topic: str, message: object, failed: object) -> None:
        pass


def reported(folder: Path, configuration: Mapping[str, object], seconds: float = 0.25) -> Sent:
    """What the component sends within some seconds; there are two pictures in `folder`."""
    pictures, work = folder / "pictures", folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    if not pictures.exists():
        pictures.mkdir()
        Image.new("RGB", (16, 16), (200, 0, 0)).save(pictures / "red.png")
        Image.new("RGB", (16, 16), (0, 0, 200)).save(folder / "blue.png")
    surroundings, signals, sent = Surroundings("hub", work, work / "location"), Signals(), Sent()
    champion: Any = SureOfCats()
    challenger = SureOfDogs(surroundings.challenger_pointer, work)
    variants = Variants(champion, challenger)
    delivery: Any = sent
    nucleus: Any = Asks()
    outbox = Outbox(surroundings.outbox)
    reporter = Reporter("hub", work, variants, outbox, delivery)
    chosen = Configuration.parse(configuration)
    watch = Watch(surroundings, signals, nucleus, variants, reporter, delivery, chosen)
    end = threading.Timer(seconds, signals.stop)
    end.start()
    watch.run()
    end.join()
    outbox.close()
    return sent


def results(folder: Path, **configuration: object) -> list[dict[str, Any]]:
    """The results on the usual topic; of the folder's one picture, unless told otherwise."""
    usual = {"ImageDirectory": str(folder / "pictures")}
    sent = reported(folder, {**usual, **configuration})
    return [message for topic, message in sent if topic == RESULTS_TOPIC]


def named(folder: Path, **configuration: object) -> list[str]:
    """Which pictures were classified."""
    return [message["image_id"] for message in results(folder, **configuration)]


def labels(folder: Path, **configuration: object) -> list[str]:
    """The labels of the first result's list."""
    first = results(folder, **configuration)[0]
    return [entry["Label"] for entry in first["inference-results"]]


def topics(folder: Path, **configuration: object) -> set[str]:
    usual = {"ImageDirectory": str(folder / "pictures")}
    return {topic for topic, _ in reported(folder, {**usual, **configuration})}


def kept(folder: Path, **configuration: object) -> bool:
    """Whether the folder's one picture is kept as a hard example."""
    work = folder / "-".join(configuration)
    results(work, **configuration)
    return any((work / "work").glob("hard-examples/*.json"))


def answers(folder: Path, **configuration: object) -> set[str]:
    """What a request for hard examples is answered with."""
    usual = {"ImageDirectory": str(folder / "pictures"), "HardExampleScore": "1"}
    sent = reported(folder, {**usual, **configuration})
    return {key for topic, message in sent if topic.endswith("/examples") for key in message}


def ends(folder: Path, seconds: str) -> int:
    """The exit status of work that is stuck for three seconds."""
    program = f"""
import time
from pathlib import Path
from edge.configuration import Configuration
from edge.watchdog import StuckPictures, Watchdog
chosen = Configuration.parse({{"WatchdogSeconds": "{seconds}"}})
watchdog = Watchdog(StuckPictures(Path("stuck.json")), chosen.watchdog_seconds)
watchdog.start()
time.sleep(3)
"""
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def may_publish(access: object) -> bool:
    return is_allowed(access, MQTT_PROXY, "aws.greengrass#PublishToIoTCore", RESULTS_TOPIC)


def _windows(folder: Path) -> tuple[object, object]:
    usual = {"ImageDirectory": str(folder / "pictures")}
    counted = []
    for interval in ("300", "1"):
        sent = reported(folder, {**usual, "StatisticsInterval": interval}, seconds=1.2)
        counted.append(sum(topic.endswith("/statistics") for topic, _ in sent))
    return counted[0], counted[1]


EFFECTS: dict[str, Effect] = {
    "accessControl": lambda _: (
        may_publish(DEFAULT_CONFIGURATION["accessControl"]),
        may_publish({}),
    ),
    "PublishResultsOnTopic": lambda folder: (
        topics(folder),
        topics(folder, PublishResultsOnTopic="edgeward/other"),
    ),
    "ImageDirectory": lambda folder: (
        named(folder, ImageDirectory=""),
        named(folder),
    ),
    "ImageName": lambda folder: (
        named(folder),
        named(folder, ImageName=str(folder / "blue.png")),
    ),
    "InferenceInterval": lambda folder: (
        len(results(folder)) > 1,
        len(results(folder, InferenceInterval="0.05")) > 1,
    ),
    "UseCamera": lambda folder: (
        named(folder, CameraCommand=f"cat {folder}/blue.png"),
        named(folder, CameraCommand=f"cat {folder}/blue.png", UseCamera="true"),
    ),
    "CameraCommand": lambda folder: (
        named(folder, UseCamera=True, CameraCommand=f"cat {folder}/pictures/red.png"),
        named(folder, UseCamera=True, CameraCommand=f"cat {folder}/blue.png"),
    ),
    "ScoreThreshold": lambda folder: (labels(folder), labels(folder, ScoreThreshold="0.5")),
    "MaxResults": lambda folder: (labels(folder), labels(folder, MaxResults="1")),
    "StatisticsInterval": _windows,
    "VariantMode": lambda folder: (
        [message["shadow"]["label"] for message in results(folder, VariantMode="shadow")],
        [message.get("shadow") for message in results(folder)],
    ),
    "VariantShare": lambda folder: (
        results(folder, VariantMode="split", VariantShare="0")[0]["variant"],
        results(folder, VariantMode="split", VariantShare="1")[0]["variant"],
    ),
    "Alerts": lambda folder: (
        topics(folder),
        topics(folder, Alerts=[{"Name": "cat", "Labels": ["cat"], "MinScore": 0, "Sightings": 1}]),
    ),
    "HardExampleScore": lambda folder: (
        kept(folder, HardExampleScore="0.5"),
        kept(folder, HardExampleScore="0.7"),
    ),
    "HardExampleLabels": lambda folder: (
        kept(folder / "a", HardExampleLabels=["dog"]),
        kept(folder / "b", HardExampleLabels=["cat"]),
    ),
    "HardExampleMegabytes": lambda folder: (
        kept(folder / "a", HardExampleScore="1", HardExampleMegabytes="20"),
        kept(folder / "b", HardExampleScore="1", HardExampleMegabytes="0"),
    ),
    "PicturesMayLeave": lambda folder: (
        answers(folder),
        answers(folder, PicturesMayLeave="true"),
    ),
    "WatchdogSeconds": lambda folder: (ends(folder, "0"), ends(folder, "1")),
}
