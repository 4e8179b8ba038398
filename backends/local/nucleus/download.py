"""Fetches one artifact: what was cut off goes on where it stopped, and its digest judges the whole.

What has arrived waits beside the artifact under a name that holds the digest it must have, so that
it is never taken for the beginning of something else.
"""

import base64
import hashlib
import os
import shutil
from pathlib import Path

from backends.local.nucleus.recipe import Artifact

_CHUNK = 1024 * 1024
_DIGEST = 44  # characters of a SHA-256 in base64


class PackageFault(Exception):  # noqa: N818 - the device's own word; errors.PackageError is the cloud's
    """An artifact or recipe that cannot be taken onto the device."""


def download(source: Path, target: Path, artifact: Artifact) -> None:
    """Replaces `target` by `source`, whole and checked.

    Raises PackageFault, and leaves nothing, when the digest is wrong. Raises OSError when it is cut
    off, or PackageFault when there is no room; what has arrived stays for the next attempt.
    """
    partial = target.with_name(f".{target.name}.{_label(artifact)}.part")
    _forget_others(target, None if artifact.digest == "" else partial)
    resumed = partial.exists()
    digest = _copy(source, partial, artifact.uri)
    if resumed and digest != artifact.digest:
        partial.unlink()
        digest = _copy(source, partial, artifact.uri)
    if artifact.digest and digest != artifact.digest:
        partial.unlink()
        raise PackageFault(
            f"{artifact.uri}: the digest is {digest}, and the recipe says {artifact.digest}"
        )
    partial.chmod(mode_of(artifact))
    partial.replace(target)


def check_room(folder: Path, size: int, what: str) -> None:
    """Raises PackageFault unless the disk of `folder` has room for `size` bytes."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise PackageFault(
            f"{what} needs {size} bytes more, and the disk of {folder} has {free} free: "
            "remove what is not needed there, and deploy again"
        )


def digest_of(path: Path) -> str:
    with path.open("rb") as content:
        return base64.b64encode(hashlib.file_digest(content, "sha256").digest()).decode()


def mode_of(artifact: Artifact) -> int:
    read = {"NONE": 0o600, "OWNER": 0o600, "ALL": 0o644}[artifact.read]
    return read | {"NONE": 0, "OWNER": 0o100, "ALL": 0o111}[artifact.execute]


def _forget_others(target: Path, partial: Path | None) -> None:
    """What arrived of this artifact and cannot be gone on with."""
    for path in target.parent.iterdir():
        begun = path.name.startswith(f".{target.name}.") and path.name.endswith(".part")
        if begun and path != partial:
            path.unlink()


def _label(artifact: Artifact) -> str:
    """The digest, as a file's name may have it; without one nothing can be resumed."""
    return artifact.digest.replace("/", "_")[:_DIGEST] or "unknown"


def _copy(source: Path, partial: Path, what: str) -> str:
    """Appends to `partial` what it lacks of `source`; the digest of the whole."""
    seen = hashlib.sha256()
    with source.open("rb") as content, partial.open("ab+") as sink:
        size = os.fstat(content.fileno()).st_size
        if sink.tell() > size:
            sink.truncate(0)
        check_room(partial.parent, size - sink.tell(), what)
        sink.seek(0)
        while chunk := sink.read(_CHUNK):
            seen.update(chunk)
        content.seek(sink.tell())
        while chunk := content.read(_CHUNK):
            seen.update(chunk)
            sink.write(chunk)
        sink.flush()
        os.fsync(sink.fileno())
    return base64.b64encode(seen.digest()).decode()
