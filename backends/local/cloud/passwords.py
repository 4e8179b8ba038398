"""Who may connect to the broker of this machine: a file of names and hashed random passwords."""

import fcntl
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends.local.files import read_json, write_json


class Passwords:
    """Passwords are 256 random bits, so a plain SHA-256 of them gives nothing away."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def issue(self, name: str) -> str:
        """A new password for `name`; the old one is worthless from now on."""
        password = secrets.token_urlsafe(32)
        with self._locked():
            hashes = read_json(self._path) or {}
            write_json(self._path, {**hashes, name: _hash(password)}, mode=0o600)
        return password

    def check(self, name: str, password: str) -> bool:
        known = (read_json(self._path) or {}).get(name)
        return isinstance(known, str) and hmac.compare_digest(known, _hash(password))

    def forget(self, name: str) -> None:
        with self._locked():
            hashes = read_json(self._path) or {}
            if hashes.pop(name, None) is not None:
                write_json(self._path, hashes, mode=0o600)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
