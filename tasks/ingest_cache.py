"""Rows of files that were already looked at, so that a second run does not decode them again.

One SQLite file per source root. It is a cache: a broken or foreign file is thrown away.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.manifest import PictureFile

VERSION = 3  # raise it when a row of the same file would look different


@contextlib.contextmanager
def open_cache(folder: Path, root: Path) -> Iterator["IngestCache"]:
    """Open the cache of a source root below `folder`; make a new one where it is broken."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(str(root).encode()).hexdigest()[:16]
    cache = IngestCache(_usable(folder / f"ingest-{name}.sqlite"))
    try:
        yield cache
    finally:
        cache.commit()  # each row holds for itself: an interrupted run keeps what it has seen
        cache.close()


class _DamagedError(Exception):
    """SQLite can open the file, and its pages do not fit together."""


class IngestCache:
    """Rows by path; a row counts as long as the file's size and modification time are the same."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def row(self, file: PictureFile) -> dict[str, Any] | None:
        found = self._connection.execute(
            "select row from rows where path = ? and size = ? and mtime_ns = ?",
            (file.path, file.size, file.mtime_ns),
        ).fetchone()
        return None if found is None else json.loads(found[0])

    def keep(self, file: PictureFile, row: dict[str, Any]) -> None:
        self._connection.execute(
            "insert or replace into rows values (?, ?, ?, ?)",
            (file.path, file.size, file.mtime_ns, json.dumps(row)),
        )

    def commit(self) -> None:
        self._connection.commit()

    def close(self) -> None:
        self._connection.close()


def _usable(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path)
    except (sqlite3.DatabaseError, _DamagedError):
        for leftover in path.parent.glob(f"{path.name}*"):
            leftover.unlink()
        return _connect(path)


def _check(connection: sqlite3.Connection) -> None:
    if connection.execute("pragma quick_check").fetchone() != ("ok",):
        raise _DamagedError


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30)
    try:
        connection.execute("pragma synchronous = off")  # a cache may be lost with the power
        _check(connection)
        if connection.execute("pragma user_version").fetchone() != (VERSION,):
            connection.execute("drop table if exists rows")
            connection.execute(f"pragma user_version = {VERSION:d}")
        connection.execute(
            "create table if not exists rows"
            " (path text primary key, size integer, mtime_ns integer, row text) without rowid"
        )
        connection.execute("select path, size, mtime_ns, row from rows limit 1").fetchall()
    except (sqlite3.DatabaseError, _DamagedError):
        connection.close()
        raise
    return connection
