"""Monitoring (CRISP-DM 6): does the device still see what its model was trained on?"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from backends.ports import StatisticsStore
from edge.fields import read_instant
from edge.statistics import Summary
from tasks.device_comparison import MonitorLimits, measure
from tasks.drift.alarms import Change, Finding, Look, State, advance, read_state, write_state
from tasks.drift.baseline import Baseline, load_baseline
from tasks.drift.chunks import Chunk, chunked
from tasks.drift.messages import changed_messages
from tasks.drift.recent import either, recent, with_recent
from tasks.drift.scopes import Scope, cursors, monitor_folder, of_thing, read_scope
from tasks.drift.shapes import shapes
from tasks.monitor_report import MonitorCheck, MonitorReport, make_report, unjudged_version
from tasks.statistics_store import NewWindows, Window, advanced, read_cursor, write_cursor

if TYPE_CHECKING:
    from expectations.checks import Table

MOST_VERSIONS = 8
"""Of which the first latencies are remembered."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a look came to, what is to be remembered of it, and what is to be told."""

    report: MonitorReport
    state: State
    changes: tuple[Change, ...]


def read_unjudged(store: StatisticsStore, home: Path, scope: Scope) -> tuple[NewWindows, ...]:
    """What the things of a scope reported that it has not judged.

    A look that was cut off after it had counted windows is brought to its end here first.
    """
    judged = frozenset(read_state(home, scope).judged)
    found = read_scope(store, home, scope)
    if not any(_counted(one, judged) for one in found):
        return found
    for one in found:
        done = {window.summary.model_version for window in _counted(one, judged)}
        settled = replace(
            one,
            windows=tuple(
                window
                for window in one.windows
                if window.key.hex() in judged or window.summary.model_version not in done
            ),
            skipped_keys={key: at for key, at in one.skipped_keys.items() if key.hex() in judged},
        )
        _move_cursor(cursors(home, scope), settled, frozenset(done))
    return read_scope(store, home, scope)


def judge(
    home: Path,
    scope: Scope,
    found: Sequence[NewWindows],
    limits: MonitorLimits,
    messages: Sequence[Finding] = (),
    scopes: int = 1,
) -> Judgement:
    """Compare windows with their model versions' baselines; only Data Docs are written.

    `messages` are findings about what arrived, or did not; `scopes` is how many things and groups
    are looked at in the same way.
    """
    state = read_state(home, scope)
    reporting = sum(1 for one in found if one.windows)
    chunks = chunked(found, limits.min_samples * max(1, reporting))
    known = _baselines(home, chunks)
    looks: list[Look] = []
    unjudged: list[MonitorCheck] = []
    for chunk in chunks:
        before = known[chunk.model_version]
        if before is None or chunk.evidence < limits.min_samples:
            unjudged.append(_unjudged(chunk, before, limits))
            continue
        look, state = look_at_chunk(
            state, chunk, before, limits, latency=scope.kind == "thing", scopes=scopes
        )
        looks.append(look)
    about = (*changed_messages(found), *messages)
    if about:
        looks.append(_look_at_messages(state, scope, about))
    checks, docs = _decide(home, scope, looks, chunks, known) if looks else ((), "")
    changes: list[Change] = []
    for look in looks:
        state, told = advance(state, look, limits.quiet_looks)
        changes += told
    done = {look.model_version for look in looks}
    state = replace(_heard(state, found), judged=tuple(_keys(found, done)))
    unique = dict.fromkeys((*checks, *unjudged))
    return Judgement(make_report(scope, found, tuple(unique), state, docs), state, tuple(changes))


