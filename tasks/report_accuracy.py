"""The report's accuracy section: recall and precision per class, confusions, worst mistakes."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tasks.charts import bar
from tasks.outcome import Record
from tasks.run_tables import RunTables, Thumbnails, worst_mistakes
from tasks.wording import figure, is_number

MOST_CLASSES = 30
"""Beyond this a matrix cannot be read: the weakest classes and the worst confusions are listed."""
MOST_CONFUSIONS = 15
MISTAKES = 12


@dataclass(frozen=True, slots=True)
class ClassRow:
    label: str
    support: int
    recall: str
    recall_bar: Markup
    limit: str
    missed: bool
    precision: str
    precision_bar: Markup


@dataclass(frozen=True, slots=True)
class Cell:
    """Pictures of one class that were called another; `heat` in [0, 1] is the share of the row."""

    count: int
    heat: float
    right: bool


@dataclass(frozen=True, slots=True)
class Confusion:
    label: str
    taken_for: str
    count: int
    share: str


@dataclass(frozen=True, slots=True)
class Shown:
    picture: str
    label: str
    taken_for: str
    score: str


@dataclass(frozen=True, slots=True)
class Accuracy:
    top1: str
    top5: str
    calibration_error: str
    images: int
    rows: list[ClassRow]
    hidden: int
    classes: list[str]
    matrix: list[list[Cell]]
    confusions: list[Confusion]
    mistakes: list[Shown]


def accuracy_of(record: Record, tables: RunTables, thumbs: Thumbnails) -> Accuracy | None:
    evaluation = record.get("evaluation")
    if not evaluation:
        return None
    per_class = evaluation.get("per_class") or {}
    classes = [str(name) for name in per_class]
    confusion = evaluation.get("confusion") or []
    small = len(classes) <= MOST_CLASSES
    rows = [_row(name, score, _limits(record)) for name, score in _weakest(per_class)]
    return Accuracy(
        top1=figure(evaluation.get("top1"), "share"),
        top5=figure(evaluation.get("top5"), "share"),
        calibration_error=figure(evaluation.get("calibration_error"), "share"),
        images=int(evaluation.get("images") or 0),
        rows=rows,
        hidden=len(classes) - len(rows),
        classes=classes,
        matrix=[_cells(index, row) for index, row in enumerate(confusion)] if small else [],
        confusions=_confusions(confusion, classes),
        mistakes=[
            Shown(picture, mistake.label, mistake.taken_for, figure(mistake.score, "share"))
            for mistake in worst_mistakes(tables, classes, MISTAKES)
            if (picture := thumbs.of(mistake.image_id))
        ],
    )


def _limits(record: Record) -> dict[str, Any]:
    for gate in record.get("gates") or []:
        if gate.get("name") == "model.recall" and isinstance(gate.get("limit"), dict):
            return dict(gate["limit"])
    asked = (record.get("targets") or {}).get("accuracy") or {}
    return dict(asked.get("min_recall") or {})


def _weakest(per_class: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """All classes in their order; of very many, those with the lowest recall."""
    if len(per_class) <= MOST_CLASSES:
        return list(per_class.items())
    known = [(name, score) for name, score in per_class.items() if is_number(score.get("recall"))]
    return sorted(known, key=lambda item: item[1]["recall"])[:MOST_CLASSES]


def _row(label: str, score: dict[str, Any], limits: dict[str, Any]) -> ClassRow:
    recall, precision = score.get("recall"), score.get("precision")
    least = limits.get(label)
    asked = least if is_number(least) else None
    missed = asked is not None and (not is_number(recall) or recall < asked)
    return ClassRow(
        label=label,
        support=int(score.get("support") or 0),
        recall=figure(recall, "share"),
        recall_bar=bar(recall or 0, "missed" if missed else "ours", asked),
        limit="" if asked is None else f"at least {figure(asked, 'share')}",
        missed=missed,
        precision=figure(precision, "share"),
        precision_bar=bar(precision or 0, "second"),
    )


def _cells(index: int, row: list[int]) -> list[Cell]:
    total = max(1, sum(row))
    return [Cell(count, count / total, index == column) for column, count in enumerate(row)]


def _confusions(confusion: list[list[int]], classes: list[str]) -> list[Confusion]:
    found = [
        (count, i, j)
        for i, row in enumerate(confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return [
        Confusion(classes[i], classes[j], count, figure(count / sum(confusion[i]), "share"))
        for count, i, j in sorted(found, key=lambda item: (-item[0], item[1:]))[:MOST_CONFUSIONS]
    ]
