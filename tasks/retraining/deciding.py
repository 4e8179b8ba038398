"""Whether to train again: the guards of targets.toml's [retraining], each with its reason.

A decision is made before anything is begun, and is kept whatever it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from backends.sources.collected import Collected
from tasks.business_understanding import RetrainingTargets

Cause = Literal["drift", "labelled", "schedule", "person"]
WEEK = timedelta(days=7)
FAILED_TRIES = "failed-tries"


@dataclass(frozen=True, slots=True)
class Try:
    """A retraining that was decided for. `status` is its run's: deployed, refused, failed, …"""

    run_id: str
    begun_at: datetime
    episode: str
    champion: str
    batches: tuple[str, ...]
    status: str
    usd: float

    @property
    def failed(self) -> bool:
        """It ended, and the device runs what it ran before."""
        return self.status in ("refused", "failed")


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision rests on. `tries` are those of the thing, oldest first.

    `known` are the batches that the champion (a version of the registry) learnt from; `usd` is
    what a retraining is expected to cost.
    """

    now: datetime
    episode: str
    champion: str
    known: frozenset[str]
    collected: Collected
    tries: tuple[Try, ...]
    usd: float

    @property
    def batches(self) -> tuple[str, ...]:
        return tuple(sorted(self.collected.batches))

    @property
    def new_labels(self) -> int:
        """Labelled pictures that the champion does not know."""
        return self.collected.pictures(without=self.known)

    @property
    def failed(self) -> tuple[Try, ...]:
        """Tries of the episode that failed; without one, those since the last that was deployed."""
        if self.episode:
            mine = [one for one in self.tries if one.episode == self.episode]
        else:
            mine = []
            for one in self.tries:
                mine = [] if one.status == "deployed" else [*mine, one]
        return tuple(one for one in mine if one.failed)

    @property
    def this_week(self) -> tuple[Try, ...]:
        return tuple(one for one in self.tries if one.begun_at > self.now - WEEK)


@dataclass(frozen=True, slots=True)
class Guard:
    """One condition. `not_before`: when waiting alone will have met it (ISO 8601); else empty."""

    name: str
    passed: bool
    reason: str
    not_before: str = ""


def judge(situation: Situation, limits: RetrainingTargets) -> tuple[Guard, ...]:
    """Every guard, also those behind one that refuses."""
    return tuple(_guards(situation, limits))


def words(guards: Sequence[Guard]) -> str:
    """Why a retraining is or is not called for, in a sentence."""
    refusing = [guard.reason for guard in guards if not guard.passed]
    return "; ".join(refusing or [guard.reason for guard in guards])


def due(guards: Sequence[Guard]) -> str:
    """When to look again, where nothing but time is missing; else empty."""
    refusing = [guard for guard in guards if not guard.passed]
    if not refusing or any(not guard.not_before for guard in refusing):
        return ""
    return max(guard.not_before for guard in refusing)


def _guards(situation: Situation, limits: RetrainingTargets) -> Iterator[Guard]:
    yield _tries_left(situation, limits)
    yield _enough_labels(situation, limits)
    yield _not_tried(situation)
    yield _cooled_down(situation, limits)
    yield _tries_of_the_week(situation, limits)
    yield _budget(situation, limits)


def _tries_left(situation: Situation, limits: RetrainingTargets) -> Guard:
    failed, most = situation.failed, limits.max_failed_tries
    if len(failed) < most:
        reason = f"{len(failed)} of at most {most} tries have failed"
        return Guard(FAILED_TRIES, True, reason)
    runs = ", ".join(one.run_id for one in failed)
    reason = (
        f"{len(failed)} tries have failed ({runs}), and {most} are allowed: a person is needed. "
        "Read their reports; then `edgeward retrain --force REASON`, or mend data and run anew"
    )
    return Guard(FAILED_TRIES, False, reason)


def _enough_labels(situation: Situation, limits: RetrainingTargets) -> Guard:
    found, least = situation.new_labels, limits.min_new_labels
    aside = situation.collected.aside
    waits = ", ".join(
        f"{label} with {count} of {situation.collected.needed}" for label, count in aside.items()
    )
    reason = f"{found} newly labelled pictures, and {least} are needed"
    reason += f" (new classes that wait: {waits})" if aside else ""
    return Guard("labels", found >= least, reason)


def _not_tried(situation: Situation) -> Guard:
    for one in situation.tries:
        same = (one.champion, one.batches) == (situation.champion, situation.batches)
        if same and one.status == "refused":
            reason = f"run {one.run_id} tried just this and was refused; label more pictures"
            return Guard("something-new", False, reason)
    return Guard("something-new", True, "no try was refused with the same pictures")


def _cooled_down(situation: Situation, limits: RetrainingTargets) -> Guard:
    if not situation.tries or not limits.cool_down_hours:
        return Guard("cool-down", True, "no retraining came shortly before")
    last = max(one.begun_at for one in situation.tries)
    until = last + timedelta(hours=limits.cool_down_hours)
    hours = (situation.now - last).total_seconds() / 3600
    reason = f"the last retraining began {hours:.1f} hours ago, of {limits.cool_down_hours:g}"
    return Guard("cool-down", situation.now >= until, reason, until.isoformat())


def _tries_of_the_week(situation: Situation, limits: RetrainingTargets) -> Guard:
    tries, most = situation.this_week, limits.max_tries_per_week
    reason = f"{len(tries)} retrainings in seven days, of at most {most}"
    free = "" if len(tries) < most else (tries[-most].begun_at + WEEK).isoformat()
    return Guard("week", len(tries) < most, reason, free)


def _budget(situation: Situation, limits: RetrainingTargets) -> Guard:
    spent, most = sum(one.usd for one in situation.this_week), limits.max_usd_per_week
    passed = spent + situation.usd <= most
    reason = f"{spent:.2f} USD spent in seven days and {situation.usd:.2f} to come, of {most:g}"
    alone = situation.usd > most
    first = situation.this_week[0].begun_at + WEEK if situation.this_week else situation.now
    return Guard("budget", passed, reason, "" if passed or alone else first.isoformat())
