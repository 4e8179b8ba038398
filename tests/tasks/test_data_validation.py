"""Each data gate refuses what it must, names it, and lets good data through."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends.artifacts import Gate
from tasks.accepted_data import AcceptedData, accept_data
from tasks.business_understanding import Targets
from tasks.data_gates import DataLimits
from tasks.data_validation import DataVerdict, data_limits, validate_data
from tasks.manifest import COLUMNS
from tests.tasks.manifests import Row, dataset_of, rows_of

FEW = DataLimits(min_samples=30)


@pytest.fixture
def accepted(tmp_path: Path) -> AcceptedData:
    rows = rows_of(seed=1, cat=60, dog=60)
    return accept_data(dataset_of(rows, tmp_path / "earlier"), tmp_path / "accepted")


@pytest.fixture
def judge(tmp_path: Path) -> Callable[..., DataVerdict]:
    def judge(
        rows: list[Row],
        accepted: AcceptedData | None = None,
        limits: DataLimits = FEW,
        columns: dict[str, str] = COLUMNS,
    ) -> DataVerdict:
        dataset = dataset_of(rows, tmp_path / "run", columns)
        return validate_data(dataset, accepted, limits, tmp_path / "run" / "data-docs")

    return judge


def _gate(verdict: DataVerdict, name: str) -> Gate:
    return next(gate for gate in verdict.gates if gate.name == name)


def _with(rows: list[Row], count: int, **changes: Any) -> list[Row]:
    return [row | changes for row in rows[:count]] + rows[count:]


def test_the_first_data_set_passes_and_says_that_there_is_no_baseline(
    judge: Callable[..., DataVerdict],
) -> None:
    verdict = judge(rows_of(cat=60, dog=60))

    assert [(gate.name, gate.passed) for gate in verdict.gates] == [
        ("data.schema", True),
        ("data.integrity", True),
        ("data.labels", True),
        ("data.drift", None),
    ]
    assert "no baseline" in _gate(verdict, "data.schema").reason
    assert "no baseline" in _gate(verdict, "data.drift").reason


def test_more_of_the_same_passes_every_gate(
    judge: Callable[..., DataVerdict], accepted: AcceptedData
) -> None:
    verdict = judge(rows_of(seed=2, cat=50, dog=60), accepted)

    assert [gate.passed for gate in verdict.gates] == [True] * 4, verdict.gates


def test_a_manifest_without_a_column_is_refused_by_the_column(
    judge: Callable[..., DataVerdict],
) -> None:
    columns = {name: kind for name, kind in COLUMNS.items() if name != "phash"}
    rows = [{name: row[name] for name in columns} for row in rows_of(cat=5, dog=5)]

    verdict = judge(rows, columns=columns)

    assert _gate(verdict, "data.schema").passed is False
    assert "phash (missing)" in _gate(verdict, "data.schema").reason
    assert [gate.passed for gate in verdict.gates[1:]] == [None] * 3


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        (COLUMNS | {"width": "int64"}, "width (int64, not int32)"),
        (COLUMNS | {"colour": "string"}, "colour (not ours)"),
        (dict(reversed(COLUMNS.items())), "image_id (out of place)"),
    ],
    ids=["type", "new column", "order"],
)
def test_a_manifest_of_another_shape_is_refused_by_the_column(
    judge: Callable[..., DataVerdict], columns: dict[str, str], named: str
) -> None:
    verdict = judge(rows_of(cat=5, dog=5), columns=columns)

    assert _gate(verdict, "data.schema").passed is False
    assert named in _gate(verdict, "data.schema").reason


@pytest.mark.parametrize(
    "change",
    [{"brightness": 1.4}, {"width": 0}, {"orientation": 9}, {"phash": "xyz"}, {"bytes": -1}],
    ids=str,
)
def test_an_impossible_value_is_refused_by_picture(
    judge: Callable[..., DataVerdict], change: dict[str, Any]
) -> None:
    if change == {"phash": "xyz"}:  # what cannot be compared cannot be grouped either
        change |= {"problem": "undecodable"}
    rows = _with(rows_of(cat=5, dog=5), 1, **change)

    gate = _gate(judge(rows), "data.schema")

    assert gate.passed is False
    assert "cat/1-0000.png" in gate.reason


def test_a_class_that_nobody_announced_is_refused_and_an_announced_one_is_not(
    judge: Callable[..., DataVerdict], accepted: AcceptedData
) -> None:
    rows = rows_of(seed=2, cat=50, dog=50, robot=50)

    silent = _gate(judge(rows, accepted), "data.schema")
    declared = DataLimits(classes=("cat", "dog", "robot"), min_samples=30)
    announced = _gate(judge(rows, accepted, declared), "data.schema")

    assert silent.passed is False
    assert silent.measured == ["robot: new"]
    assert announced.passed is True


def test_a_class_that_vanished_is_refused(
    judge: Callable[..., DataVerdict], tmp_path: Path
) -> None:
    earlier = dataset_of(rows_of(cat=40, dog=40, fox=40), tmp_path / "earlier")
    accepted = accept_data(earlier, tmp_path / "accepted")

    verdict = judge(rows_of(seed=2, cat=50, dog=50), accepted)

    assert "fox (gone)" in _gate(verdict, "data.schema").reason


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"mode": "L", "handled": "grey"}, "colour mode L (0.4)"),
        ({"width": 4000}, "picture size (0.4)"),
    ],
)
def test_pictures_of_another_kind_are_refused_where_they_are_many(
    judge: Callable[..., DataVerdict], accepted: AcceptedData, change: Row, named: str
) -> None:
    rows = rows_of(seed=2, cat=50, dog=50)

    few = _gate(judge(_with(rows, 10, **change), accepted), "data.schema")
    many = _gate(judge(_with(rows, 40, **change), accepted), "data.schema")

    assert few.passed is True
    assert many.passed is False
    assert named in many.reason


def test_a_column_type_that_changed_since_the_last_data_set_is_refused(
    judge: Callable[..., DataVerdict], tmp_path: Path
) -> None:
    older = dataset_of(rows_of(cat=9, dog=9), tmp_path / "old", COLUMNS | {"extra": "string"})
    accepted = accept_data(older, tmp_path / "accepted")

    gate = _gate(judge(rows_of(seed=2, cat=9, dog=9), accepted), "data.schema")

    assert gate.passed is False
    assert gate.measured == ["extra: gone"]


def test_unusable_files_are_refused_by_name_and_the_many_are_counted(
    judge: Callable[..., DataVerdict],
) -> None:
    nothing = dict.fromkeys(["width", "height", "phash", "mode", "brightness", "entropy"])
    rows = _with(rows_of(cat=20, dog=20), 13, problem="truncated", **nothing)

    gate = _gate(judge(rows), "data.integrity")

    assert (gate.passed, gate.measured, gate.limit) == (False, 13, 0)
    assert "cat/1-0000.png (truncated)" in gate.reason
    assert "and 3 more" in gate.reason


def test_a_picture_under_two_labels_is_refused_with_both_paths(
    judge: Callable[..., DataVerdict],
) -> None:
    rows = rows_of(cat=5, dog=5)
    rows[5]["image_id"] = rows[0]["image_id"]

    gate = _gate(judge(rows), "data.labels")

    assert gate.passed is False
    assert "cat/1-0000.png (cat and dog), dog/1-0000.png (cat and dog)" in gate.reason


def test_near_duplicates_are_shown_and_not_refused(judge: Callable[..., DataVerdict]) -> None:
    rows = rows_of(cat=5, dog=5)
    rows[0]["phash"], rows[1]["phash"], rows[5]["phash"] = "0" * 16, "0" * 15 + "3", "0" * 15 + "1"

    verdict = judge(rows)

    assert _gate(verdict, "data.labels").passed is True
    assert verdict.findings["near_duplicates"] == 3
    assert "dog/1-0000.png" in verdict.findings["alike_under_two_labels"]
    assert "3 near-duplicates" in _gate(verdict, "data.labels").reason


@pytest.mark.parametrize(("apart", "alike"), [(4, True), (5, False)])
def test_pictures_look_alike_up_to_the_distance_that_the_split_keeps_together(
    judge: Callable[..., DataVerdict], apart: int, alike: bool
) -> None:
    rows = rows_of(cat=5, dog=5)
    rows[0]["phash"], rows[5]["phash"] = "0" * 16, f"{(1 << apart) - 1:016x}"

    assert judge(rows).findings["near_duplicates"] == (2 if alike else 0)


@pytest.mark.parametrize(
    ("classes", "limits", "named"),
    [
        ({"cat": 99, "dog": 3}, FEW, "dog (0.0588)"),
        ({"cat": 9, "dog": 2}, FEW, "dog (2)"),
        ({"cat": 9, "dog": 9}, DataLimits(classes=("child", "cat")), "child (0)"),
        ({"cat": 9}, FEW, "at least two classes"),
        ({"cat": 99, "dog": 60}, DataLimits(min_class_share=0.9), "dog (0.755)"),
        ({"cat": 9, "dog": 7}, DataLimits(min_images=8), "dog (7)"),
    ],
    ids=["imbalance", "too few", "missing", "only one", "stricter share", "stricter number"],
)
def test_classes_that_cannot_be_learnt_are_refused_by_name(
    judge: Callable[..., DataVerdict], classes: dict[str, int], limits: DataLimits, named: str
) -> None:
    gate = _gate(judge(rows_of(**classes), None, limits), "data.labels")

    assert gate.passed is False
    assert named in gate.reason


def test_darker_pictures_are_refused_by_the_statistic_that_moved(
    judge: Callable[..., DataVerdict], accepted: AcceptedData
) -> None:
    gate = _gate(judge(rows_of(seed=2, brightness=0.2, cat=60, dog=60), accepted), "data.drift")

    assert gate.passed is False
    assert "brightness" in gate.reason
    assert "contrast" not in gate.reason
    assert gate.measured["brightness"] > 0.25


def test_another_label_mix_is_refused(
    judge: Callable[..., DataVerdict], accepted: AcceptedData
) -> None:
    gate = _gate(judge(rows_of(seed=2, cat=150, dog=30), accepted), "data.drift")

    assert gate.passed is False
    assert "label mix" in gate.reason
    assert "Kullback-Leibler" in gate.reason


def test_the_targets_limits_decide_about_drift(
    judge: Callable[..., DataVerdict], accepted: AcceptedData
) -> None:
    rows = rows_of(seed=2, brightness=0.4, cat=60, dog=60)

    lax, strict, few = (
        _gate(
            judge(rows, accepted, data_limits(Targets.model_validate({"drift": drift}))),
            "data.drift",
        )
        for drift in (
            {"max_psi": 5.0, "min_samples": 100},
            {"max_psi": 0.1, "min_samples": 100},
            {"max_psi": 0.1, "min_samples": 500},
        )
    )

    assert (lax.passed, strict.passed, few.passed) == (True, False, None)
    assert "too few pictures to tell: 120" in few.reason


def test_the_data_docs_name_the_picture_and_need_no_network(
    judge: Callable[..., DataVerdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("validation must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    verdict = judge(_with(rows_of(cat=5, dog=5), 1, problem="truncated"))
    judge(_with(rows_of(cat=5, dog=5), 1, problem="truncated"))  # the same folder, once more

    assert "cat/1-0000.png (truncated)" in verdict.data_docs.read_text()
    pages = list(verdict.data_docs.parent.rglob("*.html"))
    assert len(pages) > 4
    for page in pages:
        text = page.read_text()
        assert "<script" not in text
        assert "http://" not in text
        assert "https://" not in text
    json.dumps(verdict.findings)
