"""report.html of a scope: what moved, how far, on which things, since when. It needs no server.

It is made from what is remembered, so that it can always be made again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from backends.files import replace_file
from tasks.charts import compared, time_line
from tasks.drift.alarms import Alarm, State
from tasks.drift.scopes import Scope, monitor_folder
from tasks.monitor_report import NEXT, MonitorReport
from tasks.reporting import page_environment
from tasks.run_tables import Thumbnails
from tasks.wording import count, figure

SAMPLES = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture that left its device because it may, with what the model said to it."""

    thing: str
    picture: Path
    label: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart with its name and its figures in words."""

    name: str
    words: str
    chart: Markup
    moved: bool


@dataclass(frozen=True, slots=True)
class Page:
    """All that the template shows."""

    scope: str
    status: str
    style: str
    headline: str
    reason: str
    next: str
    judged: str
    alarms: tuple[Alarm, ...]
    features: list[Drawn]
    labels: list[tuple[str, Markup, Markup, str, str]]
    regimes: str
    lines: list[Drawn]
    line_ends: tuple[str, str]
    samples: list[tuple[str, str, str, str]]
    checks: Sequence[Any]
    skipped: dict[str, int]
    docs: str


STYLES = {"ok": "deployed", "drift": "failed", "silent": "refused", "no baseline": "refused"}


def write_page(
    home: Path, scope: Scope, report: MonitorReport, state: State, samples: Sequence[Sample]
) -> Path:
    """Write `<home>/monitor/<scope>/report.html`, and return its path."""
    path = monitor_folder(home, scope) / "report.html"
    page = _page(report, state, samples)
    text = page_environment().get_template("drift.html.j2").render(page=page)
    replace_file(path, text.encode(errors="replace"))
    return path


def _page(report: MonitorReport, state: State, samples: Sequence[Sample]) -> Page:
    moved = {name for alarm in report.alarms for name in alarm.checks} | set(report.drifted)
    first, last = (state.history[0], state.history[-1]) if state.history else (None, None)
    since = f", from {when(report.since)} to {when(report.until)}" if report.since else ""
    pictures, windows = count(report.pictures, "picture"), count(report.windows, "window")
    return Page(
        scope=report.thing,
        status="alarm" if report.alarms and report.status != "drift" else report.status,
        style="failed" if report.alarms else STYLES.get(report.status, "open"),
        headline=_headline(report),
        reason=report.reason,
        next=NEXT["drift" if any(a.kind == "drift" for a in report.alarms) else report.status],
        judged=f"This look had {pictures} in {windows}{since}.",
        alarms=report.alarms,
        features=_features(state, moved),
        labels=_labels(state),
        regimes=", ".join(
            f"{share:.0%} {name}" for name, share in state.shapes.get("regimes", {}).items()
        ),
        lines=_lines(state, moved),
        line_ends=(when(first.start), when(last.end)) if first and last else ("", ""),
        samples=_pictures(samples),
        checks=sorted(report.checks, key=lambda check: check.passed is not False),
        skipped=dict(report.skipped),
        docs=Path(report.data_docs).parent.name + "/index.html" if report.data_docs else "",
    )


def when(instant: str) -> str:
    """An instant as people read it."""
    return f"{instant[:10]} {instant[11:16]} UTC" if instant else ""


def _headline(report: MonitorReport) -> str:
    if not report.alarms:
        return {
            "ok": f"{report.thing} sees what its model was trained on",
            "silent": f"{report.thing} says nothing",
            "no data": f"{report.thing} has reported too little to judge",
            "no baseline": f"{report.thing} runs a model without a baseline",
            "drift": f"{report.thing} has drifted",
        }[report.status]
    checks = [name for alarm in report.alarms for name in alarm.checks]
    since = min(alarm.since for alarm in report.alarms)
    names = ", ".join(checks[:3]) + (f" and {len(checks) - 3} more" if len(checks) > 3 else "")  # noqa: PLR2004
    return f"{report.thing} is in alarm since {when(since)}: {names}"


def _features(state: State, moved: set[str]) -> list[Drawn]:
    newest = state.history[-1].findings if state.history else ()
    says = {one.check: one.says for one in newest}
    drawn = []
    for name, held in state.shapes.get("features", {}).items():
        check = name if name == "confidence" else f"input.{name}"
        chart = compared(held["before"], held["now"])
        drawn.append(Drawn(name, says.get(check, ""), chart, check in moved))
    return sorted(drawn, key=lambda one: not one.moved)


def _labels(state: State) -> list[tuple[str, Markup, Markup, str, str]]:
    from tasks.charts import bar

    return [
        (label, bar(was, "theirs"), bar(now, "ours"), figure(was, "share"), figure(now, "share"))
        for label, (was, now) in state.shapes.get("labels", {}).items()
    ]


def _lines(state: State, moved: set[str]) -> list[Drawn]:
    """A line for each check, in limits: 1 is the limit."""
    names = dict.fromkeys(one.check for look in state.history for one in look.findings)
    drawn = []
    for name in names:
        points = [
            None if one is None else one.measured / one.limit if one.limit else one.measured
            for look in state.history
            for one in [next((f for f in look.findings if f.check == name), None)]
        ]
        known = [point for point in points if point is not None]
        most = max(known)
        words = f"now {known[-1]:.2g}, at most {most:.2g} of its limit"
        drawn.append(Drawn(name, words, time_line(points), name in moved or most > 1))
    return sorted(drawn, key=lambda one: not one.moved)


def _pictures(samples: Sequence[Sample]) -> list[tuple[str, str, str, str]]:
    """Data URI, thing, label and score of the newest ones."""
    newest = samples[-SAMPLES:][::-1]
    thumbs = Thumbnails(Path("/"), {str(one.picture): str(one.picture) for one in newest}, SAMPLES)
    return [
        (thumbs.of(str(one.picture)), one.thing, one.label, figure(one.score, "share"))
        for one in newest
    ]
