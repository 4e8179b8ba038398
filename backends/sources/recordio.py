"""RecordIO as SageMaker's image classification takes it, read without MXNet.

Format (dmlc-core recordio.h; mxnet recordio.py): records of magic, length with a part flag in its
upper three bits, data, padding to 4 bytes. An image record is IRHeader `<IfQQ`, then `flag` labels
where flag > 0, then an encoded picture.
"""

import hashlib
import shutil
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backends.artifacts import Pictures
from backends.errors import InvalidInputError
from backends.ports import Progress

_MAGIC = 0xCED7230A
_HEADER = struct.Struct("<IfQQ")
_FRAME = struct.Struct("<II")
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_MAX_RECORD = 256 * 2**20
_REMEDY = "Write it again with im2rec or mxnet.recordio."
_SUFFIXES = {
    b"\xff\xd8": ".jpg",
    b"\x89P": ".png",
    b"GI": ".gif",
    b"BM": ".bmp",
    b"RI": ".webp",
}


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One picture of a .rec file: where its record begins, its labels, its encoded bytes."""

    offset: int
    key: int
    labels: tuple[float, ...]
    picture: bytes


class RecordIOSource:
    """Writes the pictures of a .rec file to `<home>/sources/recordio-<digest>/<class>/`.

    Classes are called by their number, unless `synset.txt` or `classes.txt` beside the .rec names
    them, one a line. Where there is a .lst or .idx beside it, its number of rows must agree.
    """

    def __init__(self, home: Path, path: Path) -> None:
        self._home = home
        self._path = path

    def fetch(self, progress: Progress) -> Pictures:
        """Raises InvalidInputError with the offset of the record that is not as it should be."""
        path = self._record_file()
        names = _class_names(path.parent)
        root = self._home / "sources" / f"recordio-{_digest(path, names)}"
        if not root.is_dir():
            root.parent.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
            try:
                _write_pictures(path, names, unfinished, progress)
                unfinished.chmod(0o755)
                unfinished.replace(root)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        return Pictures(source=f"recordio:{self._path}", root=root)

    def _record_file(self) -> Path:
        path = self._path.expanduser()
        if path.is_dir():
            found = sorted(path.glob("*.rec"))
            if len(found) != 1:
                reason = f"it holds {len(found)} .rec files"
                raise InvalidInputError(str(path), reason, "Name one .rec file.")
            path = found[0]
        if not path.is_file():
            raise InvalidInputError(str(path), "there is no such file", "Give a .rec file.")
        return path


def read_images(path: Path) -> Iterator[ImageRecord]:
    """Yield the pictures of a .rec file in order. Raises InvalidInputError with the offset."""
    for offset, data in read_records(path):
        if len(data) < _HEADER.size:
            raise _bad(path, offset, f"has {len(data)} bytes, too few for an image header")
        flag, label, key, _ = _HEADER.unpack_from(data)
        start = _HEADER.size + 4 * flag
        if start > len(data):
            raise _bad(path, offset, f"says that it has {flag} labels, and ends before them")
        labels = struct.unpack_from(f"<{flag}f", data, _HEADER.size) if flag else (label,)
        yield ImageRecord(offset, key, labels, data[start:])


def read_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, data) of every record; parts of a split record are joined again."""
    with path.open("rb") as stream:
        parts: list[bytes] = []
        begin = 0
        while True:
            offset = stream.tell()
            part = _read_part(path, stream, offset)
            if part is None:
                break
            flag, data = part
            if (flag in (_WHOLE, _FIRST)) == bool(parts):
                raise _bad(path, offset, f"has part flag {flag} out of turn")
            begin = begin if parts else offset
            parts.append(data)
            if flag in (_WHOLE, _LAST):
                # The writer cut where the magic number stood in the data, and left it out.
                yield begin, struct.pack("<I", _MAGIC).join(parts)
                parts = []
        if parts:
            raise _bad(path, begin, "has no last part; the file is cut")


def _read_part(path: Path, stream: BinaryIO, offset: int) -> tuple[int, bytes] | None:
    frame = stream.read(_FRAME.size)
    if not frame:
        return None
    if len(frame) < _FRAME.size:
        raise _bad(path, offset, "ends in its header; the file is cut")
    magic, word = _FRAME.unpack(frame)
    if magic != _MAGIC:
        raise _bad(path, offset, f"begins with {magic:#010x} and not with {_MAGIC:#010x}")
    flag, length = word >> 29, word & (1 << 29) - 1
    if flag > _LAST:
        raise _bad(path, offset, f"has part flag {flag}")
    if length > _MAX_RECORD:
        raise _bad(path, offset, f"says that it has {length} bytes")
    data = stream.read(length)
    padding = -length % 4
    if len(data) < length or len(stream.read(padding)) < padding:
        raise _bad(path, offset, f"should have {length} bytes; the file is cut")
    return flag, data


def _write_pictures(path: Path, names: list[str], into: Path, progress: Progress) -> None:
    expected = _rows_beside(path)
    count = 0
    for count, image in enumerate(read_images(path), 1):
        folder = into / _class_of(path, image, names)
        folder.mkdir(exist_ok=True)
        suffix = _SUFFIXES.get(image.picture[:2], ".bin")
        (folder / f"{count - 1:07d}{suffix}").write_bytes(image.picture)
        progress(count, max(expected.values(), default=0))
    for name, rows in expected.items():
        if rows != count:
            reason = f"it lists {rows} records, and {path.name} holds {count}"
            raise InvalidInputError(str(path.with_name(name)), reason, _REMEDY)
    if not count:
        raise InvalidInputError(str(path), "it holds no records", _REMEDY)


def _class_of(path: Path, image: ImageRecord, names: list[str]) -> str:
    label = image.labels[0] if image.labels else -1.0
    if len(image.labels) != 1 or label < 0 or label != int(label):
        raise _bad(path, image.offset, f"has labels {image.labels}, not the number of one class")
    number = int(label)
    if not names:
        return str(number)
    if number >= len(names):
        raise _bad(path, image.offset, f"has class {number}, and {len(names)} classes have names")
    return names[number]


def _class_names(folder: Path) -> list[str]:
    for name in ("synset.txt", "classes.txt"):
        path = folder / name
        if path.is_file():
            names = path.read_text(encoding="utf-8").split("\n")
            names = [line.strip() for line in names if line.strip()]
            unfit = [n for n in names if "/" in n or "\0" in n or n.startswith(".")]
            if unfit or len(set(names)) < len(names):
                what = f"{unfit[0]!r} cannot name a folder" if unfit else "a name occurs twice"
                raise InvalidInputError(str(path), what, "Give one name a line.")
            return names
    return []


def _rows_beside(path: Path) -> dict[str, int]:
    found = {}
    for suffix in (".lst", ".idx"):
        beside = path.with_suffix(suffix)
        if beside.is_file():
            with beside.open("rb") as stream:
                found[beside.name] = sum(1 for line in stream if line.strip())
    return found


def _digest(path: Path, names: list[str]) -> str:
    facts = path.stat()
    text = f"1 {path.resolve()} {facts.st_size} {facts.st_mtime_ns} {names}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _bad(path: Path, offset: int, reason: str) -> InvalidInputError:
    return InvalidInputError(f"{path}, record at byte {offset}", f"it {reason}", _REMEDY)
