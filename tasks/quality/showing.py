"""What the watch over a new model leaves in Prefect's UI."""

from tasks.artifacts import as_cell, leave_markdown, markdown_table, tag_run
from tasks.quality.report import QualityReport
from tasks.wording import figure

VERDICTS = {True: "ok", False: "**CROSSED**", None: "*not judged*"}


def show_quality(report: QualityReport) -> None:
    """Leave the comparison of both models, and tag the flow run with what came of it."""
    about = f"New model on {report.thing}: {report.status}"
    leave_markdown(f"quality-{report.thing}", _page(report), about)
    tags = [f"model:{report.model_version}"] if report.model_version else []
    tag_run(f"thing:{report.thing}", report.status, *tags)


def _page(report: QualityReport) -> str:
    names = ["Check", "Verdict", "Before", "Now", "Moved", "Limit", "In words"]
    rows = [
        [
            f"`{check.name}`",
            VERDICTS[check.passed],
            figure(check.before),
            figure(check.after),
            figure(check.measured),
            figure(check.limit),
            as_cell(check.reason),
        ]
        for check in report.checks
    ]
    compared = (
        f"Model {as_cell(report.model_version)} against {as_cell(report.former_version)}, "
        f"watched from {report.since[:16]} to {report.until[:16]} UTC."
    )
    parts = [
        f"## {as_cell(f'{report.thing}: {report.status}')}",
        as_cell(report.reason),
        *([compared, markdown_table(names, rows)] if report.checks else []),
    ]
    return "\n\n".join(parts)
