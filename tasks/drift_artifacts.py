"""What a look at a device or a group leaves in Prefect's UI: the drift report and its pages."""

from pathlib import Path

from tasks.artifacts import (
    as_cell,
    leave_markdown,
    leave_page,
    markdown_table,
    tag_run,
)
from tasks.charts import bar
from tasks.drift.alarms import Alarm
from tasks.monitor_report import NEXT, MonitorCheck, MonitorReport
from tasks.pictures import Bar, bars
from tasks.wording import count, figure

VERDICTS = {True: "ok", False: "**DRIFT**", None: "*not judged*"}


def show_drift(home: Path, report: MonitorReport) -> None:
    """Leave the report of a scope of this home, and tag the flow run with what it found."""
    of = f" in {', '.join(report.drifted)}" if report.drifted else ""
    about = f"Drift report of {report.thing}: {report.status}{of}"
    leave_markdown(f"drift-{report.thing}", _page(report), about)
    if report.data_docs:
        key, about = f"drift-docs-{report.thing}", "The Data Docs of this look"
        leave_page(key, home, Path(report.data_docs), "Data Docs", about)
    versions = dict.fromkeys(check.model_version for check in report.checks)
    tag_run(f"thing:{report.thing}", report.status, *(f"model:{one}" for one in versions if one))


def _page(report: MonitorReport) -> str:
    judged = [check for check in report.checks if check.measured is not None]
    rows = [
        [
            f"`{check.name}`",
            VERDICTS[check.passed],
            figure(check.measured),
            figure(check.limit),
            as_cell(check.reason),
            as_cell(check.model_version),
        ]
        for check in report.checks
    ]
    since = f", from {report.since[:16]} to {report.until[:16]} UTC" if report.since else ""
    parts = [
        f"## {as_cell(f'{report.thing}: {report.status}')}",
        as_cell(report.reason),
        f"**What to do now:** {NEXT[report.status]}",
        f"Judged on {count(report.pictures, 'picture')} in {count(report.windows, 'window')}"
        f"{as_cell(since)}.",
        *(_alarm(alarm) for alarm in report.alarms),
        bars([_bar(check) for check in judged], "How far each statistic moved") if judged else "",
        markdown_table(["Check", "Verdict", "Moved", "Limit", "In words", "Model"], rows)
        if rows
        else "",
        *(f"- skipped: {number} {as_cell(why)}" for why, number in report.skipped.items()),
        f"Histograms before and after, and the last looks: open `{report.page}` in a browser."
        if report.page
        else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _alarm(alarm: Alarm) -> str:
    """What lasts, since when, and on which things."""
    rows = [
        [f"`{name}`", f"{one.since[:16]} UTC", figure(one.measured), figure(one.limit)]
        for name, one in alarm.checks.items()
    ]
    where = as_cell(", ".join(alarm.things))
    title = f"### In alarm ({alarm.kind}, episode {alarm.episode}) on {where}"
    return f"{title}\n\n{markdown_table(['Check', 'Since', 'Moved', 'Limit'], rows)}"


def _bar(check: MonitorCheck) -> Bar:
    """Full width is twice the limit, so that the limit stands in the middle of each bar."""
    measured, limit = check.measured or 0.0, check.limit or 1.0
    kind = "missed" if check.passed is False else "ours"
    return Bar(check.name, bar(measured / limit / 2, kind, 0.5), figure(measured))
