"""Alerts and hard examples, from the device's camera to a person's terminal, for real."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.packaging import package_model
from tests.command_line import edgeward
from tests.site import THING, Site, now
from tests.tiny_model import CLASSES, Compile

pytestmark = [pytest.mark.slow, pytest.mark.jobs, pytest.mark.device]

ANYTHING = {"Name": "anything", "Labels": list(CLASSES), "MinScore": 0, "Sightings": 1}


@pytest.fixture
def site(home: Path, device_python: Path) -> Iterator[Site]:
    made = Site(home, device_python)
    yield made
    made.fleet.stop_everything()


def show_one_picture(site: Site) -> bytes:
    """Leaves the first picture alone before the camera; its bytes."""
    first = site.home / "pictures" / "0.png"
    site.fleet.place_pictures(THING, [first])
    return first.read_bytes()


def answered(*arguments: str) -> Any:
    done = edgeward(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_person_sees_the_alert_and_gets_the_hard_example(
    site: Site, compile_for: Compile
) -> None:
    picture = show_one_picture(site)
    model = package_model(compile_for("linux-x86_64"), site.home / "packed")
    kept: dict[str, object] = {"HardExampleScore": 1, "Alerts": [ANYTHING]}
    site.deploy(model, PicturesMayLeave=True, **kept)
    site.results(now())

    fetched = answered("examples", "fetch", THING)

    (example,) = fetched["images"]
    assert example["image_id"] == hashlib.sha256(picture).hexdigest()
    assert Path(example["path"]).read_bytes() == picture
    assert example["result"]["label"] in CLASSES
    assert answered("examples", "list", THING) == [example]
    assert answered("examples", "fetch", THING)["images"] == []  # it is here already
    alert = answered("alerts", "--thing", THING, "--count", "1")
    assert (alert["alert"], alert["label"]) == ("anything", example["result"]["label"])
    assert "anything: " in edgeward("alerts").stdout
    named = ("alerts", "deny", alert["id"][:12], "--by", "Ada")
    assert edgeward(*named).stderr.endswith(f"{THING}: denied\n")
    assert edgeward(*named).stderr.endswith("was denied already\n")
    lines = edgeward("alerts", "--count", "100", "--json").stdout.splitlines()
    verdicts = {one["id"]: one["verdict"] for one in map(json.loads, lines)}
    assert verdicts[alert["id"]] == "denied"
    stranger = edgeward("alerts", "confirm", "nothing-of-that-name")
    assert stranger.returncode == 2
    assert "there is no such alert" in stranger.stderr


def test_a_device_whose_pictures_stay_refuses_and_says_which_key(
    site: Site, compile_for: Compile
) -> None:
    model = package_model(compile_for("linux-x86_64"), site.home / "packed")
    site.deploy(model, HardExampleScore=1)
    site.results(now())

    done = edgeward("examples", "fetch", THING)

    assert done.returncode == 1
    assert "PicturesMayLeave is false" in done.stderr
    assert not (site.home / "cloud/hard-examples" / THING).exists()
    assert "none yet" in edgeward("examples", "list", THING).stderr


def test_where_there_is_nothing_to_go_back_to_a_rollback_says_so_and_changes_nothing(
    home: Path,
) -> None:
    done = edgeward("rollback", "--thing", "porch", "--reason", "worse", "--yes")

    assert done.returncode == 2
    assert "porch: nothing to go back from: it runs no model" in done.stderr
    assert "edgeward run --thing porch" in done.stderr
    assert not (home / "quality").exists()
