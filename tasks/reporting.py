"""report.html: one file in which a person who never saw the project sees what a run came to.

It opens from disk: no server, no script, no request. It is made from run.json and the tables beside
it, whatever the outcome; what the run did not reach is named and left out.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from backends.artifacts import Epoch
from backends.errors import InvalidInputError
from backends.files import replace_file
from tasks import charts
from tasks.outcome import (
    JudgedGate,
    NextStep,
    Phase,
    Record,
    headline,
    judged_gates,
    next_steps,
    phases,
    refused_first,
    why,
)
from tasks.report_accuracy import Accuracy, accuracy_of
from tasks.report_data import Data, data_of
from tasks.report_device import Costs, Device, costs_of, device_of
from tasks.report_lineage import Lineage, lineage_of
from tasks.run_tables import RunTables, Thumbnails, read_tables, thumbnails
from tasks.wording import MISSING, duration, figure, is_number

THUMBNAILS = 60
BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|(?:ms|MB|s|min)\b))")
TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure that a reader should see first."""

    name: str
    value: str
    beside: str


@dataclass(frozen=True, slots=True)
class Curve:
    chart: Markup
    epochs: tuple[Epoch, ...]
    speed: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that the template shows; a section is None where the run did not reach it."""

    run_id: str
    status: str
    started: str
    objective: str
    headline: str
    why: str
    steps: list[NextStep]
    phases: list[Phase]
    tiles: list[Tile]
    gates: list[JudgedGate]
    device: Device | None
    accuracy: Accuracy | None
    curve: Curve | None
    costs: Costs | None
    data: Data | None
    data_docs: str
    lineage: Lineage
    missing: list[str]


def write_report(run_folder: Path) -> Path:
    """Write report.html into the folder of a run, and return its path.

    Raises InvalidInputError: the folder has no run record, or an unreadable one.
    """
    record = _read_record(run_folder / "run.json")
    tables = read_tables(run_folder)
    root = str((record.get("data") or {}).get("root") or "")
    report = _report(record, run_folder, tables, thumbnails(tables, root, THUMBNAILS))
    page = run_folder / "report.html"
    text = page_environment().get_template("report.html.j2").render(report=report)
    replace_file(page, text.encode(errors="replace"))
    return page


def _read_record(path: Path) -> Record:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            str(path), f"no readable run record: {error}", "Run again."
        ) from error
    if not isinstance(record, dict) or "status" not in record:
        raise InvalidInputError(str(path), "not a run record", "Give the folder of a run.")
    return record


def _report(record: Record, folder: Path, tables: RunTables, thumbs: Thumbnails) -> Report:
    device = device_of(record, tables, thumbs)
    accuracy = accuracy_of(record, tables, thumbs)
    curve = _curve(record)
    costs = costs_of(record)
    data = data_of(record, tables, thumbs)
    gates = refused_first(judged_gates(record))
    sections = {
        "What the device saw": device,
        "Gates": gates,
        "Accuracy": accuracy,
        "Learning curve": curve,
        "Compiled against trained": costs,
        "Data": data,
    }
    return Report(
        run_id=str(record.get("run_id") or folder.name),
        status=str(record["status"]),
        started=_instant(record.get("started_at")),
        objective=str(record.get("objective") or ""),
        headline=headline(record),
        why=why(record),
        steps=next_steps(record),
        phases=phases(record),
        tiles=_tiles(record),
        gates=gates,
        device=device,
        accuracy=accuracy,
        curve=curve,
        costs=costs,
        data=data,
        data_docs=_data_docs(record, folder),
        lineage=lineage_of(record),
        missing=[name for name, section in sections.items() if not section],
    )


def _tiles(record: Record) -> list[Tile]:
    evaluation, verified = record.get("evaluation") or {}, record.get("verification") or {}
    latency = (verified.get("latency_ms") or {}).get("p95")
    top1 = evaluation.get("top1")
    shown = [
        (top1, "Right answers", figure(top1, "share"), "model.accuracy"),
        (latency, "Time a picture (p95)", figure(latency, "ms"), "compiled.latency"),
        *(
            (verified.get(key), name, figure(verified.get(key), "MB"), gate)
            for key, name, gate in (
                ("peak_rss_mb", "Peak memory", "compiled.memory"),
                ("package_mb", "Package", "compiled.size"),
            )
        ),
    ]
    limits = {
        gate.name: f"{gate.readings[0].limit} asked"
        for gate in judged_gates(record)
        if gate.readings and gate.readings[0].limit != MISSING
    }
    tiles = [
        Tile(name, text, limits.get(gate, ""))
        for value, name, text, gate in shown
        if is_number(value)
    ]
    seconds = _seconds(record)
    return [*tiles, Tile("The run took", duration(seconds), "")] if seconds else tiles


def _seconds(record: Record) -> float:
    """From start to end; of a run that does not say when it ended, the sum of its stages."""
    try:
        ended = datetime.fromisoformat(str(record.get("ended_at")))
        return (ended - datetime.fromisoformat(str(record.get("started_at")))).total_seconds()
    except (ValueError, TypeError):
        return sum(s for s in (record.get("stages") or {}).values() if is_number(s))


def _curve(record: Record) -> Curve | None:
    epochs = epochs_of(record)
    if not epochs:
        return None
    training = record.get("training") or {}
    speed = ""
    if is_number(training.get("seconds")):
        speed = f"{len(epochs)} epochs in {duration(training['seconds'])}"
    if is_number(training.get("images_per_second")):
        speed += f", {figure(training['images_per_second'])} pictures per second"
    return Curve(charts.learning_curve(epochs), epochs, speed)


def epochs_of(record: Record) -> tuple[Epoch, ...]:
    """The epochs of a training, as far as it came."""
    return tuple(Epoch(**_epoch(line)) for line in record.get("learning_curve") or [])


def _epoch(line: Record) -> dict[str, Any]:
    return {name: line.get(name) for name in Epoch.__dataclass_fields__}


def _data_docs(record: Record, folder: Path) -> str:
    """A link relative to the report; empty if the page is not there, or not in the run's folder."""
    given = str(record.get("data_docs") or "")
    target = folder / given
    inside = target.resolve().is_relative_to(folder.resolve())
    return quote(given) if given and inside and target.is_file() else ""


def _instant(given: Any) -> str:
    try:
        return f"{datetime.fromisoformat(str(given)):%d %B %Y, %H:%M} UTC"
    except ValueError:
        return str(given or "")


def _unbroken(value: Any) -> Any:
    """Keep a number and its unit on one line."""
    plain = isinstance(value, str) and not isinstance(value, Markup)
    return BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", value) if plain else value


def page_environment() -> Environment:
    """How all of our pages are made: escaped, strict, with figures in words."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_unbroken,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {"figure": figure, "duration": duration}
    environment.filters.update(filters)
    return environment
