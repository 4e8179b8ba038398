"""The last gate: the device says of known pictures what the host says of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from prefect.logging import disable_run_logger

from backends.artifacts import Deployment, DeviceResult, Gate, Platform, Predictions, Split
from tasks.first_results import (
    FirstResult,
    await_first_results,
    choose_scene,
    expected_labels,
    judge_first_results,
    now,
    place_pictures,
    restore_device,
)

CLASSES = ("car", "cat", "dog")
BEFORE = "2026-11-22T17:00:00+00:00"
EXPECTED = {"a": "cat", "b": "dog", "c": "cat"}


class TalkingFleet:
    """Keeps the Fleet port's contract; each call of `results` hears one more batch."""

    def __init__(self, *batches: Sequence[DeviceResult]) -> None:
        self.batches = batches
        self.calls = 0
        self.rolled_back: list[tuple[str, str]] = []

    def results(self, thing: str, since: str, count: int, timeout: float) -> list[DeviceResult]:
        self.calls += 1
        heard = [result for batch in self.batches[: self.calls] for result in batch]
        return [result for result in heard if result.taken_at >= since][:count]

    def roll_back(self, thing: str, before: str) -> None:
        self.rolled_back.append((thing, before))

    def place_pictures(self, thing: str, pictures: Sequence[Path]) -> Path:
        return Path("/things", thing, "camera")

    def deploy(
        self,
        thing: str,
        components: Mapping[str, str],
        merge: Mapping[str, Mapping[str, object]],
    ) -> Deployment:
        return Deployment("d", thing, "SUCCEEDED", "", "", dict(components))

    def platform_of(self, thing: str) -> Platform:
        return "linux-x86_64"

    def give_camera_back(self, thing: str) -> None:
        pass

    def stop_started(self) -> None:
        pass


def said(image_id: str, label: str, version: str = "1.0.1", score: float = 0.9) -> DeviceResult:
    return DeviceResult("hub", version, image_id, label, score, 5.0, "2026-11-22T18:00:00Z")


def heard(fleet: TalkingFleet, seconds: float = 5.0) -> tuple[FirstResult, ...]:
    with disable_run_logger():
        first: tuple[FirstResult, ...] = await_first_results.fn(
            fleet, "hub", BEFORE, "1.0.1", EXPECTED, seconds
        )
        return first


def predictions(folder: Path, rows: list[tuple[str, list[float]]]) -> Predictions:
    table = pd.DataFrame([shares for _, shares in rows], columns=["p0", "p1", "p2"])
    table.insert(0, "class_index", 0)
    table.insert(0, "image_id", [image_id for image_id, _ in rows])
    table.to_parquet(folder / "predictions.parquet")
    return Predictions(folder / "predictions.parquet", CLASSES, len(rows))


def test_the_surest_picture_of_each_class_is_asked_about_first(tmp_path: Path) -> None:
    rows = [
        ("cat-unsure", [0.2, 0.5, 0.3]),
        ("cat-sure", [0.0, 1.0, 0.0]),
        ("cat-nearly", [0.0, 0.9, 0.1]),
        ("dog", [0.1, 0.2, 0.7]),
        ("car", [0.6, 0.2, 0.2]),
    ]
    chosen = expected_labels(predictions(tmp_path, rows), 4)

    assert chosen == {"car": "car", "cat-sure": "cat", "dog": "dog", "cat-nearly": "cat"}


def test_a_picture_counts_once_and_fewer_than_asked_is_all_of_them(tmp_path: Path) -> None:
    rows = [("cat", [0.0, 1.0, 0.0]), ("cat", [0.0, 1.0, 0.0]), ("dog", [0.1, 0.2, 0.7])]

    assert expected_labels(predictions(tmp_path, rows), 500) == {"cat": "cat", "dog": "dog"}


def test_pictures_that_are_equally_sure_are_chosen_alike_in_any_order(tmp_path: Path) -> None:
    rows = [(name, [0.0, 1.0, 0.0]) for name in "dbca"]

    one = expected_labels(predictions(tmp_path, rows), 2)
    other = expected_labels(predictions(tmp_path, rows[::-1]), 2)

    assert list(one) == list(other) == ["a", "b"]


