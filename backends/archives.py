"""Writes artifacts, and opens them as a Greengrass device would: what could hurt is refused."""

import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from backends.errors import PackageError

MAX_BYTES = 2 * 1024**3
"""Unpacked size that is refused; Greengrass takes 2 GB of artifacts for a component."""

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first moment that a ZIP can name
_MAGIC = (
    (b"\x1f\x8b", "a gzip file"),
    (b"PK", "a damaged ZIP"),
    (b"\x7fELF", "an ELF file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
)


def write_archive(package: Path, files: Iterable[tuple[str, Path]]) -> None:
    """Write a ZIP that depends on names and contents only: sorted, one time, one mode."""
    with tempfile.TemporaryDirectory(prefix=".packing-", dir=package.parent) as scratch:
        draft = Path(scratch) / package.name
        with zipfile.ZipFile(draft, "w") as archive:
            for name, path in sorted(files):
                entry = zipfile.ZipInfo(name, _EARLIEST)
                entry.external_attr = 0o100644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
        draft.replace(package)


def check_unarchive(path: Path, unarchive: str) -> None:
    """Raise PackageError when `path` is not what an artifact's `Unarchive` says (NONE or ZIP).

    Reads the whole archive: every file's checksum is compared, and names, links and the unpacked
    size are looked at before anything is written.
    """
    if unarchive != "ZIP":
        return
    if not zipfile.is_zipfile(path):
        raise PackageError(path.name, f"Unarchive says ZIP, but it is {_kind(path)}")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(path.name, archive)
            broken = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise PackageError(path.name, f"cannot be unpacked: {error}") from error
    if broken:
        raise PackageError(path.name, f"{broken!r} in it is damaged")


def unpack(path: Path, into: Path) -> Path:
    """Unpack a ZIP artifact into `<into>/<stem>`, as a nucleus does; that folder.

    Raises PackageError as check_unarchive does.
    """
    check_unarchive(path, "ZIP")
    folder = into / path.stem
    folder.mkdir(parents=True)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder


def _check_entries(name: str, archive: zipfile.ZipFile) -> None:
    seen, size = set(), 0
    for entry in archive.infolist():
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename:
            raise PackageError(name, f"{entry.filename!r} would lie outside of its folder")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise PackageError(name, f"{entry.filename!r} is a link")
        if entry.flag_bits & 1:
            raise PackageError(name, f"{entry.filename!r} is encrypted")
        if entry.filename in seen:
            raise PackageError(name, f"{entry.filename!r} is in it twice")
        seen.add(entry.filename)
        size += entry.file_size
    if not seen:
        raise PackageError(name, "is empty")
    if size > MAX_BYTES:
        raise PackageError(name, f"unpacks to {size} bytes, and {MAX_BYTES} are allowed")


def _kind(path: Path) -> str:
    with path.open("rb") as content:
        head = content.read(8)
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "no archive")
