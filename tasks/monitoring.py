"""Monitoring (CRISP-DM 6): does the device still see what its model was trained on?"""

from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from backends.ports import StatisticsStore
from edge.statistics import Summary, merge
from tasks.business_understanding import Targets
from tasks.device_comparison import MonitorLimits, measure
from tasks.drift.baseline import load_baseline
from tasks.monitor_report import MonitorCheck, MonitorReport, make_report, unjudged_version
from tasks.statistics_store import NewWindows, advanced, read_cursor, read_new_windows, write_cursor

if TYPE_CHECKING:
    from expectations.check import Check
    from expectations.checks import Table


def monitor_limits(targets: Targets) -> MonitorLimits:
    """The limits that a targets file sets; the others keep their defaults."""
    return MonitorLimits(max_psi=targets.drift.max_psi, min_samples=targets.drift.min_samples)


def judge_windows(home: Path, found: NewWindows, limits: MonitorLimits) -> MonitorReport:
    """Compare windows with their model versions' baselines; only Data Docs are written."""
    seen = _by_version(found)
    baselines = {version: load_baseline(home / "baselines", version) for version in seen}
    rows: list[dict[str, Any]] = []
    unjudged: list[MonitorCheck] = []
    for version, now in seen.items():
        before = baselines[version]
        if before is None:
            unjudged.append(
                unjudged_version(version, "no baseline: none was written for this version")
            )
        elif now.distinct + now.unreadable < limits.min_samples:
            few = f"too few different pictures: {now.distinct}, and {limits.min_samples} are needed"
            unjudged.append(unjudged_version(version, few))
        else:
            rows += [{"model_version": version, **row} for row in measure(before, now, limits)]
    checks: tuple[MonitorCheck, ...] = ()
    docs = ""
    if rows:
        known = [version for version, baseline in baselines.items() if baseline]
        folder = home / "monitor" / found.thing / "data-docs"
        checks, docs = _decide(rows, found, known, folder)
    return make_report(found, seen, (*checks, *unjudged), docs)


def remember_judged(home: Path, found: NewWindows, report: MonitorReport) -> None:
    """Move the thing's cursor past what the report judged.

    Windows that could not be judged (too few pictures, no baseline) are read again next time.
    """
    judged = frozenset(check.model_version for check in report.checks if check.passed is not None)
    cursor = advanced(read_cursor(home, found.thing), found, judged)
    write_cursor(home, found.thing, cursor)


@task(cache_policy=NO_CACHE, task_run_name="read windows of {thing}")
def read_windows(store: StatisticsStore, home: Path, thing: str) -> NewWindows:
    """Read what a thing reported since the last run."""
    found = read_new_windows(store, home, thing)
    for reason, count in found.skipped.items():
        get_run_logger().warning("%s: %d skipped: %s", thing, count, reason)
    return found


@task(cache_policy=NO_CACHE, task_run_name="check windows")
def check_windows(home: Path, found: NewWindows, limits: MonitorLimits) -> MonitorReport:
    """Compare what a thing reported with its baselines."""
    report = judge_windows(home, found, limits)
    get_run_logger().info("%s: %s: %s", report.thing, report.status, report.reason)
    return report


@task(cache_policy=NO_CACHE, task_run_name="remember windows")
def remember_windows(home: Path, found: NewWindows, report: MonitorReport) -> MonitorReport:
    """Remember what was judged; gives the report on."""
    remember_judged(home, found, report)
    return report


def _by_version(found: NewWindows) -> dict[str, Summary]:
    """Everything a thing reported, merged per model version, in order of arrival."""
    parts: dict[str, list[Summary]] = {}
    for window in found.windows:
        parts.setdefault(window.summary.model_version, []).append(window.summary)
    return {version: reduce(merge, windows) for version, windows in parts.items()}


def _decide(
    rows: Sequence[Mapping[str, Any]], found: NewWindows, known: Sequence[str], docs: Path
) -> tuple[tuple[MonitorCheck, ...], str]:
    """Let Great Expectations judge the rows; one table per model version."""
    from expectations.checks import run_checks

    tables = _tables(rows, found, known)
    checks, index = run_checks(tables, docs, f"What {found.thing} reported")
    decided = {(check.table, check.name): check for check in checks if not check.informative}
    return tuple(_checked(row, decided) for row in rows), str(index)


def _tables(
    rows: Sequence[Mapping[str, Any]], found: NewWindows, known: Sequence[str]
) -> "list[Table]":
    import pandas as pd

    from expectations import device_windows
    from expectations.checks import Table

    seen = pd.DataFrame(
        [
            {
                "window": f"{window.summary.start} to {window.summary.end}",
                "model_version": window.summary.model_version,
                "pictures": window.summary.count,
                "unreadable": window.summary.unreadable,
            }
            for window in found.windows
        ]
    )
    tables = [Table("windows", seen, device_windows.windows_suite(known), "window")]
    for version in dict.fromkeys(row["model_version"] for row in rows):
        mine = pd.DataFrame([row for row in rows if row["model_version"] == version])
        suite = device_windows.suite(mine["check"].tolist())
        suite.name = _table_name(version)
        tables.append(Table(suite.name, mine, suite, "says"))
    return tables


def _table_name(version: str) -> str:
    return f"model-{version}"


def _checked(row: Mapping[str, Any], decided: "Mapping[tuple[str, str], Check]") -> MonitorCheck:
    check = decided[_table_name(row["model_version"]), row["check"]]
    return MonitorCheck(
        name=row["check"],
        passed=check.passed,
        measured=round(row["measured"], 4),
        limit=round(row["limit"], 4),
        reason=row["says"],
        model_version=row["model_version"],
    )
