"""Where pictures come from: a folder that is watched, a single file, or a camera's command.

A camera gives encoded pictures (bytes); whether they can be read is for others to say, and they
tell the camera with `reject`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Protocol, Sequence, Set, Tuple

from edge.configuration import PICTURE_SUFFIXES, Configuration

MAX_NEW_PER_TICK = 1000
"""New pictures taken from a folder at one tick; the rest waits for the next one."""

MAX_PICTURE_BYTES = 64 * 1024 * 1024
COMMAND_SECONDS = 30.0

_SETTLED_SECONDS = 2.0
_POLL_SECONDS = 0.1
_ERROR_TAIL = 300

Signature = Tuple[int, int, int, int]


class CameraError(Exception):
    """No picture could be taken; the next tick may have one."""


@dataclass(frozen=True)
class Shot:
    """One encoded picture. `taken_at` is when this camera got hold of it (aware, UTC), `moment`
    the same in monotonic seconds, which do not jump.
    """

    name: str
    data: bytes
    taken_at: datetime
    moment: float = field(default_factory=time.monotonic, compare=False)


class Camera(Protocol):
    """Gives pictures, tick by tick."""

    def shots(self) -> Iterator[Shot]:
        """The pictures of one tick. Raises CameraError, also between two pictures."""
        ...

    def reject(self, shot: Shot) -> bool:
        """Hear that a picture could not be read; False: it may still be being written."""
        ...


def open_camera(configuration: Configuration, stopping: Callable[[], bool]) -> Camera:
    """The camera that a configuration asks for; `stopping` ends a command that still runs."""
    if configuration.use_camera:
        return CommandCamera(configuration.camera_command, stopping)
    if configuration.image_name:
        return FileCamera(Path(configuration.image_directory, configuration.image_name))
    if configuration.image_directory:
        return FolderCamera(Path(configuration.image_directory))
    return NoCamera()


class NoCamera:
    """What a configuration without any picture gives: nothing, and it says so."""

    def shots(self) -> Iterator[Shot]:
        raise CameraError("nothing to classify: set ImageDirectory, ImageName or UseCamera")

    def reject(self, shot: Shot) -> bool:
        return True


class FileCamera:
    """Reads the same file at every tick, as it then is."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def shots(self) -> Iterator[Shot]:
        yield _read(self._path)

    def reject(self, shot: Shot) -> bool:
        return not _is_young(self._path)


class FolderCamera:
    """Watches a folder with all that is in it.

    A tick gives every picture that is new or changed since it was last given, oldest first, at
    most MAX_NEW_PER_TICK of them. When none is new it gives one known picture, the next in the
    order of names, so that a device with a still folder keeps producing. A picture that was
    rejected is left out until the file changes. Files whose name starts with a dot, or has no
    picture's suffix, are passed over.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: Dict[Path, Signature] = {}
        self._rejected: Set[Path] = set()
        self._last: Optional[Path] = None

    def shots(self) -> Iterator[Shot]:
        found = self._scan()
        self._forget_all_but(found)
        new = sorted(
            (path for path, signature in found.items() if self._seen.get(path) != signature),
            key=lambda path: (found[path][1], path),
        )
        failures: List[CameraError] = []
        given = False
        for path in new[:MAX_NEW_PER_TICK]:
            shot = self._take(path, found[path], failures)
            if shot is not None:
                yield shot
                given = given or path in self._seen  # not if it was rejected for the moment
        for path in () if given else self._next_known():
            self._last = path
            shot = self._take(path, found[path], failures)
            if shot is not None:
                yield shot
        if failures:
            raise failures[-1]

    def reject(self, shot: Shot) -> bool:
        path = Path(shot.name)
        if _is_young(path):
            self._seen.pop(path, None)
            return False
        self._rejected.add(path)
        return True

    def _take(
        self, path: Path, signature: Signature, failures: List[CameraError]
    ) -> Optional[Shot]:
        """Read one file; a failure is noted, for the other files must not wait for this one."""
        try:
            shot = _read(path)
        except CameraError as error:
            failures.append(error)
            return None
        self._seen[path] = signature
        self._rejected.discard(path)
        return shot

    def _scan(self) -> Dict[Path, Signature]:
        if not self._folder.is_dir():
            raise CameraError(f"ImageDirectory {self._folder}: there is no such folder")
        found: Dict[Path, Signature] = {}
        for parent, folders, names in os.walk(self._folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in names:
                if name.startswith(".") or not name.lower().endswith(PICTURE_SUFFIXES):
                    continue
                path = Path(parent, name)
                try:
                    found[path] = _signature(path)
                except OSError:
                    continue  # gone in between, or a dangling link
        return found

    def _forget_all_but(self, found: Dict[Path, Signature]) -> None:
        for path in [path for path in self._seen if path not in found]:
            del self._seen[path]
            self._rejected.discard(path)

    def _next_known(self) -> List[Path]:
        usable = sorted(path for path in self._seen if path not in self._rejected)
        after = [path for path in usable if self._last is None or path > self._last]
        return (after or usable)[:1]


class CommandCamera:
    """Runs a command at every tick; what it writes to its standard output is the picture."""

    def __init__(
        self,
        command: Sequence[str],
        stopping: Callable[[], bool] = lambda: False,
        seconds: float = COMMAND_SECONDS,
    ) -> None:
        self._command = list(command)
        self._stopping = stopping
        self._seconds = seconds

    def shots(self) -> Iterator[Shot]:
        taken_at = datetime.now(timezone.utc)
        try:
            process = subprocess.Popen(  # noqa: S603  (the command is the owner's configuration)
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise CameraError(f"CameraCommand {self._command[0]}: {error.strerror}") from error
        try:
            output, errors = self._finish(process)
        finally:
            _end(process)
        if process.returncode != 0:
            tail = errors.decode(errors="replace").strip()[-_ERROR_TAIL:]
            raise CameraError(f"CameraCommand ended with status {process.returncode}: {tail}")
        yield Shot(self._command[0], output, taken_at)

    def reject(self, shot: Shot) -> bool:
        return True

    def _finish(self, process: subprocess.Popen[bytes]) -> Tuple[bytes, bytes]:
        deadline = time.monotonic() + self._seconds
        while True:
            try:
                return process.communicate(timeout=_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if self._stopping():
                    raise CameraError("CameraCommand was ended: the component stops") from None
                if time.monotonic() > deadline:
                    reason = f"CameraCommand took longer than {self._seconds:g} s"
                    raise CameraError(reason) from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command with whatever it started, and do not leave a zombie."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _read(path: Path) -> Shot:
    taken_at = datetime.now(timezone.utc)
    try:
        if path.stat().st_size > MAX_PICTURE_BYTES:
            raise CameraError(f"{path}: is larger than {MAX_PICTURE_BYTES} bytes")
        return Shot(str(path), path.read_bytes(), taken_at)
    except OSError as error:
        raise CameraError(f"{path}: {error.strerror}") from error


def _signature(path: Path) -> Signature:
    """What changes when a file does; the change time also tells of new permissions."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _is_young(path: Path) -> bool:
    """Whether a file was changed so lately that somebody may still be writing it."""
    try:
        age = time.time() - path.stat().st_mtime
    except OSError:
        return False
    return 0 <= age < _SETTLED_SECONDS