@pytest.fixture
def split(tmp_path: Path) -> Split:
    rows = [("t", "train")] + [(name, "test") for name in "xaybzc"] + [("a", "test")]
    table = pd.DataFrame(rows, columns=["image_id", "part"])
    table["path"] = "cat/" + table["image_id"] + ".png"
    table.to_parquet(tmp_path / "split.parquet")
    return Split(tmp_path / "split.parquet", 1, 0, 6, CLASSES)


@pytest.mark.parametrize(
    ("pictures", "seen"),
    [
        (1, ["a", "b", "c"]),
        (3, ["a", "b", "c"]),
        (5, ["a", "b", "c", "x", "y"]),
        (100, ["a", "b", "c", "x", "y", "z"]),
    ],
)
def test_the_camera_sees_the_known_pictures_and_others_that_were_held_out(
    split: Split, pictures: int, seen: list[str]
) -> None:
    assert choose_scene(split, EXPECTED, pictures) == [f"cat/{name}.png" for name in seen]


def test_a_device_that_agrees_passes() -> None:
    results = heard(TalkingFleet([said("a", "cat"), said("b", "dog"), said("c", "cat")]))

    gate = judge_first_results(results, EXPECTED, 0.995)

    assert gate.passed is True
    assert gate.measured == 1.0
    assert gate.reason == "the device calls 3 of 3 known pictures as the host does"


def test_the_wait_ends_with_the_last_answer_and_goes_on_until_then() -> None:
    fleet = TalkingFleet([said("a", "cat")], [], [said("b", "dog"), said("c", "cat")], [])

    assert len(heard(fleet)) == 3
    assert fleet.calls == 3


def test_one_picture_that_is_called_otherwise_refuses_and_is_named() -> None:
    results = heard(TalkingFleet([said("a", "dog"), said("b", "dog"), said("c", "cat")]))

    gate = judge_first_results(results, EXPECTED, 0.995)

    assert gate.refuses
    assert gate.measured == pytest.approx(2 / 3, abs=1e-4)
    assert gate.reason == "cat called dog"
    assert judge_first_results(results, EXPECTED, 0.6).passed is True


def test_silence_refuses_and_says_how_many_did_not_answer() -> None:
    results = heard(TalkingFleet([said("a", "cat")]), seconds=0.2)

    gate = judge_first_results(results, EXPECTED, 0.995)

    assert gate.refuses
    assert gate.reason == "2 of 3 pictures without an answer"


def test_answers_of_another_model_or_of_other_pictures_prove_nothing() -> None:
    others = [said("a", "cat", version="1.0.0"), said("unknown", "cat")]

    assert heard(TalkingFleet(others), seconds=0.2) == ()


def test_the_first_answer_counts_and_not_a_later_one() -> None:
    again = [said("a", "dog"), said("a", "cat"), said("b", "dog"), said("c", "cat")]

    assert {result.image_id: result.agrees for result in heard(TalkingFleet(again))} == {
        "a": False,
        "b": True,
        "c": True,
    }


def test_what_was_said_before_the_deployment_is_not_asked_for() -> None:
    moment = datetime.fromisoformat(now())

    assert moment.tzinfo == UTC


def test_without_a_picture_to_ask_about_nothing_is_proven() -> None:
    gate = judge_first_results((), {}, 0.0)

    assert gate.refuses
    assert gate.reason == "there was no picture to ask about"


@pytest.mark.parametrize(
    ("passed", "overridden", "rolled_back"),
    [(False, False, [("hub", BEFORE)]), (False, True, []), (True, False, [])],
    ids=["refused", "overridden", "passed"],
)
def test_a_device_is_given_back_what_it_ran_only_if_the_gate_refuses(
    passed: bool, overridden: bool, rolled_back: list[tuple[str, str]]
) -> None:
    fleet = TalkingFleet()
    gate = Gate("device.first-result", passed, 0.5, 0.995, "said", overridden)
    with disable_run_logger():
        restore_device.fn(fleet, "hub", BEFORE, gate)

    assert fleet.rolled_back == rolled_back


def test_the_pictures_lie_where_the_fleet_says() -> None:
    assert place_pictures.fn(TalkingFleet(), "hub", []) == Path("/things/hub/camera")
