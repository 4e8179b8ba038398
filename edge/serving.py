"""Which model serves: the one that the pointer file names, changed without a pause.

The model component writes the pointer: the absolute folder, then its version, a line each. When it
changes, the new model is loaded and checked beside the old one, and takes over only if it is sound.
"""

from __future__ import annotations

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

    def __init__(self, pointer: Path) -> None:
        """Load the first model. Raises ModelFolderError."""
        self._pointer = pointer
        self._signature = self._sign()
        self._location = read_location(pointer)
        self.classifier = Classifier(self._location.folder)
        self.problem: Optional[str] = None
        """Why the newest model does not serve; None: it does."""

    @property
    def version(self) -> str:
        return self._location.version

    def refresh(self) -> bool:
        """Let a new model take over; True if it did. A bad one is logged once, the old goes on."""
        signature = self._sign()
        if signature is None or signature == self._signature:
            return False
        self._signature = signature
        try:
            location = read_location(self._pointer)
            if location == self._location:
                self.problem = None
                return False
            classifier = Classifier(location.folder)
        except ModelFolderError as error:
            self.problem = str(error)
            log.error("Model %s goes on serving: %s", self.version, error)  # noqa: TRY400
            return False
        log.info("Model %s takes over from %s", location.version, self.version)
        self.classifier, self._location, self.problem = classifier, location, None
        return True

    def _sign(self) -> Optional[Tuple[int, int, int]]:
        try:
            status = self._pointer.stat()
        except OSError:  # between two versions of the model component there may be none
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
