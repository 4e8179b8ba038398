"""An object store in a folder: `s3://<bucket>/<key>` is `<root>/<bucket>/<key>`."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath

from backends.errors import InvalidInputError

BUCKET = "edgeward"
_SCHEME = "s3://"


class LocalObjects:
    """Objects are written whole or not at all; an object that is there is replaced."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, source: Path, uri: str) -> str:
        """Store the file `source` as `uri`; its SHA-256 (hex) as stored."""
        path = self.path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".put-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as target, source.open("rb") as content:
                shutil.copyfileobj(content, target)
            digest = _sha256(Path(name))
            Path(name).chmod(0o644)  # mkstemp's 0600 would lock a device's user out
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return digest

    def get(self, uri: str, into: Path) -> Path:
        """Copy an object into the file `into`. Raises InvalidInputError when there is none."""
        path = self.path(uri)
        if not path.is_file():
            raise InvalidInputError(uri, "there is no such object", "Publish it first.")
        return Path(shutil.copyfile(path, into))

    def path(self, uri: str) -> Path:
        """Where the object lies. Raises InvalidInputError for anything but s3://bucket/key."""
        bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
        parts = PurePosixPath(key).parts
        wrong = not uri.startswith(_SCHEME) or not bucket or not parts or key.startswith("/")
        if wrong or bucket.startswith(".") or ".." in parts:
            raise InvalidInputError(uri, "is not s3://<bucket>/<key>", "Check the artifact's Uri.")
        return self._root.joinpath(bucket, *parts)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
