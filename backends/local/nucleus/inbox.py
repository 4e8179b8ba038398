"""The deployments that wait for the device: documents in folders, each answered beside it.

Those of the cloud arrive only while the device is connected to its broker; until then they are
QUEUED. Local ones are there at any time. All are taken in the order of their making.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from backends.local.files import read_json, write_json
from backends.local.nucleus.document import Document, Outcome, failed, read
from backends.local.nucleus.local_document import LocalDocument
from backends.local.nucleus.targets import Target

FINAL = ("SUCCEEDED", "FAILED", "REJECTED", "CANCELED")
_STATUS = ".status.json"

Waiting = tuple[Path, Document | LocalDocument]


class Inbox:
    """`components` tells what an answer says about the device's components."""

    def __init__(
        self, thing: str, cloud: Path, local: Path, components: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._thing = thing
        self._cloud = cloud
        self._local = local
        self._components = components
        self._ended: dict[Path, set[str]] = {}

    def next(self, connected: bool, applied: Mapping[str, Target]) -> Waiting | None:
        """The oldest deployment that waits.

        A newer deployment of its target, waiting or in `applied`, cancels one from the cloud.
        """
        waiting: list[Waiting] = list(self._waiting(self._local, LocalDocument))
        if connected:
            waiting += self._current(list(self._waiting(self._cloud, Document)), applied)
        return min(waiting, key=lambda entry: _age(entry[1]), default=None)

    def target_of(self, document: Document | LocalDocument) -> str:
        return document.target or f"thing/{self._thing}"

    def is_begun(self, document: Path) -> bool:
        return (read_json(_status_path(document)) or {}).get("status") == "IN_PROGRESS"

    def begin(self, path: Path, identifier: str) -> None:
        self._write(path, identifier, "IN_PROGRESS")

    def answer(self, path: Path, identifier: str, outcome: Outcome) -> None:
        self._write(path, identifier, outcome.status, outcome.detailed, outcome.reason)

    def _waiting[D: BaseModel](self, folder: Path, form: type[D]) -> Iterator[tuple[Path, D]]:
        """Documents without a final status."""
        ended = self._ended.setdefault(folder, set())
        if not folder.is_dir():
            return
        names = os.listdir(folder)  # noqa: PTH208 - often, and by many devices: no objects, please
        for name in sorted(set(names) - ended):
            if name.startswith(".") or not name.endswith(".json") or name.endswith(_STATUS):
                continue
            path = folder / name
            status = read_json(_status_path(path)) or {}
            if status.get("status") in FINAL:
                ended.add(name)
                continue
            try:
                yield path, read(path, form)
            except Exception as error:  # noqa: BLE001 - no document may keep the others waiting
                self.answer(path, path.stem, failed("FAILED_NO_STATE_CHANGE", str(error)))

    def _current(
        self, found: list[tuple[Path, Document]], applied: Mapping[str, Target]
    ) -> list[tuple[Path, Document]]:
        newest = {
            name: (target.created, target.revision, f"revision {target.revision}, which is applied")
            for name, target in applied.items()
        }
        for _, document in found:
            made = (document.creationTimestamp, document.revision, document.deploymentId)
            target = self.target_of(document)
            newest[target] = max(newest.get(target, made), made, key=lambda known: known[:2])
        current: list[tuple[Path, Document]] = []
        for path, document in found:
            *made_by, name = newest[self.target_of(document)]
            if [document.creationTimestamp, document.revision] < made_by:
                reason = f"superseded by {name}"
                self.answer(path, document.deploymentId, Outcome("CANCELED", "CANCELED", reason))
            else:
                current.append((path, document))
        return current

    def _write(
        self, path: Path, identifier: str, status: str, detailed: str = "", reason: str = ""
    ) -> None:
        answer = {
            "deploymentId": identifier,
            "thing": self._thing,
            "status": status,
            "detailedStatus": detailed,
            "reason": reason,
            "components": self._components(),
            "updatedAt": datetime.now(UTC).isoformat(),
        }
        write_json(_status_path(path), answer)


def _age(document: Document | LocalDocument) -> tuple[int, str]:
    return document.creationTimestamp, document.deploymentId


def _status_path(document: Path) -> Path:
    return document.with_name(document.stem + _STATUS)
