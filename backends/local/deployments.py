"""The cloud's records of deployments: what was asked, for which target, and how far it has got.

Each file has one writer. `<id>.json` (what was asked) is written once, by who asks; `<id>.cancel`
appears when somebody wants it stopped; `<id>.state.json` (how far it is) is the rollout driver's.
`targets.json` lists each target's deployments, oldest first: the last one is in force.
"""

import fcntl
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from backends.errors import InvalidInputError
from backends.local.deployment_request import DeploymentRequest
from backends.local.files import read_json, write_json
from backends.local.rollout import ENDED, Status, counts

KEPT = 20
"""Deployments that are remembered for each target."""


class DeploymentStatus(StrEnum):
    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"
    FAILED = "FAILED"
    INACTIVE = "INACTIVE"
    """A newer deployment to the same target has taken its place."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One thing in a deployment. Times are seconds since 1970; 0: not yet.

    `number` counts the documents that the thing was given: one that left its group and came back
    gets another. `left`: it is no member any more.
    """

    status: Status = Status.QUEUED
    notified_at: float = 0
    begun_at: float = 0
    ended_at: float = 0
    detailed_status: str = ""
    reason: str = ""
    number: int = 1
    left: bool = False

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def ended(self, status: Status, now: float, reason: str, detailed: str = "") -> "Execution":
        return replace(
            self,
            status=status,
            ended_at=now,
            reason=reason,
            detailed_status=detailed or status.value,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a deployment has got. `next_at` is the rollout's own; see rollout.Turn."""

    status: DeploymentStatus = DeploymentStatus.ACTIVE
    reason: str = ""
    next_at: float = 0
    executions: Mapping[str, Execution] = field(default_factory=dict)

    def statuses(self) -> dict[str, Status]:
        return {thing: execution.status for thing, execution in self.executions.items()}


@dataclass(frozen=True, slots=True)
class Record:
    """What was asked; `created` in milliseconds since 1970."""

    id: str
    revision: int
    created: int
    request: DeploymentRequest

    def document_name(self, number: int) -> str:
        return self.id if number == 1 else f"{self.id}-{number}"


class Deployments:
    """Of one cloud side; `folder` is its `fleet`, `documents` where things find theirs."""

    def __init__(self, folder: Path, documents: Path) -> None:
        self._folder = folder
        self._documents = documents
        self._index = folder / "targets.json"

    def create(self, request: DeploymentRequest) -> Record:
        """The target's next revision; the rollout driver takes it from here."""
        target = str(request.target)
        with self._locked():
            index = self.index()
            former = index.get(target, [])
            last = self.record(former[-1]) if former else None
            record = Record(
                str(uuid.uuid4()),
                last.revision + 1 if last else 1,
                max(round(time.time() * 1000), last.created + 1 if last else 0),
                request,
            )
            write_json(self._folder / f"{record.id}.json", _stored(record))
            kept = [*former, record.id][-KEPT:]
            write_json(self._index, {"targets": {**index, target: kept}})
        for identifier in [*former, record.id][:-KEPT]:
            self._forget(identifier)
        return record

    def index(self) -> dict[str, list[str]]:
        """Each target's deployments, oldest first. Raises InvalidInputError."""
        if not self._index.exists():
            return {}
        stored = (read_json(self._index) or {}).get("targets")
        if not isinstance(stored, dict) or not all(map(_are_ids, stored.values())):
            raise _damaged(self._index, 'it is not {"targets": {"TARGET": ["DEPLOYMENT", …]}}')
        return stored

    def changed(self) -> tuple[int, ...]:
        """Differs when there are other deployments than before."""
        try:
            found = self._index.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def record(self, identifier: str) -> Record:
        """Raises InvalidInputError when there is no such deployment."""
        stored = read_json(self._folder / f"{identifier}.json") if _is_id(identifier) else None
        if stored is None or "request" not in stored:
            remedy = "See `edgeward deployment list`."
            raise InvalidInputError(
                f"deployment {identifier}", "there is no such deployment", remedy
            )
        try:
            request = DeploymentRequest.model_validate(stored["request"])
            return Record(identifier, int(stored["revision"]), int(stored["created"]), request)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(self._folder / f"{identifier}.json", repr(error)) from error

    def progress(self, identifier: str) -> Progress:
        """Raises InvalidInputError when it is there, and cannot be read."""
        path = self._folder / f"{identifier}.state.json"
        if not path.exists():
            return Progress()
        try:
            return _progress(read_json(path) or {})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _damaged(path, repr(error)) from error

    def save(self, identifier: str, progress: Progress) -> None:
        """For the rollout driver alone."""
        executions = {thing: _as_table(one) for thing, one in progress.executions.items()}
        write_json(
            self._folder / f"{identifier}.state.json",
            {
                "status": progress.status,
                "reason": progress.reason,
                "next_at": progress.next_at,
                "executions": executions,
            },
        )

    def cancel(self, identifier: str) -> None:
        """What was not begun will not be; what was begun, ends properly."""
        self.record(identifier)
        (self._folder / f"{identifier}.cancel").touch()

    def is_cancelled(self, identifier: str) -> bool:
        return (self._folder / f"{identifier}.cancel").exists()

    def last_of(self, thing: str, targets: Sequence[str]) -> list[dict[str, str]]:
        """How `thing` has fared with the last deployment of each target that had any."""
        index = self.index()
        found = []
        for target in targets:
            if ids := index.get(target):
                execution = self.progress(ids[-1]).executions.get(thing, Execution())
                found.append(
                    {
                        "target": target,
                        "deploymentId": ids[-1],
                        "revisionId": str(self.record(ids[-1]).revision),
                        "status": execution.status.value,
                        "detailedStatus": execution.detailed_status,
                        "reason": execution.reason,
                    }
                )
        return found

    def document(self, thing: str, name: str) -> Path:
        """Where a thing finds a document; its answer is `<name>.status.json` beside it."""
        return self._documents / thing / f"{name}.json"

    def _forget(self, identifier: str) -> None:
        for thing, execution in self.progress(identifier).executions.items():
            for number in range(1, execution.number + 1):
                name = identifier if number == 1 else f"{identifier}-{number}"
                document = self.document(thing, name)
                document.unlink(missing_ok=True)
                document.with_name(f"{name}.status.json").unlink(missing_ok=True)
        for suffix in (".state.json", ".cancel", ".json"):
            (self._folder / f"{identifier}{suffix}").unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "targets.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def describe(record: Record, progress: Progress) -> dict[str, Any]:
    """For people and programs, in the API's words."""
    asked = record.request.model_dump(mode="json", exclude_none=True)
    return {
        "deploymentId": record.id,
        "revisionId": str(record.revision),
        "deploymentStatus": progress.status.value,
        "reason": progress.reason,
        "creationTimestamp": _moment(record.created / 1000),
        **asked,
        "counts": counts(progress.statuses()),
        "executions": {
            thing: {
                "status": execution.status.value,
                "detailedStatus": execution.detailed_status,
                "reason": execution.reason,
                "notifiedAt": _moment(execution.notified_at),
                "endedAt": _moment(execution.ended_at),
            }
            for thing, execution in sorted(progress.executions.items())
        },
    }


def _moment(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None


def _stored(record: Record) -> dict[str, Any]:
    request = record.request.model_dump(mode="json")
    return {"revision": record.revision, "created": record.created, "request": request}


def _as_table(execution: Execution) -> dict[str, Any]:
    return {name: getattr(execution, name) for name in Execution.__dataclass_fields__}


def _progress(stored: Mapping[str, Any]) -> Progress:
    return Progress(
        DeploymentStatus(stored["status"]),
        stored["reason"],
        stored["next_at"],
        {
            thing: Execution(**{**execution, "status": Status(execution["status"])})
            for thing, execution in stored["executions"].items()
        },
    )


def _damaged(path: Path, reason: str) -> InvalidInputError:
    return InvalidInputError(str(path), f"it is damaged: {reason}", "Mend it, or delete it.")


def _are_ids(identifiers: object) -> bool:
    return isinstance(identifiers, list) and all(isinstance(one, str) for one in identifiers)


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
