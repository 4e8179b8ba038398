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
    retain: bool


class Spool:
    """A bounded queue: what does not fit drops the oldest, which is counted and logged.

    The count is kept with the messages. A file that cannot be read is set aside.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._max_bytes = max_bytes
        self.dropped = 0
        try:
            self._open(path)
        except sqlite3.DatabaseError as error:
            logger.critical("the spool cannot be read and is set aside: %s", error)
            for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
                if file.exists():
                    file.replace(file.with_name(file.name + ".unreadable"))
            self._open(path)

    def _open(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        try:
            self._prepare()
        except sqlite3.DatabaseError:
            self._database.close()
            raise

    def _prepare(self) -> None:
        ask = self._database.execute
        ask("PRAGMA journal_mode = WAL")
        ask("PRAGMA synchronous = NORMAL")
        ask(
            "CREATE TABLE IF NOT EXISTS message (number INTEGER PRIMARY KEY AUTOINCREMENT,"
            " topic TEXT NOT NULL, payload BLOB NOT NULL, qos INTEGER NOT NULL,"
            " retain INTEGER NOT NULL DEFAULT 0)"
        )
        if "retain" not in {column[1] for column in ask("PRAGMA table_info(message)")}:
            ask("ALTER TABLE message ADD COLUMN retain INTEGER NOT NULL DEFAULT 0")
        ask("CREATE TABLE IF NOT EXISTS dropped (messages INTEGER NOT NULL)")
        ask("INSERT INTO dropped SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM dropped)")
        (self.dropped,) = ask("SELECT messages FROM dropped").fetchone()
        (self._bytes,) = ask("SELECT coalesce(sum(length(payload)), 0) FROM message").fetchone()

    def put(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        """Raises ValueError for a message that could never fit."""
        if len(payload) > self._max_bytes:
            raise ValueError(
                f"a message of {len(payload)} bytes; the spool holds {self._max_bytes}"
            )
        while self._bytes + len(payload) > self._max_bytes:
            self._drop_oldest()
        self._database.execute(
            "INSERT INTO message (topic, payload, qos, retain) VALUES (?, ?, ?, ?)",
            (topic, payload, qos, retain),
        )
        self._bytes += len(payload)

    def _drop_oldest(self) -> None:
        """The message goes and is counted, or neither."""
        (oldest,) = self.oldest(1)
        with self._database:
            self._database.execute("BEGIN")
            self._database.execute("UPDATE dropped SET messages = messages + 1")
            self._database.execute("DELETE FROM message WHERE number = ?", (oldest.number,))
        self._bytes -= len(oldest.payload)
        self.dropped += 1
        logger.warning("the spool is full: dropped a message to %s", oldest.topic)

    def oldest(self, count: int) -> list[Spooled]:
        rows = self._database.execute(
            "SELECT number, topic, payload, qos, retain FROM message ORDER BY number LIMIT ?",
            (count,),
        )
        return [Spooled(n, topic, data, qos, bool(retain)) for n, topic, data, qos, retain in rows]

    def remove(self, message: Spooled) -> None:
        gone = self._database.execute("DELETE FROM message WHERE number = ?", (message.number,))
        if gone.rowcount:
            self._bytes -= len(message.payload)

    def __len__(self) -> int:
        (count,) = self._database.execute("SELECT count(*) FROM message").fetchone()
        return int(count)

    def close(self) -> None:
        self._database.close()