def look_at_chunk(
    state: State,
    chunk: Chunk,
    before: Baseline,
    limits: MonitorLimits,
    *,
    latency: bool,
    scopes: int,
) -> tuple[Look, State]:
    """What a chunk comes to, alone and with the last ones, and the state that remembers it.

    `latency`: whether it is all one device's, so that it can be held against its first latencies.
    """
    first = state.latency.get(chunk.model_version, ()) if latency else ()
    learned = sum(first) >= limits.min_samples
    compare = partial(
        measure, before, limits=limits, latency=first if learned else (), scopes=scopes
    )
    lately = recent(state, chunk.summary)
    findings = either(compare(chunk.summary), compare(lately) if lately else ())
    return _look(chunk, findings), _remembering(state, chunk, before, learn=not learned)


def judge_windows(home: Path, found: NewWindows, limits: MonitorLimits) -> MonitorReport:
    """What `judge` finds out about one thing."""
    return judge(home, of_thing(found.thing), (found,), limits).report


def remember(home: Path, scope: Scope, found: Sequence[NewWindows], judgement: Judgement) -> None:
    """Remember a look: the state first, which names what it counted, then the cursors."""
    write_state(home, scope, judgement.state)
    for one in found:
        remember_judged(cursors(home, scope), one, judgement.report)


def remember_judged(home: Path, found: NewWindows, report: MonitorReport) -> None:
    """Move the thing's cursor past what the report judged.

    Windows that could not be judged (too few pictures, no baseline) are read again next time.
    """
    judged = frozenset(check.model_version for check in report.checks if check.passed is not None)
    _move_cursor(home, found, judged)


@task(cache_policy=NO_CACHE, task_run_name="read windows of {scope}")
def read_windows(store: StatisticsStore, home: Path, scope: Scope) -> tuple[NewWindows, ...]:
    """Read what was reported since the last run."""
    found = read_unjudged(store, home, scope)
    for one in found:
        for reason, count in one.skipped.items():
            get_run_logger().warning("%s: %d skipped: %s", one.thing, count, reason)
    return found


@task(cache_policy=NO_CACHE, task_run_name="check windows")
def check_windows(
    home: Path,
    scope: Scope,
    found: Sequence[NewWindows],
    limits: MonitorLimits,
    messages: Sequence[Finding],
    scopes: int,
) -> Judgement:
    """Compare what was reported with the baselines."""
    judgement = judge(home, scope, found, limits, messages, scopes)
    get_run_logger().info("%s: %s: %s", scope, judgement.report.status, judgement.report.reason)
    return judgement


@task(cache_policy=NO_CACHE, task_run_name="remember windows")
def remember_windows(
    home: Path, scope: Scope, found: Sequence[NewWindows], judgement: Judgement
) -> None:
    """Remember what was judged."""
    remember(home, scope, found, judgement)


def _counted(found: NewWindows, judged: frozenset[str]) -> list[Window]:
    """Windows that the last look counted, although the cursor does not know it."""
    return [window for window in found.windows if window.key.hex() in judged]


def _keys(found: Sequence[NewWindows], model_versions: Set[str]) -> Iterator[str]:
    """What names everything that a look has counted."""
    for one in found:
        yield from (
            window.key.hex()
            for window in one.windows
            if window.summary.model_version in model_versions
        )
        yield from (key.hex() for key in one.skipped_keys)


def _move_cursor(home: Path, found: NewWindows, model_versions: frozenset[str]) -> None:
    cursor = advanced(read_cursor(home, found.thing), found, model_versions)
    write_cursor(home, found.thing, cursor)


def _baselines(home: Path, chunks: Sequence[Chunk]) -> dict[str, Baseline | None]:
    versions = dict.fromkeys(chunk.model_version for chunk in chunks)
    return {version: load_baseline(home / "baselines", version) for version in versions}


def _unjudged(chunk: Chunk, before: Baseline | None, limits: MonitorLimits) -> MonitorCheck:
    why = "no baseline: none was written for this version"
    if before is not None:
        different = chunk.summary.distinct
        why = f"too few different pictures: {different}, and {limits.min_samples} are needed"
    return unjudged_version(chunk.model_version, why)


def _look(chunk: Chunk, findings: tuple[Finding, ...]) -> Look:
    seen = chunk.summary
    pictures = seen.count + seen.unreadable
    version = chunk.model_version
    return Look(seen.start, seen.end, version, pictures, chunk.things, findings)


