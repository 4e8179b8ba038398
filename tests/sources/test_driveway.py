"""The drawn driveway must be the same for everyone, differ where it drifts, and be drawn once."""

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from backends.sources.camera import HEIGHT, WIDTH, Taking, draw
from backends.sources.driveway import DrivewaySource, labels, picture
from backends.sources.plan import CLASSES, NEW_CLASS, Drift, DrivewayPlan
from edge.pictures import read_picture, statistics


def silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def mean_of(plan: DrivewayPlan, feature: str) -> float:
    drawn = [picture(plan, number, CLASSES[number % 7]) for number in range(14)]
    return float(np.mean([statistics(read_picture(data))[feature] for data in drawn]))


@pytest.mark.parametrize("label", [*CLASSES, NEW_CLASS])
def test_every_class_can_be_drawn_at_camera_size(label: str) -> None:
    for seed in range(8):
        image = draw(label, Random(seed))

        assert image.size == (WIDTH, HEIGHT)
        assert image.mode == "RGB"
        assert np.asarray(image).std() > 10


def test_a_subject_is_on_the_picture_and_not_only_in_its_name() -> None:
    for label in set(CLASSES) - {"empty"}:
        changed = []
        for seed in range(6):
            state = Random(seed)
            with_subject = np.asarray(draw(label, state), dtype=np.int16)
            without = np.asarray(draw("empty", Random(seed)), dtype=np.int16)
            changed.append((np.abs(with_subject - without).max(axis=2) > 40).mean())

        assert float(np.median(changed)) > 0.005


def test_a_picture_depends_on_its_plan_and_number_only() -> None:
    plan = DrivewayPlan(images=70)

    first = picture(plan, 5, "dog")
    picture(plan, 6, "cat")

    assert picture(plan, 5, "dog") == first
    assert picture(DrivewayPlan(images=700), 5, "dog") == first
    assert picture(DrivewayPlan(images=70, seed=8), 5, "dog") != first


def test_the_source_draws_every_class_once_and_the_second_time_nothing(tmp_path: Path) -> None:
    plan = DrivewayPlan(images=70)
    seen: list[tuple[int, int]] = []

    pictures = DrivewaySource(tmp_path, plan, workers=2).fetch(lambda *at: seen.append(at))
    files = sorted(pictures.root.rglob("*.jpg"))
    written = [file.stat().st_mtime_ns for file in files]
    again = DrivewaySource(tmp_path, plan).fetch(silent)

    assert Counter(file.parent.name for file in files) == dict.fromkeys(CLASSES, 10)
    assert again == pictures
    assert [file.stat().st_mtime_ns for file in files] == written
    assert seen[-1] == (70, 70)
    assert files[3].read_bytes() == picture(plan, int(files[3].stem), files[3].parent.name)
    assert [entry.name for entry in (tmp_path / "sources").iterdir()] == [pictures.root.name]


def test_a_drawing_that_is_broken_off_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(done: int, _total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DrivewaySource(tmp_path, DrivewayPlan(images=70), workers=2).fetch(interrupt)

    assert list((tmp_path / "sources").iterdir()) == []


def test_the_plan_is_part_of_the_folder_name(tmp_path: Path) -> None:
    plans = [DrivewayPlan(images=70), DrivewayPlan(images=77), DrivewayPlan(images=70, seed=1)]

    roots = {DrivewaySource(tmp_path, plan, workers=1).fetch(silent).root for plan in plans}

    assert len(roots) == 3


@pytest.mark.parametrize(
    ("drift", "feature", "grows"),
    [
        ("night", "brightness", False),
        ("fog", "contrast", False),
        ("moved-camera", "contrast", False),
    ],
)
def test_drift_shows_in_the_statistics_and_more_so_when_it_is_stronger(
    drift: Drift, feature: str, grows: bool
) -> None:
    usual = mean_of(DrivewayPlan(), feature)
    slight = mean_of(DrivewayPlan(drift=drift, drift_strength=0.4), feature)
    strong = mean_of(DrivewayPlan(drift=drift, drift_strength=1.0), feature)

    assert (strong > slight > usual) if grows else (strong < slight < usual)


def test_a_new_class_appears_as_often_as_its_strength_says() -> None:
    usual = Counter(labels(DrivewayPlan(images=400)))
    weak = Counter(labels(DrivewayPlan(images=400, drift="new-class", drift_strength=0.2)))
    strong = Counter(labels(DrivewayPlan(images=400, drift="new-class")))

    assert usual[NEW_CLASS] == 0
    assert (weak[NEW_CLASS], strong[NEW_CLASS]) == (20, 100)


def test_the_camera_takes_drift_as_well() -> None:
    day, night = draw("car", Random(3)), draw("car", Random(3), Taking("night", 1.0))

    assert np.asarray(night).mean() < np.asarray(day).mean() * 0.6


def test_an_unknown_label_is_no_picture() -> None:
    with pytest.raises(KeyError):
        draw("zebra", Random(1))


def test_pictures_are_jpegs_with_the_cameras_noise() -> None:
    data = picture(DrivewayPlan(), 0, "car")

    found = read_picture(data)

    assert (found.format, found.mode, found.width, found.height) == ("JPEG", "RGB", WIDTH, HEIGHT)
    assert 5_000 < len(data) < 60_000
    assert isinstance(found.rgb, Image.Image)
