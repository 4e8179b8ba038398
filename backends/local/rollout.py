"""Who is notified when, and when to stop: a rollout's rules, with the time given and no clock.

The rules are those of AWS IoT jobs, which carry Greengrass's deployments. Things are notified one
after the other, evenly spaced, never a minute's worth at once: a bad version then meets as few
things as the rate allows before its first failures are known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from backends.deployment_terms import AbortConfig, RolloutConfig

MINUTE = 60.0
CATCH_UP_SECONDS = 1.0
"""What was not notified in time (the cloud side was away) is caught up with no more than this."""


class Status(StrEnum):
    """Of one thing in a deployment."""

    QUEUED = "QUEUED"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REJECTED = "REJECTED"
    TIMED_OUT = "TIMED_OUT"
    CANCELED = "CANCELED"


EXECUTED = (Status.SUCCEEDED, Status.FAILED, Status.REJECTED, Status.TIMED_OUT)
ENDED = (*EXECUTED, Status.CANCELED)


@dataclass(frozen=True, slots=True)
class Turn:
    """How many things may be notified now, and the earliest moment of the next one."""

    count: int
    next_at: float


def rate_per_minute(config: RolloutConfig, notified: int, succeeded: int) -> float | None:
    """Things a minute, after so many were notified and succeeded; None: no limit."""
    growing, limit = config.exponentialRate, config.maximumPerMinute
    if growing is None:
        return None if limit is None else float(limit)
    criteria = growing.rateIncreaseCriteria
    reached = (
        (notified, criteria.numberOfNotifiedThings),
        (succeeded, criteria.numberOfSucceededThings),
    )
    increases = max(things // every for things, every in reached if every)
    rate = float(growing.baseRatePerMinute)
    for _ in range(increases):
        if rate >= 1000:  # noqa: PLR2004 - the most that AWS notifies in a minute
            break
        rate *= growing.incrementFactor
    return min(rate, 1000.0 if limit is None else float(limit))


def turn(
    config: RolloutConfig, waiting: int, notified: int, succeeded: int, next_at: float, now: float
) -> Turn:
    """Whose turn it is at `now`, in seconds; `next_at` is what the last turn said (0: none yet)."""
    count = 0
    next_at = max(next_at, now - CATCH_UP_SECONDS) if next_at else now
    while count < waiting and next_at <= now:
        rate = rate_per_minute(config, notified + count, succeeded)
        if rate is None:
            return Turn(waiting, now)
        count += 1
        next_at += MINUTE / rate
    return Turn(count, next_at)


def reason_to_abort(config: AbortConfig | None, statuses: Iterable[Status]) -> str:
    """Why the rollout must stop; empty: it need not. Executed things are those that have ended."""
    executed = [status for status in statuses if status in EXECUTED]
    for criterion in config.criteriaList if config else ():
        kind = criterion.failureType
        failed = sum(
            status is not Status.SUCCEEDED if kind == "ALL" else status == kind
            for status in executed
        )
        enough = len(executed) >= criterion.minNumberOfExecutedThings
        if enough and failed and 100 * failed >= criterion.thresholdPercentage * len(executed):
            word = "did not succeed" if kind == "ALL" else kind
            return (
                f"{failed} of {len(executed)} executed things {word}; "
                f"the limit is {criterion.thresholdPercentage:g} %"
            )
    return ""


def counts(statuses: Mapping[str, Status]) -> dict[str, int]:
    """How many things are in each status that occurs."""
    found = {status.value: 0 for status in Status}
    for status in statuses.values():
        found[status] += 1
    return {name: number for name, number in found.items() if number}
