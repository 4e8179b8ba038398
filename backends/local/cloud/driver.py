"""Carries deployments to their things: notifies in turn, hears the answers, stops what goes wrong.

All that it knows is on disk, so a rollout goes on where it was when the cloud side comes back. It
never ends: a thing that joins a group later gets the group's latest deployment.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from backends.local.deployment_document import withdraw
from backends.local.deployments import Deployments, DeploymentStatus, Execution, Progress, Record
from backends.local.files import read_json, write_json
from backends.local.groups import Groups
from backends.local.rollout import ENDED, Status, reason_to_abort, turn

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1


class RolloutDriver:
    """`step(now)` does what is due at `now` (seconds since 1970); `run` does so for ever."""

    def __init__(self, cloud: Path) -> None:
        self._deployments = Deployments(cloud / "fleet", cloud / "deployments")
        self._groups = Groups(cloud / "groups.json")
        self._index: dict[str, list[str]] = {}
        self._seen: tuple[int, ...] = ()
        self._records: dict[str, Record] = {}
        self._progress: dict[str, Progress] = {}
        self._faults: dict[str, str] = {}  # why a deployment waits

    async def run(self) -> None:
        said = ""
        while True:
            try:
                await asyncio.to_thread(self.step, time.time())
                said = ""
            except Exception as error:
                if said != str(error):
                    logger.exception("the rollouts wait")
                said = str(error)
            await asyncio.sleep(TICK_SECONDS)

    def step(self, now: float) -> None:
        self._look()
        groups = cache(self._groups.all)
        for target, identifiers in self._index.items():
            *former, latest = identifiers
            for identifier in former:
                self._advance_alone(identifier, lambda: None, now)
            self._advance_alone(latest, partial(_members, target, groups), now)

    def _advance_alone(
        self, identifier: str, members: Callable[[], Sequence[str] | None], now: float
    ) -> None:
        """One deployment's fault is no other's: it waits, says why, and is tried again."""
        try:
            self._take_up(identifier)
            self._advance(identifier, members(), now)
        except Exception as error:
            reason = f"it waits: {error}"
            if self._faults.get(identifier) != reason:
                logger.exception("%s waits", identifier)
                self._faults[identifier] = reason
                self._say(identifier, reason)
        else:
            if self._faults.pop(identifier, ""):
                logger.info("%s goes on", identifier)
                self._deployments.save(identifier, self._progress[identifier])

    def _take_up(self, identifier: str) -> None:
        if identifier in self._progress:
            return
        self._records[identifier] = self._deployments.record(identifier)
        progress = self._deployments.progress(identifier)
        if progress.status is DeploymentStatus.ACTIVE and progress.reason:  # it waited
            self._faults[identifier] = progress.reason
            progress = replace(progress, reason="")
        self._progress[identifier] = progress

    def _say(self, identifier: str, reason: str) -> None:
        """In its record, where it has one that can be read."""
        if progress := self._progress.get(identifier):
            with contextlib.suppress(OSError):
                self._deployments.save(identifier, replace(progress, reason=reason))

    def _look(self) -> None:
        """Sees which deployments there are, and lets go of forgotten ones."""
        changed = self._deployments.changed()
        if changed == self._seen:
            return
        self._index = {target: ids for target, ids in self._deployments.index().items() if ids}
        known = {identifier for ids in self._index.values() for identifier in ids}
        held: tuple[dict[str, Any], ...] = (self._records, self._progress, self._faults)
        for table in held:
            for identifier in table.keys() - known:
                del table[identifier]
        self._seen = changed

    def _advance(self, identifier: str, members: Sequence[str] | None, now: float) -> None:
        """`members` of its target; None for a deployment that a newer one has replaced."""
        record, before = self._records[identifier], self._progress[identifier]
        cancelled = self._deployments.is_cancelled(identifier)
        if _is_over(before, members, cancelled=cancelled):
            return
        progress = self._heard(record, before, now)
        if members is not None:
            progress = self._with_members(record, progress, members, now)
        reason = _reason_to_stop(record, progress, members, cancelled=cancelled)
        if reason is not None:
            progress = self._stopped(record, progress, reason, now)
        if progress.status is DeploymentStatus.ACTIVE:
            progress = _concluded(self._notified(record, progress, now))
        if progress != before:
            self._deployments.save(identifier, progress)
            self._progress[identifier] = progress
            if progress.status is not before.status:
                logger.info("%s: %s %s", identifier, progress.status, progress.reason)

    def _heard(self, record: Record, progress: Progress, now: float) -> Progress:
        """With what the devices have answered meanwhile, and what took them too long."""
        minutes = record.request.iotJobConfiguration.timeoutConfig.inProgressTimeoutInMinutes
        executions = dict(progress.executions)
        for thing, execution in progress.executions.items():
            if execution.has_ended or not execution.notified_at:
                continue
            answer = read_json(self._answer(record, thing, execution)) or {}
            heard = _with_answer(execution, answer, now)
            late = minutes is not None and now - heard.begun_at >= minutes * 60
            if heard.status is Status.IN_PROGRESS and late:
                heard = heard.ended(Status.TIMED_OUT, now, f"in progress for {minutes} minutes")
            executions[thing] = heard
        return replace(progress, executions=executions)

    def _with_members(
        self, record: Record, progress: Progress, members: Sequence[str], now: float
    ) -> Progress:
        """Who has joined is queued (again); who has left before its turn is let go."""
        if progress.status in (DeploymentStatus.CANCELED, DeploymentStatus.INACTIVE):
            return progress
        executions = dict(progress.executions)
        for thing, execution in progress.executions.items():
            if thing not in members and not execution.left:
                gone = self._withdrawn(record, thing, execution, "it left the group", now)
                executions[thing] = replace(gone, left=True)
        for thing in members:
            known = executions.get(thing)
            if known is None:
                executions[thing] = Execution()
            elif known.left:
                again = Execution(number=known.number + 1) if known.has_ended else known
                executions[thing] = replace(again, left=False)
        joined = any(not one.has_ended for one in executions.values())
        if joined and progress.status is not DeploymentStatus.ACTIVE:
            progress = replace(progress, status=DeploymentStatus.ACTIVE, reason="")
        return replace(progress, executions=executions)

    def _stopped(
        self, record: Record, progress: Progress, stop: tuple[DeploymentStatus, str], now: float
    ) -> Progress:
        """Without those that had not begun."""
        status, reason = stop
        executions = {
            thing: self._withdrawn(record, thing, execution, reason, now)
            for thing, execution in progress.executions.items()
        }
        return replace(progress, status=status, reason=reason, executions=executions)

    def _notified(self, record: Record, progress: Progress, now: float) -> Progress:
        """With documents for those whose turn it is."""
        waiting = [
            thing
            for thing, one in progress.executions.items()
            if one.status is Status.QUEUED and not one.notified_at and not one.left
        ]
        if not waiting:
            return progress
        statuses = list(progress.statuses().values())
        config = record.request.iotJobConfiguration.jobExecutionsRolloutConfig
        notified = sum(bool(one.notified_at) for one in progress.executions.values())
        succeeded = statuses.count(Status.SUCCEEDED)
        due = turn(config, len(waiting), notified, succeeded, progress.next_at, now)
        executions = dict(progress.executions)
        for thing in waiting[: due.count]:
            name = record.document_name(executions[thing].number)
            document = record.request.document(name, record.revision, record.created)
            write_json(self._deployments.document(thing, name), document)
            executions[thing] = replace(executions[thing], notified_at=now)
        return replace(progress, next_at=due.next_at, executions=executions)

    def _withdrawn(
        self, record: Record, thing: str, execution: Execution, reason: str, now: float
    ) -> Execution:
        """CANCELED, unless the device has begun: then it stays, and is heard to its end."""
        if execution.status is not Status.QUEUED:
            return execution
        name = record.document_name(execution.number)
        path = self._deployments.document(thing, name)
        if execution.notified_at and not withdraw(thing, path, reason):
            return execution
        return execution.ended(Status.CANCELED, now, reason)

    def _answer(self, record: Record, thing: str, execution: Execution) -> Path:
        name = record.document_name(execution.number)
        return self._deployments.document(thing, name).with_name(f"{name}.status.json")


def _members(target: str, groups: Callable[[], Mapping[str, Sequence[str]]]) -> Sequence[str]:
    kind, _, name = target.partition("/")
    return [name] if kind == "thing" else groups().get(name, [])


def _is_over(progress: Progress, members: Sequence[str] | None, *, cancelled: bool) -> bool:
    """Whether nothing can happen to it any more."""
    if any(not execution.has_ended for execution in progress.executions.values()):
        return False
    if progress.status is DeploymentStatus.CANCELED:
        return True
    if members is None:
        return progress.status is DeploymentStatus.INACTIVE
    here = {thing for thing, execution in progress.executions.items() if not execution.left}
    return progress.status is not DeploymentStatus.ACTIVE and not cancelled and here == set(members)


def _reason_to_stop(
    record: Record, progress: Progress, members: Sequence[str] | None, *, cancelled: bool
) -> tuple[DeploymentStatus, str] | None:
    """The status that it stops with, and why: aborted, cancelled, or replaced."""
    if progress.status in (DeploymentStatus.CANCELED, DeploymentStatus.INACTIVE):
        return progress.status, progress.reason
    if cancelled:
        return DeploymentStatus.CANCELED, "it was cancelled"
    abort = record.request.iotJobConfiguration.abortConfig
    if reason := reason_to_abort(abort, progress.statuses().values()):
        return DeploymentStatus.CANCELED, reason
    if members is None:
        return DeploymentStatus.INACTIVE, "a newer deployment has replaced it"
    return None


def _with_answer(execution: Execution, answer: Mapping[str, Any], now: float) -> Execution:
    status = answer.get("status")
    if status == Status.IN_PROGRESS and execution.status is Status.QUEUED:
        return replace(execution, status=Status.IN_PROGRESS, begun_at=now)
    if status in ENDED:
        reason, detailed = str(answer.get("reason", "")), str(answer.get("detailedStatus", ""))
        return execution.ended(Status(status), now, reason, detailed)
    return execution


def _concluded(progress: Progress) -> Progress:
    """COMPLETED (or FAILED, where it went wrong everywhere) once every thing has ended."""
    executions = progress.executions
    if not executions or any(not one.has_ended for one in executions.values()):
        return progress
    failures = {
        thing: one
        for thing, one in executions.items()
        if one.status not in (Status.SUCCEEDED, Status.CANCELED)
    }
    if not failures:
        return replace(progress, status=DeploymentStatus.COMPLETED, reason="")
    thing, first = next(iter(failures.items()))
    reason = f"{len(failures)} of {len(executions)} things failed; {thing}: {first.reason}"
    succeeded = any(one.status is Status.SUCCEEDED for one in executions.values())
    status = DeploymentStatus.COMPLETED if succeeded else DeploymentStatus.FAILED
    return replace(progress, status=status, reason=reason)
