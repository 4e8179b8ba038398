"""Evaluation (CRISP-DM 5): is the candidate good enough for the business goal?"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from prefect import task

from backends.artifacts import ClassScore, Evaluation, Gate, Predictions
from backends.errors import GateRefusedError
from tasks.business_understanding import AccuracyTargets

TOP = 5
CALIBRATION_BINS = 10

Probabilities = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def read_predictions(predictions: Predictions) -> tuple[Labels, Probabilities]:
    """The true class indices [N] and the probabilities [N, classes] of a predictions table."""
    table = pd.read_parquet(predictions.table)
    columns = [f"p{index}" for index in range(len(predictions.classes))]
    return (
        table["class_index"].to_numpy(dtype=np.int64),
        table[columns].to_numpy(dtype=np.float32),
    )


def evaluate(predictions: Predictions) -> Evaluation:
    """Score the predictions of a part. O(N x classes) time; the table is the largest thing held."""
    truth, probabilities = read_predictions(predictions)
    guesses = probabilities.argmax(axis=1)
    confusion = _confusion(truth, guesses, len(predictions.classes))
    return Evaluation(
        top1=float((guesses == truth).mean()),
        top5=_top_k(truth, probabilities, min(TOP, len(predictions.classes))),
        per_class=_per_class(confusion, predictions.classes),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        calibration_error=_calibration_error(truth, guesses, probabilities.max(axis=1)),
        images=len(truth),
    )


def judge_accuracy(evaluation: Evaluation, targets: AccuracyTargets) -> tuple[Gate, Gate]:
    """The gates model.accuracy and model.recall."""
    return _accuracy_gate(evaluation, targets), _recall_gate(evaluation, targets)


@task(task_run_name="pass gates from {gates[0].name} on")
def require(gates: tuple[Gate, ...]) -> None:
    """Stop the run if a gate refuses. Raises GateRefusedError with the gates that do."""
    if refusing := [gate for gate in gates if gate.refuses]:
        raise GateRefusedError(refusing)


def _accuracy_gate(evaluation: Evaluation, targets: AccuracyTargets) -> Gate:
    passed = evaluation.top1 >= targets.min_top1
    relation = "reaches" if passed else "is below"
    return Gate(
        "model.accuracy",
        passed,
        round(evaluation.top1, 4),
        targets.min_top1,
        f"top-1 {evaluation.top1:.3f} {relation} {targets.min_top1:.3f} "
        f"on {evaluation.images} held-out pictures",
    )


def _recall_gate(evaluation: Evaluation, targets: AccuracyTargets) -> Gate:
    limits = targets.min_recall
    if not limits:
        return Gate("model.recall", None, None, {}, "no limit: targets name no class's recall")
    measured = {
        name: score.recall if (score := evaluation.per_class.get(name)) else None for name in limits
    }
    misses = [
        f"{name} {'has no held-out picture' if recall is None else f'{recall:.3f}'}"
        f" (at least {limits[name]:.3f} is asked)"
        for name, recall in measured.items()
        if recall is None or recall < limits[name]
    ]
    reason = "recall of " + ", ".join(misses) if misses else "each class that matters is found"
    return Gate("model.recall", not misses, measured, dict(limits), reason)


def _confusion(truth: Labels, guesses: Labels, classes: int) -> npt.NDArray[np.int64]:
    counts = np.bincount(truth * classes + guesses, minlength=classes * classes)
    return counts.reshape(classes, classes)


def _top_k(truth: Labels, probabilities: Probabilities, k: int) -> float:
    best = np.argpartition(-probabilities, k - 1, axis=1)[:, :k]
    return float((best == truth[:, None]).any(axis=1).mean())


def _per_class(confusion: npt.NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, ClassScore]:
    right = confusion.diagonal()
    called, there = confusion.sum(axis=0), confusion.sum(axis=1)
    return {
        name: ClassScore(
            precision=float(right[i] / called[i]) if called[i] else None,
            recall=float(right[i] / there[i]) if there[i] else None,
            support=int(there[i]),
        )
        for i, name in enumerate(classes)
    }


def _calibration_error(truth: Labels, guesses: Labels, confidence: Probabilities) -> float:
    """Expected calibration error (Guo et al., 2017, On Calibration of Modern Neural Networks)."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    hits = np.bincount(bins, weights=guesses == truth, minlength=CALIBRATION_BINS)
    sums = np.bincount(bins, weights=confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(hits - sums).sum() / max(counts.sum(), 1))
