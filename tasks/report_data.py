"""The report's data section: what came in, how it is spread, what was found in it."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tasks.charts import Segment, histogram, stacked_bar
from tasks.outcome import Record
from tasks.run_tables import (
    PARTS,
    RunTables,
    Thumbnails,
    class_counts,
    histograms,
    noticed,
    samples,
)
from tasks.wording import figure

SAMPLES = 28
MOST_PER_CLASS = 4
MOST_FINDINGS = 40
SHOWN_ABOVE = ("classes", "images")
MEANINGS = {
    "brightness": "0 is black, 1 is white",
    "contrast": "0 is one flat grey",
    "saturation": "0 is grey, 1 is pure colour",
    "sharpness": "0 is blurred",
    "entropy": "0 is an empty picture",
}


@dataclass(frozen=True, slots=True)
class Balance:
    label: str
    total: int
    parts: dict[str, int]
    chart: Markup


@dataclass(frozen=True, slots=True)
class Spread:
    feature: str
    meaning: str
    chart: Markup
    median: str


@dataclass(frozen=True, slots=True)
class Samples:
    label: str
    pictures: list[str]


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    found: str


@dataclass(frozen=True, slots=True)
class Data:
    source: str
    images: int
    classes: list[str]
    split: dict[str, int]
    balance: list[Balance]
    spreads: list[Spread]
    samples: list[Samples]
    findings: list[Finding]
    hidden_findings: int


def data_of(record: Record, tables: RunTables, thumbs: Thumbnails) -> Data | None:
    data = record.get("data") or {}
    findings = _findings(record.get("data_findings"), tables)
    classes = [str(name) for name in data.get("classes") or []]
    balance = _balance(tables, classes)
    if not (data.get("images") or findings or balance):
        return None
    split = record.get("split") or {}
    return Data(
        source=str(data.get("source") or ""),
        images=int(data.get("images") or 0),
        classes=classes,
        split={part: int(split[part]) for part in PARTS if split.get(part) is not None},
        balance=balance,
        spreads=[
            Spread(h.feature, MEANINGS[h.feature], histogram(h.counts, h.median), figure(h.median))
            for h in histograms(tables)
        ],
        samples=_samples([row.label for row in balance], tables, thumbs),
        findings=findings[:MOST_FINDINGS],
        hidden_findings=max(0, len(findings) - MOST_FINDINGS),
    )


def _balance(tables: RunTables, classes: list[str]) -> list[Balance]:
    """In the order of the record's classes; those that it does not know come last."""
    order = {label: place for place, label in enumerate(classes)}
    rows = sorted(class_counts(tables), key=lambda row: order.get(row.label, len(order)))
    largest = max((row.total for row in rows), default=1)
    return [
        Balance(
            row.label,
            row.total,
            row.parts,
            stacked_bar([Segment(n / largest, part) for part, n in row.parts.items()])
            if row.parts
            else stacked_bar([Segment(row.total / largest, "ours")]),
        )
        for row in rows
    ]


def _samples(labels: list[str], tables: RunTables, thumbs: Thumbnails) -> list[Samples]:
    """An equal number of pictures per class; with very many classes, of the first ones."""
    most = min(MOST_PER_CLASS, max(1, SAMPLES // max(1, len(labels))))
    found = []
    for label in labels[:SAMPLES]:
        pictures = [p for i in samples(tables, label, most) if (p := thumbs.of(i))]
        found += [Samples(label, pictures)] if pictures else []
    return found


def _findings(given: Any, tables: RunTables) -> list[Finding]:
    """What validation found; before it, what the manifest alone tells."""
    if isinstance(given, dict) and given:
        return _flat("", {name: value for name, value in given.items() if name not in SHOWN_ABOVE})
    return [Finding(name, figure(number)) for name, number in noticed(tables).items()]


def _flat(prefix: str, table: dict[str, Any]) -> list[Finding]:
    """Nested tables become one, with the way to a value as its name."""
    rows: list[Finding] = []
    for key, value in table.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, dict):
            rows += _flat(f"{name}: ", value)
        elif value not in (None, [], ""):
            rows.append(Finding(name, figure(value)))
    return rows
