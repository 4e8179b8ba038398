"""What each phase of a cycle leaves in Prefect's UI, made from the record as the report is.

A flow calls one of these as a phase has its figures, before a gate may stop it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tasks.artifacts import (
    as_cell,
    leave_markdown,
    leave_page,
    leave_table,
    markdown_table,
    tag_run,
)
from tasks.outcome import (
    JudgedGate,
    Record,
    headline,
    judged_gates,
    next_steps,
    phases,
    refused_first,
    thing_name,
    why,
)
from tasks.pictures import (
    Bar,
    bars,
    confusion_matrix,
    contact_sheet,
    histograms,
    learning_curve,
)
from tasks.recording import Run, read_record
from tasks.report_accuracy import accuracy_of
from tasks.report_data import Data, data_of
from tasks.report_device import costs_of, device_of
from tasks.reporting import epochs_of
from tasks.run_tables import read_tables, thumbnails
from tasks.wording import MISSING, count, duration, figure

if TYPE_CHECKING:
    from expectations.check import Check

SAMPLE_PICTURES = 28
MOST_BARS = 30
SAID = {
    "passed": "passed",
    "refused": "**REFUSED**",
    "not judged": "*not judged*",
    "overridden": "**overridden**",
}


def show_data(run: Run, checks: "Sequence[Check]") -> None:
    """The data report, and what Great Expectations decided."""
    record, tables = read_record(run), read_tables(run.folder)
    thumbs = thumbnails(tables, str((record.get("data") or {}).get("root") or ""), SAMPLE_PICTURES)
    if data := data_of(record, tables, thumbs):
        about = f"{count(data.images, 'picture')} of {count(len(data.balance), 'class')}"
        leave_markdown("data-report", _data_page(data), f"Data: {about} from {data.source}")
    leave_table("data-checks", [_check_row(check) for check in checks], _checks_about(checks))
    if docs := record.get("data_docs"):
        about = "The Data Docs of this run"
        leave_page("data-docs", run.home, run.folder / docs, "Data Docs", about)


def show_split(run: Run) -> None:
    """How the pictures were dealt out."""
    if not (split := read_record(run).get("split")):
        return
    parts = [("training", "train"), ("validation", "validation"), ("held out", "test")]
    rows = [{"part": name, "pictures": split[key]} for name, key in parts]
    classes = count(len(split["classes"]), "class")
    leave_table("split", rows, f"Split: {split['test']} pictures of {classes} are held out")


def show_training(run: Run) -> None:
    """The learning curve."""
    record = read_record(run)
    epochs = epochs_of(record)
    if not (curve := learning_curve(epochs)):
        return
    rows = [
        [
            str(epoch.epoch),
            figure(epoch.train_accuracy, "share"),
            figure(epoch.validation_accuracy, "share"),
            duration(epoch.seconds),
        ]
        for epoch in epochs
    ]
    names = ["Epoch", "Training", "Validation", "Took"]
    table = markdown_table(names, rows, right=("Epoch", "Training", "Validation", "Took"))
    took = duration((record.get("training") or {}).get("seconds"))
    last = figure(epochs[-1].validation_accuracy, "share")
    about = f"Training: {count(len(epochs), 'epoch')} in {took}, validation accuracy {last}"
    leave_markdown("learning-curve", f"{curve}\n\n{table}", about)


def show_accuracy(run: Run) -> None:
    """Recall per class, and what is taken for what."""
    record, tables = read_record(run), read_tables(run.folder)
    found = accuracy_of(record, tables, thumbnails(tables, "", 0))
    if found is None:
        return
    rows = [Bar(row.label, row.recall_bar, row.recall) for row in found.rows]
    table = markdown_table(
        ["Class", "Recall", "Asked", "Precision", "Pictures"],
        [
            [as_cell(row.label), row.recall, row.limit, row.precision, str(row.support)]
            for row in found.rows
        ],
        right=("Recall", "Precision", "Pictures"),
    )
    confusions = [
        f"- {as_cell(one.label)} taken for {as_cell(one.taken_for)}: {one.count} ({one.share})"
        for one in found.confusions[:5]
    ]
    page = [
        f"**{found.top1}** of {count(found.images, 'held-out picture')} are called rightly; "
        f"the right answer is among the first five for {found.top5}.",
        "### What is taken for what" if found.matrix else "",
        confusion_matrix(found.classes, found.matrix),
        "\n".join(confusions),
        "### Recall per class (the line: what the targets ask)",
        bars(rows, "Recall per class"),
        table,
    ]
    about = f"Accuracy: {found.top1} right on {count(found.images, 'held-out picture')}"
    leave_markdown("accuracy", _page(page), about)


def show_costs(run: Run) -> None:
    """What ships, against the model as it was trained."""
    costs = costs_of(read_record(run))
    if costs is None:
        return
    drawn = [
        bar
        for row in costs.rows
        for bar in (
            Bar(row.name, row.our_bar, row.ours),
            Bar("in MXNet", row.their_bar, row.theirs),
        )
    ]
    table = markdown_table(
        ["Cost", "Compiled", "MXNet", "So it is"],
        [[row.name, row.ours, row.theirs, row.verdict] for row in costs.rows],
        right=("Compiled", "MXNet"),
    )
    compared = (
        f"On {count(costs.images, 'picture')} in {as_cell(costs.runtime)}, the very package that "
        f"ships gives the same label as the trained model for **{costs.top1_agreement}**; "
        f"probabilities differ by at most {costs.max_abs_diff}."
    )
    said = compared if costs.executed else f"**Not executed**: {as_cell(costs.reason)}"
    page = [said, bars(drawn, "Costs of the compiled model and of the trained one"), table]
    leave_markdown("package-costs", _page(page), "Package: the compiled model against the trained")


def show_model(run: Run) -> None:
    """Tag the flow run with the version of its model."""
    tag_run(f"model:{read_record(run)['model_version']}")


def show_device(run: Run) -> None:
    """What the device answered first."""
    record = read_record(run)
    thing = thing_name(record)
    tables = read_tables(run.folder)
    root = str((record.get("data") or {}).get("root") or "")
    seen = device_of(record, tables, thumbnails(tables, root, SAMPLE_PICTURES))
    if seen is None:
        return
    names = ["Picture", "The device says", "Expected", "", "Took"]
    answers = [
        [
            f"![]({one.picture})" if one.picture else "",
            f"**{as_cell(one.label)}** {one.score}",
            as_cell(one.expected),
            "as expected" if one.agrees else "**DIFFERS**",
            one.latency,
        ]
        for one in seen.seen
    ]
    said = f"{seen.agreeing} of {count(seen.total, 'answer')} of {thing} as expected"
    leave_markdown(f"first-results-{thing}", markdown_table(names, answers), f"Device: {said}")


def show_decision(run: Run) -> None:
    """The gates, and the decision with its reason and what to do next; a run's last word."""
    record = read_record(run)
    gates = refused_first(judged_gates(record))
    leave_table("gates", [row for gate in gates for row in _gate_rows(gate)], _gates_about(gates))
    page = run.report.absolute()
    _show_deployment(record)
    leave_markdown("decision", _decision_page(record, gates, str(page)), headline(record))
    leave_page("run-report", run.home, page, "report.html", "The report of this run")
    tag_run(str(record["status"]))


