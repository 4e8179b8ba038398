"""What the messages themselves say: whether their form changed, and whether they still come."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from backends.artifacts import Reporting
from tasks.business_understanding import DriftTargets
from tasks.drift.alarms import DRIFT, TROUBLE, Finding, State
from tasks.statistics_store import NewWindows

_CHANGED = (": lacks ", ": has an unknown field ", "version: must be ")
"""What a reader says of a message that has another form than it knows."""
SILENCE = "device.silence"
_NAMED = 5
_LEAST_INTERVAL = 60.0  # s: a heartbeat comes this often, whatever the windows


def changed_messages(found: Sequence[NewWindows]) -> Iterator[Finding]:
    """Messages whose fields, or whose version, are others than the reader knows."""
    reasons = {
        reason: count
        for one in found
        for reason, count in one.skipped.items()
        if any(mark in reason for mark in _CHANGED)
    }
    if found and any(one.windows or one.skipped for one in found):
        number = float(sum(reasons.values()))
        says = f"messages of another form: {'; '.join(sorted(reasons)[:3])}"
        says = says if reasons else "every message has the form that is known"
        yield Finding("messages.schema", "trouble", number, 0.0, number, says)


def known_to(state: State, reporting: Reporting) -> Reporting:
    """Where nobody says what to expect of a thing, its own windows do."""
    return (
        reporting
        if reporting.interval
        else replace(reporting, interval=state.interval, heard=max(state.heard, reporting.heard))
    )


def silence(reporting: Reporting, limits: DriftTargets, now: datetime) -> Iterator[Finding]:
    """How many of its intervals a thing has said nothing; no finding where none is expected."""
    last = max(reporting.heard, reporting.due)
    if not last or not reporting.interval:
        return
    seconds = (now - datetime.fromisoformat(last)).total_seconds()
    missed = max(0.0, seconds) / max(reporting.interval, _LEAST_INTERVAL)
    says = f"last heard {reporting.heard[:16]} UTC" if reporting.heard else "never heard"
    says = f"{says}; {reporting.problem}" if reporting.problem else says
    yield Finding(SILENCE, "trouble", missed, limits.silent_intervals, missed, says)


def things_at_once(states: Mapping[str, State], limits: DriftTargets) -> Iterator[Finding]:
    """How many things of a group drift, and how many are silent, at the same time."""
    drifting = [thing for thing, state in states.items() if "drift" in state.alarms]
    silent = [
        thing
        for thing, state in states.items()
        if "trouble" in state.alarms and SILENCE in state.alarms["trouble"].checks
    ]
    limit = limits.max_things_share
    for check, kind, word, which in (
        ("things.drifting", DRIFT, "drift", drifting),
        ("things.silent", TROUBLE, "are silent", silent),
    ):
        share = len(which) / len(states)
        names = f": {', '.join(sorted(which)[:_NAMED])}" if which else ""
        more = ", …" if len(which) > _NAMED else ""
        says = f"{len(which)} of {len(states)} things {word} at once{names}{more}"
        yield Finding(check, kind, share, limit, share, says)
