"""What a person reads in the terminal when a run has ended: short, and the same in a pipe.

Words of our own are plain ASCII; what comes from elsewhere is made printable in the terminal's own
encoding, so that no class name can break the last thing a run does.
"""

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tasks.outcome import JudgedGate, Record, headline, judged_gates, next_steps, why
from tasks.report_device import costs_of, results_once
from tasks.wording import MISSING, figure, is_number

MOST_ROWS = 12
"""Longer tables are cut: the report and run.json have all."""
STYLES = {
    "deployed": "bold green",
    "packaged": "bold yellow",
    "open": "bold yellow",
    "waiting": "bold yellow",
    "refused": "bold yellow",
    "failed": "bold red",
    "rolled back": "bold red",
}
VERDICTS = {
    "passed": "green",
    "refused": "bold red",
    "not judged": "yellow",
    "overridden": "yellow",
}

Cell = str | Text
Justify = Literal["left", "right"]


def print_summary(record: Record, report: Path, console: Console) -> None:
    """Print the outcome, its figures, the report's path and the next steps on `console`."""
    summary = _Summary(console)
    console.print()
    summary.line(headline(record), STYLES.get(str(record["status"]), "bold"))
    summary.line(why(record))
    summary.accuracy(record)
    summary.gates(judged_gates(record))
    summary.costs(record)
    summary.seen(record)
    summary.steps(record)
    summary.heading("Report")
    console.print(summary.text(f"  {report}"), soft_wrap=True)  # unbroken: it is there to be copied


class _Summary:
    """The parts of a summary on one console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def text(self, value: str, style: str = "") -> Text:
        """A text that is no markup, and that this console can print."""
        encoding = self.console.encoding or "ascii"
        shown = "".join(sign if sign.isprintable() else "?" for sign in value)
        return Text(shown.encode(encoding, "replace").decode(encoding), style=style)

    def line(self, value: str, style: str = "") -> None:
        self.console.print(self.text(value, style), overflow="fold")

    def heading(self, value: str) -> None:
        self.console.print()
        self.line(value, "bold")

    def accuracy(self, record: Record) -> None:
        per_class = (record.get("evaluation") or {}).get("per_class") or {}
        if not per_class:
            return
        weakest = sorted(per_class.items(), key=lambda item: _recall(item[1]))
        shown = list(per_class.items()) if len(per_class) <= MOST_ROWS else weakest[:MOST_ROWS]
        self.heading("Accuracy per class")
        self.table(
            ["Class", "Recall", "Precision", "Pictures"],
            [
                [
                    name,
                    figure(score.get("recall"), "share"),
                    figure(score.get("precision"), "share"),
                    figure(score.get("support")),
                ]
                for name, score in shown
            ],
            right=(1, 2, 3),
        )
        self.more(len(per_class) - len(shown), "classes with a higher recall")

    def gates(self, gates: list[JudgedGate]) -> None:
        if not gates:
            return
        self.heading("Gates")
        rows: list[list[Cell]] = []
        for gate in gates:
            for number, reading in enumerate(gate.readings):
                of = f"{reading.of}: " if reading.of else ""
                first = number == 0
                rows.append(
                    [
                        gate.name if first else "",
                        self.text(gate.verdict, VERDICTS[gate.verdict]) if first else "",
                        f"{of}{reading.measured}",
                        _short(reading.limit),
                    ]
                )
        self.table(["Gate", "Verdict", "Measured", "Limit"], rows, whole=(0, 1))

    def costs(self, record: Record) -> None:
        costs = costs_of(record)
        if costs is None:
            return
        self.heading("What ships, against the trained model in MXNet")
        if not costs.executed:
            self.line(f"  not executed: {costs.reason or 'this machine cannot run it'}", "yellow")
        if costs.rows:
            self.table(
                ["Cost", "Compiled", "MXNet", "Ratio"],
                [[row.name, row.ours, row.theirs, row.verdict] for row in costs.rows],
                right=(1, 2),
            )

    def seen(self, record: Record) -> None:
        results = results_once(record)
        if not results:
            return
        self.heading("What the device just saw")
        self.table(
            ["Label", "Score", "Expected", "Agrees"],
            [
                [
                    str(result.get("label")),
                    figure(result.get("score"), "share"),
                    str(result.get("expected") or MISSING),
                    "yes" if result.get("agrees") else self.text("NO", "bold red"),
                ]
                for result in results[:MOST_ROWS]
            ],
            right=(1,),
        )
        self.more(len(results) - MOST_ROWS, "pictures")

    def steps(self, record: Record) -> None:
        self.heading("Next")
        for step in next_steps(record):
            text = self.text(f"{step.text}{':' if step.command else ''}")
            self.console.print(Padding(text, (0, 0, 0, 2), expand=False))
            if step.command:
                self.console.print(
                    self.text(f"    {_as_typed(step.command)}", "cyan"), soft_wrap=True
                )

    def table(
        self,
        names: list[str],
        rows: Iterable[list[Cell] | list[str]],
        right: tuple[int, ...] = (),
        whole: tuple[int, ...] = (),
    ) -> None:
        """Columns `right` are right-aligned; those in `whole` are never broken."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for index, name in enumerate(names):
            justify: Justify = "right" if index in right else "left"
            table.add_column(
                name,
                justify=justify,
                overflow="fold",
                no_wrap=index in whole,
                header_style="dim",
            )
        for row in rows:
            table.add_row(*(self.text(cell) if isinstance(cell, str) else cell for cell in row))
        self.console.print(Padding(table, (0, 0, 0, 2), expand=False))

    def more(self, number: int, noun: str) -> None:
        if number > 0:
            self.line(f"  and {number} more {noun}", "dim")


def _short(limit: str) -> str:
    if limit == MISSING:
        return ""
    return limit.replace("at least ", ">= ").replace("at most ", "<= ")


def _recall(score: Record) -> float:
    recall = score.get("recall")
    return recall if is_number(recall) else 1.0


def _as_typed(command: str) -> str:
    """The command as it works in this shell: where `edgeward` is not on PATH, its file."""
    program = Path(sys.executable).with_name("edgeward")
    if not command.startswith("edgeward ") or shutil.which("edgeward") or not program.exists():
        return command
    here = program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program
    return command.replace("edgeward", str(here), 1)