def _show_deployment(record: Record) -> None:
    if not (deployment := record.get("deployment")):
        return
    thing, status = thing_name(record), str(deployment.get("status"))
    rows = [
        {"thing": thing, "deployment": status, "component": name, "version": version}
        for name, version in (deployment.get("components") or {}).items()
    ]
    leave_table(f"deployment-{thing}", rows, f"Deployment to {thing}: {status}")


def _data_page(data: Data) -> str:
    rows = [Bar(row.label, row.chart, f"{row.total:,}") for row in data.balance[:MOST_BARS]]
    findings = markdown_table(
        ["Found", ""], [[as_cell(one.name), as_cell(one.found)] for one in data.findings]
    )
    page = [
        "### Pictures per class",
        bars(rows, "Pictures per class"),
        "### How the pictures are",
        histograms(data.spreads, "Histograms of the image statistics, from 0 to 1"),
        "### Some of them" if data.samples else "",
        contact_sheet(data.samples),
        "### What was found" if data.findings else "",
        findings if data.findings else "",
    ]
    return _page(page)


def _check_row(check: "Check") -> dict[str, Any]:
    return {
        "table": check.table,
        "verdict": "noted" if check.informative else "passed" if check.passed else "**NOT PASSED**",
        "check": as_cell(check.description or check.name),
        "observed": "" if check.observed is None else as_cell(figure(check.observed)),
        "rows that break it": len(check.unexpected),
    }


def _checks_about(checks: "Sequence[Check]") -> str:
    judged = [check for check in checks if not check.informative]
    passed = sum(check.passed for check in judged)
    return f"Great Expectations: {passed} of {count(len(judged), 'check')} passed"


def _gate_rows(gate: JudgedGate) -> list[dict[str, Any]]:
    return [
        {
            "gate": gate.name,
            "verdict": SAID[gate.verdict],
            "measured": _reading(reading.of, reading.measured),
            "limit": "" if reading.limit == MISSING else as_cell(reading.limit),
            "reason": as_cell(gate.reason),
            "it asks": gate.asks,
        }
        for reading in gate.readings
    ]


def _reading(of: str, measured: str) -> str:
    return as_cell(f"{of}: {measured}" if of else measured)


def _gates_about(gates: Sequence[JudgedGate]) -> str:
    passed = sum(gate.verdict == "passed" for gate in gates)
    refusing = [gate.name for gate in gates if gate.verdict == "refused"]
    said = f"Gates: {passed} of {len(gates)} passed"
    return f"{said}, refused by {', '.join(refusing)}" if refusing else said


def _decision_page(record: Record, gates: Sequence[JudgedGate], report: str) -> str:
    steps = []
    for number, step in enumerate(next_steps(record), 1):
        steps.append(
            f"{number}. {as_cell(step.text)}{f': `{step.command}`' if step.command else ''}"
        )
    way = " → ".join(
        f"**{phase.name}**" if phase.progress == "stopped here" else phase.name
        for phase in phases(record)
        if phase.progress in ("done", "stopped here")
    )
    stopping = [
        f"- `{gate.name}` {SAID[gate.verdict]}: {as_cell(gate.reason)}"
        for gate in gates
        if gate.verdict != "passed"
    ]
    facts = {
        "Run": record.get("run_id"),
        "Data": (record.get("data") or {}).get("source"),
        "Fingerprint of the data": (record.get("data") or {}).get("fingerprint"),
        "Model version": record.get("model_version"),
        "Platform": record.get("platform"),
        "Thing": record.get("thing"),
        "Started": record.get("started_at"),
        "Ended": record.get("ended_at"),
    }
    page = [
        f"## {as_cell(headline(record))}",
        as_cell(why(record)),
        "### What to do now",
        "\n".join(steps),
        "### Gates that did not simply pass" if stopping else "",
        "\n".join(stopping),
        "### How far it came",
        way or "It ended before it had looked at the data.",
        markdown_table(
            ["Fact", ""], [[name, as_cell(str(value))] for name, value in facts.items() if value]
        ),
        f"The whole story: `{report}`",
    ]
    return _page(page)


def _page(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part)
