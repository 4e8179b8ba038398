"""What a compiled model's folder weighs, and its digest: the same for every compiler."""

import hashlib
from pathlib import Path


def size_of(folder: Path) -> int:
    """Bytes of its files."""
    return sum(path.stat().st_size for path in _files(folder))


def digest_of(folder: Path) -> str:
    """SHA-256 over the files' names and contents."""
    whole = hashlib.sha256()
    for path in _files(folder):
        with path.open("rb") as content:
            whole.update(path.name.encode() + hashlib.file_digest(content, "sha256").digest())
    return whole.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())
