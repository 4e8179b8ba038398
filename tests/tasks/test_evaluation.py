"""Scores of predictions, and the gates that judge them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backends.artifacts import Evaluation, Predictions
from backends.errors import GateRefusedError
from tasks.business_understanding import AccuracyTargets
from tasks.evaluation import evaluate, judge_accuracy, require

CLASSES = ("child", "car")


def predictions_of(
    folder: Path, truth: list[int], probabilities: list[list[float]], classes: tuple[str, ...]
) -> Predictions:
    table = pd.DataFrame(
        np.array(probabilities, dtype=np.float32),
        columns=[f"p{index}" for index in range(len(classes))],
    )
    table.insert(0, "class_index", truth)
    table.insert(0, "image_id", [str(row) for row in range(len(truth))])
    path = folder / "predictions.parquet"
    table.to_parquet(path)
    return Predictions(path, classes, len(truth))


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    """Two children, one of them taken for a car; two cars, both found."""
    rows = [[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.4, 0.6]]
    return evaluate(predictions_of(tmp_path, [0, 0, 1, 1], rows, CLASSES))


def test_counts_what_was_called_what(evaluation: Evaluation) -> None:
    assert evaluation.top1 == pytest.approx(0.75)
    assert evaluation.confusion == ((1, 1), (0, 2))
    assert evaluation.per_class["child"].recall == pytest.approx(0.5)
    assert evaluation.per_class["child"].precision == pytest.approx(1.0)
    assert evaluation.per_class["car"].precision == pytest.approx(2 / 3)
    assert evaluation.per_class["car"].support == 2


def test_top_five_counts_the_truth_among_the_five_best(tmp_path: Path) -> None:
    best_to_worst = [0.3, 0.25, 0.2, 0.15, 0.07, 0.03]
    predictions = predictions_of(tmp_path, [4, 5], [best_to_worst] * 2, tuple("abcdef"))

    evaluation = evaluate(predictions)

    assert evaluation.top5 == pytest.approx(0.5)
    assert evaluation.top1 == 0


def test_a_class_that_is_never_called_has_no_precision(tmp_path: Path) -> None:
    evaluation = evaluate(predictions_of(tmp_path, [0], [[0.9, 0.1]], CLASSES))

    assert evaluation.per_class["car"].precision is None
    assert evaluation.per_class["car"].recall is None


def test_calibration_error_is_the_distance_of_confidence_to_accuracy(tmp_path: Path) -> None:
    rows = [[0.95, 0.05]] * 4
    evaluation = evaluate(predictions_of(tmp_path, [0, 0, 1, 1], rows, CLASSES))

    assert evaluation.calibration_error == pytest.approx(0.95 - 0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("targets", "refusing"),
    [
        pytest.param({"min_top1": 0.75, "min_recall": {"child": 0.5}}, set(), id="both-pass"),
        pytest.param({"min_top1": 0.76}, {"model.accuracy"}, id="top1-too-low"),
        pytest.param(
            {"min_top1": 0.5, "min_recall": {"child": 0.6}}, {"model.recall"}, id="children-missed"
        ),
        pytest.param(
            {"min_top1": 0.5, "min_recall": {"pet": 0.1}}, {"model.recall"}, id="no-such-class"
        ),
    ],
)
def test_a_changed_limit_changes_the_decision(
    evaluation: Evaluation, targets: dict[str, object], refusing: set[str]
) -> None:
    gates = judge_accuracy(evaluation, AccuracyTargets.model_validate(targets))

    assert {gate.name for gate in gates if gate.refuses} == refusing


def test_a_refusal_for_missed_children_says_so(evaluation: Evaluation) -> None:
    _, recall = judge_accuracy(evaluation, AccuracyTargets(min_recall={"child": 0.6}))

    assert "child 0.500" in recall.reason
    with pytest.raises(GateRefusedError, match="child"):
        require.fn((recall,))
