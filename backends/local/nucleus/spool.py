"""Messages to the broker wait here, on disk and in order, until the broker has them."""

import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

KEPT = 10
"""Messages that were set aside, for people to look at (table `refused`)."""
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
        ask(
            "CREATE TABLE IF NOT EXISTS refused (number INTEGER PRIMARY KEY, topic TEXT NOT NULL,"
            " payload BLOB NOT NULL, reason TEXT NOT NULL)"
        )
        self._count: int
        self._bytes: int
        self._count, self._bytes = ask(
            "SELECT count(*), coalesce(sum(length(payload)), 0) FROM message"
        ).fetchone()

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
        self._count += 1
        self._bytes += len(payload)

    def _drop_oldest(self) -> None:
        (oldest,) = self.oldest(1)
        self._drop(oldest)
        logger.warning("the spool is full: dropped a message to %s", oldest.topic)

    def set_aside(self, message: Spooled, reason: str) -> None:
        """Lets go of what the broker never takes; it counts as dropped."""
        self._drop(message, reason)
        logger.error(
            "a message to %s is set aside, it never got through: %s", message.topic, reason
        )

    def _drop(self, message: Spooled, reason: str = "") -> None:
        """The message goes and is counted, or neither; with a `reason`, it is kept apart."""
        with self._database:
            self._database.execute("BEGIN")
            self._database.execute("UPDATE dropped SET messages = messages + 1")
            if reason:
                self._keep_apart(message, reason)
            gone = self._database.execute("DELETE FROM message WHERE number = ?", (message.number,))
        self._let_go(message, gone.rowcount)
        self.dropped += 1

    def _keep_apart(self, message: Spooled, reason: str) -> None:
        self._database.execute(
            "INSERT INTO refused VALUES (?, ?, ?, ?)",
            (message.number, message.topic, message.payload, reason),
        )
        self._database.execute(
            "DELETE FROM refused WHERE number NOT IN"
            " (SELECT number FROM refused ORDER BY number DESC LIMIT ?)",
            (KEPT,),
        )

    def _let_go(self, message: Spooled, messages: int) -> None:
        """`messages`: 1, or 0 when it had gone before."""
        self._count -= messages
        self._bytes -= messages * len(message.payload)

    def oldest(self, count: int) -> list[Spooled]:
        rows = self._database.execute(
            "SELECT number, topic, payload, qos, retain FROM message ORDER BY number LIMIT ?",
            (count,),
        )
        return [Spooled(n, topic, data, qos, bool(retain)) for n, topic, data, qos, retain in rows]

    def remove(self, message: Spooled) -> None:
        gone = self._database.execute("DELETE FROM message WHERE number = ?", (message.number,))
        self._let_go(message, gone.rowcount)

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        self._database.close()
