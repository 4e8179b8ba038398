"""Opens the archives that training and compilation jobs leave, which others may have written."""

import tarfile
import zlib
from pathlib import Path

from backends.archives import MAX_BYTES
from backends.errors import PackageError


def unpack_tar(path: Path, into: Path) -> Path:
    """Unpack a tar.gz into the folder `into`, which must not exist; that folder.

    Raises PackageError for what is damaged, too large, no plain file or folder, or would lie
    outside of `into`.
    """
    size = 0
    into.mkdir(parents=True)
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                size += member.size
                _check_member(path.name, member, size)
                archive.extract(member, into, set_attrs=False, filter="data")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise PackageError(path.name, f"cannot be unpacked: {error}") from error
    if not any(into.iterdir()):
        raise PackageError(path.name, "is empty")
    return into


def _check_member(name: str, member: tarfile.TarInfo, size: int) -> None:
    if not (member.isreg() or member.isdir()):
        raise PackageError(name, f"{member.name!r} is neither a file nor a folder")
    if size > MAX_BYTES:
        raise PackageError(name, f"unpacks to more than the {MAX_BYTES} bytes that are allowed")
