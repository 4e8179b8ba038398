"""A retraining is not refused for what it is for, and nothing else slips through beside it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from backends.artifacts import Gate
from tasks.accepted_data import AcceptedData, accept_data, load_accepted
from tasks.data_gates import DataLimits
from tasks.data_validation import validate_data
from tests.tasks.manifests import Row, dataset_of, rows_of
from tests.tasks.test_held_out import collected

FEW = DataLimits(min_samples=30)
USUAL = rows_of(seed=2, cat=60, dog=60)


@pytest.fixture
def accepted(tmp_path: Path) -> AcceptedData:
    rows = rows_of(seed=1, cat=60, dog=60)
    return accept_data(dataset_of(rows, tmp_path / "earlier"), tmp_path / "accepted")


@pytest.fixture
def judge(tmp_path: Path) -> Callable[..., dict[str, Gate]]:
    def judge(rows: list[Row], accepted: AcceptedData) -> dict[str, Gate]:
        dataset = dataset_of(rows, tmp_path / "run")
        verdict = validate_data(dataset, accepted, FEW, tmp_path / "run" / "data-docs")
        return {gate.name: gate for gate in verdict.gates}

    return judge


def test_pictures_of_a_dark_night_pass_where_devices_collected_them(
    judge: Callable[..., dict[str, Gate]], accepted: AcceptedData
) -> None:
    gates = judge(USUAL + collected("night", 3, cat=30, dog=30), accepted)

    assert gates["data.drift"].passed is True
    reason = gates["data.drift"].reason
    assert "60 pictures of 1 collected batches are new by intention" in reason
    assert "moved most: brightness" in reason


def test_what_devices_collected_is_measured_by_itself(
    accepted: AcceptedData, tmp_path: Path
) -> None:
    rows = USUAL + collected("night", 3, cat=30, deer=30)
    dataset = dataset_of(rows, tmp_path / "run")

    found = validate_data(dataset, accepted, FEW, tmp_path / "docs").findings

    assert found["collected"]["batches"] == {"night": 60}
    assert found["collected"]["new_classes"] == ["deer"]
    assert found["collected"]["drift"]["brightness"] > FEW.max_psi > found["drift"]["brightness"]


def test_the_same_pictures_are_refused_where_the_source_has_them(
    judge: Callable[..., dict[str, Gate]], accepted: AcceptedData
) -> None:
    dark = rows_of(seed=3, brightness=0.2, cat=60, dog=60)

    alone = judge(dark, accepted)
    beside = judge(dark + collected("night", 4, cat=30, dog=30), accepted)

    assert alone["data.drift"].passed is False
    assert beside["data.drift"].passed is False
    assert "brightness" in beside["data.drift"].reason


def test_a_new_class_passes_only_where_people_have_labelled_it(
    judge: Callable[..., dict[str, Gate]], accepted: AcceptedData
) -> None:
    labelled = judge(USUAL + collected("night", 3, deer=20), accepted)
    in_the_source = judge(USUAL + rows_of(seed=4, deer=20), accepted)

    assert labelled["data.schema"].passed is True
    assert labelled["data.schema"].reason.endswith("new by intention: deer")
    assert in_the_source["data.schema"].passed is False


def test_a_class_that_the_source_lost_is_not_made_up_for(
    judge: Callable[..., dict[str, Gate]], accepted: AcceptedData
) -> None:
    gates = judge(rows_of(seed=2, cat=60) + collected("night", 3, dog=60), accepted)

    assert gates["data.schema"].passed is False


def test_other_modes_are_expected_of_devices_only(
    judge: Callable[..., dict[str, Gate]], accepted: AcceptedData
) -> None:
    grey = [row | {"mode": "L"} for row in collected("night", 3, cat=60, dog=60)]
    own = [row | {"mode": "L"} for row in USUAL[::3]] + USUAL[1::3] + USUAL[2::3]

    assert judge(USUAL + grey, accepted)["data.schema"].passed is True
    assert judge(own + grey, accepted)["data.schema"].passed is False


def test_whole_files_and_one_label_each_are_asked_of_both(
    judge: Callable[..., dict[str, Gate]], accepted: AcceptedData
) -> None:
    night = collected("night", 3, cat=10, dog=10)
    broken = [night[0] | {"problem": "truncated"}, *night[1:]]
    twice = [*night, night[0] | {"label": "dog", "path": "dog/collected--night--twice.png"}]

    assert judge(USUAL + broken, accepted)["data.integrity"].passed is False
    assert judge(USUAL + twice, accepted)["data.labels"].passed is False


def test_what_is_accepted_is_the_source_s_own_part(
    judge: Callable[..., dict[str, Gate]], tmp_path: Path
) -> None:
    both = dataset_of(USUAL + collected("night", 3, cat=60, dog=60, deer=20), tmp_path / "both")
    accept_data(both, tmp_path / "accepted")

    accepted = load_accepted(tmp_path / "accepted")

    assert accepted
    assert (accepted.images, accepted.classes) == (120, ("cat", "dog"))
    again = judge(rows_of(seed=5, cat=60, dog=60), accepted)
    assert again["data.drift"].passed is True, "a later run without them has not drifted"
    assert again["data.schema"].passed is True