def _look_at_messages(state: State, scope: Scope, findings: tuple[Finding, ...]) -> Look:
    now = read_instant(datetime.now(UTC).isoformat(), "now")
    return Look(state.heard or now, now, "", 0, scope.things, findings)


def _remembering(state: State, chunk: Chunk, before: Baseline, learn: bool) -> State:
    """With what the chunk shows of the device's ways: its first latencies, when it was heard."""
    seen = chunk.summary
    latency = dict(state.latency)
    if learn:
        known = latency.pop(chunk.model_version, [0] * len(seen.latency_bins))
        both = zip(known, seen.latency_bins, strict=True)
        latency[chunk.model_version] = [one + other for one, other in both]
        latency = dict(list(latency.items())[-MOST_VERSIONS:])
    state = replace(state, latency=latency, shapes=shapes(before, seen))
    return with_recent(state, seen)


def _heard(state: State, found: Sequence[NewWindows]) -> State:
    """With the end of the newest window, and how long it took."""
    newest = max((w.summary for one in found for w in one.windows), key=_end, default=None)
    if newest is None or newest.end <= state.heard:
        return state
    took = datetime.fromisoformat(newest.end) - datetime.fromisoformat(newest.start)
    return replace(state, heard=newest.end, interval=took.total_seconds())


def _end(summary: Summary) -> str:
    return summary.end


def _decide(
    home: Path,
    scope: Scope,
    looks: Sequence[Look],
    chunks: Sequence[Chunk],
    known: Mapping[str, Baseline | None],
) -> tuple[tuple[MonitorCheck, ...], str]:
    """Let Great Expectations judge the looks; one table per model version."""
    from expectations.checks import run_checks

    docs = monitor_folder(home, scope) / "data-docs"
    checks, index = run_checks(_tables(looks, chunks, known), docs, f"What {scope} reported")
    decided = {(check.table, check.name): check.passed for check in checks if not check.informative}
    worst: dict[tuple[str, str], Finding] = {}
    for look in looks:
        for finding in look.findings:
            key = look.model_version, finding.check
            if key not in worst or _excess(finding) > _excess(worst[key]):
                worst[key] = finding
    return tuple(
        MonitorCheck(
            name=check,
            passed=decided[_table_name(version), check],
            measured=round(finding.measured, 4),
            limit=round(finding.limit, 4),
            reason=finding.says,
            model_version=version,
        )
        for (version, check), finding in worst.items()
    ), str(index)


def _excess(finding: Finding) -> float:
    return finding.measured - finding.limit


def _tables(
    looks: Sequence[Look], chunks: Sequence[Chunk], known: Mapping[str, Baseline | None]
) -> "list[Table]":
    import pandas as pd

    from expectations import device_windows
    from expectations.checks import Table

    seen = [
        {
            "window": f"{chunk.summary.start} to {chunk.summary.end}",
            "model_version": chunk.model_version,
            "pictures": chunk.summary.count,
            "unreadable": chunk.summary.unreadable,
        }
        for chunk in chunks
    ]
    versions = [version for version, baseline in known.items() if baseline]
    suite = device_windows.windows_suite(versions)
    tables = [Table("windows", pd.DataFrame(seen), suite, "window")] if seen else []
    for version in dict.fromkeys(look.model_version for look in looks):
        mine = pd.DataFrame(
            [
                {
                    "check": finding.check,
                    "window": f"{look.start} to {look.end}",
                    "measured": finding.measured,
                    "limit": finding.limit,
                    "says": finding.says,
                }
                for look in looks
                if look.model_version == version
                for finding in look.findings
            ]
        )
        suite = device_windows.suite(mine["check"].unique().tolist())
        suite.name = _table_name(version)
        tables.append(Table(suite.name, mine, suite, "says"))
    return tables


def _table_name(version: str) -> str:
    return f"model-{version}" if version else "messages"
