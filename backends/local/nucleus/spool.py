"""Messages to the broker wait here, on disk and in order, until the broker has them."""

import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

MAX_BYTES = 2_621_440  # the classic nucleus's default: 2.5 MB


@dataclass(frozen=True, slots=True)
class Spooled:
    number: int
    topic: str
    payload: bytes
    qos: int


class Spool:
    """A bounded queue: what does not fit drops the oldest, which is counted and logged."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS message (number INTEGER PRIMARY KEY AUTOINCREMENT,"
            " topic TEXT NOT NULL, payload BLOB NOT NULL, qos INTEGER NOT NULL)"
        )
        self._max_bytes = max_bytes
        self.dropped = 0
        (self._bytes,) = self._database.execute(
            "SELECT coalesce(sum(length(payload)), 0) FROM message"
        ).fetchone()

    def put(self, topic: str, payload: bytes, qos: int) -> None:
        """Raises ValueError for a message that could never fit."""
        if len(payload) > self._max_bytes:
            raise ValueError(
                f"a message of {len(payload)} bytes; the spool holds {self._max_bytes}"
            )
        while self._bytes + len(payload) > self._max_bytes:
            (oldest,) = self.oldest(1)
            self.remove(oldest)
            self.dropped += 1
            logger.warning("the spool is full: dropped a message to %s", oldest.topic)
        self._database.execute(
            "INSERT INTO message (topic, payload, qos) VALUES (?, ?, ?)", (topic, payload, qos)
        )
        self._bytes += len(payload)

    def oldest(self, count: int) -> list[Spooled]:
        rows = self._database.execute(
            "SELECT number, topic, payload, qos FROM message ORDER BY number LIMIT ?", (count,)
        )
        return [Spooled(*row) for row in rows]

    def remove(self, message: Spooled) -> None:
        gone = self._database.execute("DELETE FROM message WHERE number = ?", (message.number,))
        if gone.rowcount:
            self._bytes -= len(message.payload)

    def __len__(self) -> int:
        (count,) = self._database.execute("SELECT count(*) FROM message").fetchone()
        return int(count)

    def close(self) -> None:
        self._database.close()
