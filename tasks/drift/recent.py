"""The last few looks taken together: a small change that lasts shows in them, and in none alone."""

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce

from edge.statistics import Summary, merge
from tasks.drift.alarms import Finding, State

TOGETHER = 3
"""Looks that are judged as one, beside the newest alone."""
_VERSIONS = 4


def recent(state: State, now: Summary) -> Summary | None:
    """The newest chunk with the last ones of its version; None where it is the first."""
    before = [Summary.from_dict(one) for one in state.recent.get(now.model_version, ())]
    return reduce(merge, before, now) if before else None


def with_recent(state: State, now: Summary) -> State:
    """The state with one more chunk among the last ones of its version."""
    others = {name: kept for name, kept in state.recent.items() if name != now.model_version}
    mine = [*state.recent.get(now.model_version, ()), now.to_dict()][-(TOGETHER - 1) :]
    kept = {**others, now.model_version: mine}
    return replace(state, recent=dict(list(kept.items())[-_VERSIONS:]))


def either(alone: Iterable[Finding], together: Iterable[Finding]) -> tuple[Finding, ...]:
    """Of each check what the newest chunk shows, unless only the last few together show it."""
    lasting = {finding.check: finding for finding in together}
    return tuple(
        lasting[one.check] if not one.broken and _broken(lasting.get(one.check)) else one
        for one in alone
    )


def _broken(finding: Finding | None) -> bool:
    return finding is not None and finding.broken
