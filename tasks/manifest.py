"""One row per picture file: the manifest's columns, and how a file becomes a row.

Nothing heavy is imported: every ingest worker loads this module.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from edge.pictures import (
    FEATURES,
    UnreadablePictureError,
    image_id,
    perceptual_hash,
    read_picture,
    statistics,
)

COLUMNS = {
    "image_id": "string",
    "path": "string",
    "label": "string",
    "format": "string",
    "mode": "string",
    "width": "int32",
    "height": "int32",
    "channels": "int32",
    "bytes": "int64",
    **dict.fromkeys(FEATURES, "float64"),
    "phash": "string",
    "orientation": "int32",
    "frames": "int32",
    "problem": "string",
    "handled": "string",
}
MAX_BYTES = 256 * 2**20  # a larger file is no photograph


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A file below the root of a source; `path` is relative to it, posix."""

    root: str
    path: str
    size: int
    mtime_ns: int

    @property
    def label(self) -> str:
        return self.path.partition("/")[0]


def class_names(root: Path) -> list[str]:
    """Name the class folders of a source, sorted; hidden folders are none."""
    return sorted(
        entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def picture_files(root: Path) -> Iterator[PictureFile]:
    """Yield every file below the class folders, sorted by path. Hidden files and folders are not.

    A file that vanishes or a link that leads nowhere has size -1 and becomes a row with a problem.
    """
    for label in class_names(root):
        yield from _walk(str(root), label)


def _walk(root: str, folder: str) -> Iterator[PictureFile]:
    with os.scandir(f"{root}/{folder}") as found:
        entries = [entry for entry in found if not entry.name.startswith(".")]
    # A folder sorts as its content does, so that the paths come out sorted as a whole.
    named = [(f"{e.name}/" if e.is_dir(follow_symlinks=False) else e.name, e) for e in entries]
    for name, entry in sorted(named, key=lambda pair: pair[0]):
        path = f"{folder}/{entry.name}"
        if name.endswith("/"):
            yield from _walk(root, path)
            continue
        try:
            facts = entry.stat()
        except OSError:
            yield PictureFile(root, path, -1, 0)
            continue
        yield PictureFile(root, path, facts.st_size, facts.st_mtime_ns)


def describe(file: PictureFile) -> dict[str, Any]:
    """Read a file once and make its row. Never raises for what is in the file."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row.update(path=file.path, label=file.label, bytes=max(file.size, 0), handled="")
    location = Path(file.root, file.path)
    try:
        if file.size > MAX_BYTES:
            with location.open("rb") as stream:
                name = hashlib.file_digest(stream, "sha256").hexdigest()
            return {**row, "image_id": name, "problem": "too-large"}
        data = location.read_bytes()
    except OSError:
        return {**row, "image_id": image_id(b""), "problem": "unreadable"}
    row.update(image_id=image_id(data), bytes=len(data))
    try:
        return {**row, **_look(data, location.suffix.lower())}
    except UnreadablePictureError as error:
        return {**row, "problem": error.problem}


def look_at(file: PictureFile) -> tuple[PictureFile, dict[str, Any]]:
    """Like `describe`, for workers: the file comes back with its row."""
    return file, describe(file)


def _look(data: bytes, suffix: str) -> dict[str, Any]:
    picture = read_picture(data)
    facts: dict[str, Any] = {
        "format": picture.format,
        "mode": picture.mode,
        "width": picture.width,
        "height": picture.height,
        "channels": picture.channels,
        "orientation": picture.orientation,
        "frames": picture.frames,
        "handled": ",".join(picture.handled),
    }
    if not _belongs(suffix, picture.format):
        return {**facts, "problem": "wrong-extension"}
    return {**facts, **statistics(picture), "phash": perceptual_hash(picture)}


def _belongs(suffix: str, kind: str) -> bool:
    named = Image.registered_extensions().get(suffix)
    return named == ("JPEG" if kind == "MPO" else kind)
