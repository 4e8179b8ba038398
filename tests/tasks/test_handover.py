"""What a phase hands over is what the next one takes, also in another process."""

from pathlib import Path

import pytest

from backends.artifacts import InferenceCost, Predictions
from backends.errors import InvalidInputError
from tasks.handover import hand_over, has_handed_over, take_over, withdraw
from tasks.recording import Run

PREDICTIONS = Predictions(Path("/p.parquet"), ("cat", "dog"), 9, InferenceCost(1.5, 2.0, 80.0))


def test_a_value_comes_back_whole(tmp_path: Path) -> None:
    run = Run("mine", tmp_path)

    hand_over(run, predictions=PREDICTIONS, version="7")

    assert take_over(run, "predictions", Predictions) == PREDICTIONS
    assert take_over(run, "version", str) == "7"


def test_what_was_not_reached_or_was_taken_back_is_named(tmp_path: Path) -> None:
    run = Run("mine", tmp_path)
    hand_over(run, version="7")

    withdraw(run, ("version", "predictions"))

    assert not has_handed_over(run, "version")
    with pytest.raises(InvalidInputError, match="run mine: it has no version yet"):
        take_over(run, "version", str)


def test_a_value_of_another_version_of_the_project_is_not_misread(tmp_path: Path) -> None:
    run = Run("mine", tmp_path)
    hand_over(run, predictions="somewhere")

    with pytest.raises(InvalidInputError, match=r"Make a new run\."):
        take_over(run, "predictions", Predictions)
