"""Which model serves: the one that the pointer file names, changed without a pause.

The model component writes the pointer: the absolute folder, then its version, a line each. When it
changes, the new model is loaded and checked beside the old one, and takes over only if it is sound.
At a start, the model that served last stands in for one that is not.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from edge.classifier import Classifier
from edge.model_folder import ModelFolderError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Location:
    """What the pointer file says."""

    folder: Path
    version: str


def read_location(pointer: Path) -> Location:
    """Read the pointer file. Raises ModelFolderError."""
    try:
        lines = pointer.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = f"its location cannot be read, is the model component installed? {error}"
        raise ModelFolderError(str(pointer), reason) from error
    if len(lines) < 2 or not all(line.strip() for line in lines[:2]):  # noqa: PLR2004
        raise ModelFolderError(str(pointer), "its location must be a folder and a version, by line")
    return Location(Path(lines[0].strip()), lines[1].strip())


class Serving:
    """The model in use, and the one that wants to be."""

    def __init__(self, pointer: Path, memory: Path) -> None:
        """Load the first model; `memory` is where the last good one is noted,
        in the component's work folder.

        Raises ModelFolderError when neither can be served.
        """
        self._pointer = pointer
        self._memory = memory
        self._signature = sign(pointer)
        self.problem: Optional[str] = None
        """Why the newest model does not serve; None: it does."""
        self._location, self.classifier = self._first()

    @property
    def version(self) -> str:
        return self._location.version

    def refresh(self) -> bool:
        """Let a new model take over; True if it did. A bad one is logged once, the old goes on."""
        signature = sign(self._pointer)
        if signature is None or signature == self._signature:
            return False
        self._signature = signature
        try:
            location = read_location(self._pointer)
            if location == self._location:
                self.problem = None
                return False
            classifier = Classifier(location.folder, self._memory.parent)
        except ModelFolderError as error:
            self.problem = str(error)
            log.error("Model %s goes on serving: %s", self.version, error)  # noqa: TRY400
            return False
        log.info("Model %s takes over from %s", location.version, self.version)
        self.classifier, self._location, self.problem = classifier, location, None
        _remember(location, self._memory)
        return True

    def _first(self) -> Tuple[Location, Classifier]:
        try:
            location = read_location(self._pointer)
            classifier = Classifier(location.folder, self._memory.parent)
        except ModelFolderError as error:
            former = _recall(self._memory)
            if former is None:
                raise
            try:
                classifier = Classifier(former.folder, self._memory.parent)
            except ModelFolderError as gone:
                log.error("Nor can the last good model serve: %s", gone)  # noqa: TRY400
                raise error from gone
            self.problem = str(error)
            log.error("Model %s, the last good one, serves: %s", former.version, error)  # noqa: TRY400
            return former, classifier
        _remember(location, self._memory)
        return location, classifier


def sign(pointer: Path) -> Optional[Tuple[int, int, int]]:
    """What changes when a pointer file does; None where there is none."""
    try:
        status = pointer.stat()
    except OSError:  # between two versions of the model component there may be none
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _this_component() -> str:
    """Where this very version lies: its artifacts' folder bears the version."""
    return str(Path(__file__).resolve().parent)


def _remember(location: Location, memory: Path) -> None:
    """Note a model that serves; a disk that fails is no reason to stop."""
    noted = {
        "folder": str(location.folder),
        "version": location.version,
        "component": _this_component(),
    }
    temporary = memory.with_suffix(".new")
    try:
        temporary.write_text(json.dumps(noted), encoding="utf-8")
        temporary.replace(memory)
    except OSError as error:
        log.warning("The model that serves cannot be noted: %s", error)


def _recall(memory: Path) -> Optional[Location]:
    """The last good model, if this very version of the component served it.

    Another version starts in a deployment only. There, a broken model has to fail it: standing in
    would let it succeed, and the nucleus would then remove the model that stands in.
    """
    try:
        noted = json.loads(memory.read_bytes())
        if noted["component"] != _this_component():
            return None
        return Location(Path(noted["folder"]), noted["version"])
    except (OSError, ValueError, KeyError, TypeError):  # none, or damaged
        return None
