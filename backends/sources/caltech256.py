"""Caltech-256: 30,607 photographs of 256 things, as the institute publishes them.

G. Griffin, A. Holub, P. Perona: Caltech-256 object category dataset (2007). The folders are called
`NNN.class`; 257.clutter, whose pictures have nothing in common, is left out: a device can do
nothing with "anything else" that 256 other thresholds do not do better.
"""

import hashlib
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from backends.artifacts import Pictures
from backends.errors import InvalidInputError
from backends.ports import Progress
from backends.sources.downloading import Checksum, download

URL = "https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar"
CHECKSUM = Checksum("md5", "67b4f42ca05d46448c6bb8ecd2220f6d")
LEFT_OUT = "257.clutter"
MAX_FILES = 100_000
MAX_BYTES = 8 * 2**30


class Caltech256Source:
    """Downloads and unpacks to `<home>/sources/caltech256-<address>/<class>/`, once.

    Of another address no checksum is known: pass `checksum`, or None to do without.
    """

    def __init__(self, home: Path, url: str = URL, checksum: Checksum | None = None) -> None:
        self._home = home
        self._url = url
        self._checksum = CHECKSUM if url == URL else checksum

    def fetch(self, progress: Progress) -> Pictures:
        """Raises BackendUnavailableError (network), InvalidInputError (checksum, archive)."""
        name = f"caltech256-{hashlib.sha256(self._url.encode()).hexdigest()[:16]}"
        root = self._home / "sources" / name
        if not root.is_dir():
            root.parent.mkdir(parents=True, exist_ok=True)
            archive = root.with_name(f"{name}.tar")
            download(self._url, archive, self._checksum, progress)
            unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root.parent))
            try:
                unpack(archive, unfinished)
                unfinished.chmod(0o755)
                unfinished.replace(root)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
            archive.unlink()
        return Pictures(source="caltech256", root=root)


def unpack(
    archive: Path, into: Path, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES
) -> None:
    """Write the pictures of `NNN.class` folders to `<into>/<class>/`.

    Nothing else is taken: a link, a device or a path that leads outside is refused by name, and so
    is an archive of more than `max_files` files or `max_bytes` bytes. Raises InvalidInputError.
    """
    files = total = 0
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                _refuse_unsafe(archive, member)
                place = _place(member)
                if place is None:
                    continue
                files, total = files + 1, total + member.size
                if files > max_files or total > max_bytes:
                    reason = f"it holds more than {max_files} files or {max_bytes} bytes"
                    raise InvalidInputError(str(archive), reason, "Use the published archive.")
                _write(tar, member, into / place)
    except (tarfile.TarError, EOFError) as error:
        reason = f"it is no readable tar archive ({error})"
        raise InvalidInputError(str(archive), reason, "Delete it and try again.") from error
    if not files:
        reason = "it holds no folders named NNN.class"
        raise InvalidInputError(str(archive), reason, "Use the published archive.")


def _refuse_unsafe(archive: Path, member: tarfile.TarInfo) -> None:
    path = PurePosixPath(member.name)
    outside = path.is_absolute() or ".." in path.parts
    if outside or not (member.isfile() or member.isdir()):
        reason = f"{member.name!r} in it " + (
            "leads outside" if outside else "is neither a file nor a folder"
        )
        raise InvalidInputError(str(archive), reason, "Do not trust this archive.")


def _place(member: tarfile.TarInfo) -> str | None:
    """Where a picture goes, `<class>/<file>`; None for whatever is no picture of a class."""
    parts = PurePosixPath(member.name).parts
    if not member.isfile() or len(parts) < 2 or parts[-1].startswith("."):  # noqa: PLR2004
        return None
    number, dot, name = parts[-2].partition(".")
    if not (number.isdigit() and dot and name) or parts[-2] == LEFT_OUT:
        return None
    # The archive holds a stray folder of somebody's tools: greg/, and a file RENAME2.
    if not parts[-1].lower().endswith((".jpg", ".jpeg", ".png")):
        return None
    return f"{name}/{parts[-1]}"


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None
    target.parent.mkdir(exist_ok=True)
    with source, target.open("wb") as stream:
        shutil.copyfileobj(source, stream)
