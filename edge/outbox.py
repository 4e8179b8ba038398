"""Messages on their way out, kept on disk until the nucleus has taken them.

Nucleus lite stores nothing while the broker is away, so the component does. The queue is bounded:
the oldest message is dropped first, and counted. It survives a kill at any moment. Where the disk
is full or broken, messages are kept in memory, fewer of them, and this is said once.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Collection, Deque, Iterator, List, Optional, Set, Tuple

MAX_MESSAGES = 20_000
MAX_BYTES = 32 * 1024 * 1024
MAX_IN_MEMORY = 1000

TOGETHER = 50
"""Messages that were taken are deleted so many at a time: each write waits for the disk. A kill in
between sends them once more."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """A message in the queue. `key` is negative for one that is in memory only."""

    key: int
    topic: str
    payload: bytes


class Outbox:
    """A bounded queue in one sqlite file; for several threads, one process."""

    def __init__(
        self,
        path: Path,
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
        max_in_memory: int = MAX_IN_MEMORY,
    ) -> None:
        self._path = path
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._memory: Deque[Message] = deque()
        self._max_in_memory = max_in_memory
        self._last_key = 0
        self._delivered: Set[int] = set()  # taken, and not deleted yet
        self._dropped, self._dropped_on_disk = 0, 0
        self._disk_fails = False
        self._closed = False
        self._in_memory_for_good = False  # until the next start: the file could not be opened
        self._count, self._bytes = 0, 0
        self._database = self._open()

    @property
    def depth(self) -> int:
        """How many messages wait."""
        with self._lock:
            return self._count - len(self._delivered) + len(self._memory)

    @property
    def dropped(self) -> int:
        """How many messages were dropped because the queue was full, in all its time."""
        return self._dropped

    def put(self, topic: str, payload: bytes, only_newest: bool = False) -> None:
        """Append a message; with `only_newest` it replaces what waits on the same topic.

        Never raises for a disk that fails.
        """
        with self._lock:
            try:
                self._memory_to_disk()
                with self._transaction():
                    if only_newest:
                        self._discard("topic = ?", (topic,))
                    self._insert(topic, payload)
                self._say_disk_works()
            except sqlite3.Error as error:
                self._say_disk_fails(error)
                self._keep_in_memory(topic, payload)

    def first(self, passing_over: Collection[str] = ()) -> Optional[Message]:
        """The oldest message that is not on one of the given topics; None: there is none."""
        with self._lock:
            try:
                found = self._first_on_disk(passing_over)
            except sqlite3.Error as error:
                self._say_disk_fails(error)
                found = None
            if found is not None:
                return found
            waiting = (kept for kept in self._memory if kept.topic not in passing_over)
            return next(waiting, None)

    def remove(self, message: Message) -> None:
        """Forget a message that was taken. Never raises for a disk that fails."""
        with self._lock:
            if message.key < 0:
                with contextlib.suppress(ValueError):  # moved to disk or dropped meanwhile
                    self._memory.remove(message)
                return
            self._delivered.add(message.key)
            if len(self._delivered) >= TOGETHER:
                self.settle()

    def settle(self) -> None:
        """Delete from the disk what was removed. Never raises for a disk that fails."""
        with self._lock:
            if not self._delivered:
                return
            try:
                with self._transaction():
                    self._delete_delivered()
            except sqlite3.Error as error:
                self._say_disk_fails(error)

    def withdraw(self, topic: str) -> None:
        """Forget all that waits on a topic. Never raises for a disk that fails."""
        with self._lock:
            self._memory = deque(kept for kept in self._memory if kept.topic != topic)
            try:
                if self._count:
                    with self._transaction():
                        self._discard("topic = ?", (topic,))
            except sqlite3.Error as error:
                self._say_disk_fails(error)

    def close(self) -> None:
        """Close the file; a delivery that still runs finds nothing more in it."""
        with self._lock:
            if self._memory:
                try:
                    self._memory_to_disk()
                except sqlite3.Error:
                    log.warning("%s messages are lost: the disk fails", len(self._memory))
            self.settle()
            self._closed = True
            with contextlib.suppress(sqlite3.Error):
                self._database.close()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect(str(self._path))
        except sqlite3.OperationalError as error:
            self._say_disk_fails(error)  # full, or not writable: the file is kept for better days
        except sqlite3.DatabaseError as error:
            damaged = self._path.with_suffix(".damaged")
            log.error("%s: %s; moved to %s", self._path, error, damaged.name)  # noqa: TRY400
            with contextlib.suppress(OSError, sqlite3.Error):
                self._path.replace(damaged)
                return self._connect(str(self._path))
        self._in_memory_for_good = True
        return self._connect(":memory:")

    def _connect(self, path: str) -> sqlite3.Connection:
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")  # a device loses its power
            database.execute(
                "CREATE TABLE IF NOT EXISTS outbox"
                " (key INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, payload BLOB)"
            )
            database.execute(
                "CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER)"
            )
            (dropped,) = database.execute(
                "SELECT COALESCE(SUM(value), 0) FROM counters WHERE name = 'dropped'"
            ).fetchone()
            count, held = database.execute(
                "SELECT COUNT(*), COALESCE(SUM(LENGTH(payload)), 0) FROM outbox"
            ).fetchone()
        except sqlite3.Error:
            database.close()
            raise
        self._count, self._bytes = count, held
        self._dropped_on_disk = dropped
        self._dropped = max(self._dropped, dropped)
        return database

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """One wait for the disk; if that fails, nothing of it has happened."""
        counted = self._count, self._bytes, self._dropped, self._dropped_on_disk
        delivered = set(self._delivered)
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield
            self._database.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            self._count, self._bytes, self._dropped, self._dropped_on_disk = counted
            self._delivered = delivered
            raise

    def _insert(self, topic: str, payload: bytes) -> None:
        if self._is_full(payload):
            self._delete_delivered()
        while self._count and self._is_full(payload):
            self._discard("key = (SELECT MIN(key) FROM outbox)", ())
            self._count_dropped()
        if self._dropped != self._dropped_on_disk:
            self._database.execute(
                "INSERT OR REPLACE INTO counters VALUES ('dropped', ?)", (self._dropped,)
            )
            self._dropped_on_disk = self._dropped
        self._database.execute(
            "INSERT INTO outbox (topic, payload) VALUES (?, ?)", (topic, payload)
        )
        self._count += 1
        self._bytes += len(payload)

    def _is_full(self, payload: bytes) -> bool:
        return self._count >= self._max_messages or self._bytes + len(payload) > self._max_bytes

    def _delete_delivered(self) -> None:
        for key in list(self._delivered):
            self._discard("key = ?", (key,))
        self._delivered.clear()

    def _discard(self, condition: str, values: Tuple[object, ...]) -> None:
        where = f" FROM outbox WHERE {condition}"
        rows = self._database.execute("SELECT key, LENGTH(payload)" + where, values).fetchall()
        if rows:
            self._database.execute("DELETE" + where, values)
            self._count -= len(rows)
            self._bytes -= sum(length for _, length in rows)
            self._delivered.difference_update(key for key, _ in rows)

    def _first_on_disk(self, passing_over: Collection[str]) -> Optional[Message]:
        marks = ", ".join("?" for _ in passing_over)
        keys = self._database.execute(
            f"SELECT key FROM outbox WHERE topic NOT IN ({marks})"  # noqa: S608
            " ORDER BY key LIMIT ?",
            (*passing_over, len(self._delivered) + 1),
        )
        waiting: List[int] = [key for (key,) in keys.fetchall() if key not in self._delivered]
        if not waiting:
            return None
        found = "SELECT key, topic, payload FROM outbox WHERE key = ?"
        return Message(*self._database.execute(found, waiting[:1]).fetchone())

    def _memory_to_disk(self) -> None:
        while self._memory:
            with self._transaction():
                self._insert(self._memory[0].topic, self._memory[0].payload)
            self._memory.popleft()

    def _keep_in_memory(self, topic: str, payload: bytes) -> None:
        if len(self._memory) >= self._max_in_memory:
            self._memory.popleft()
            self._count_dropped()
        self._last_key -= 1
        self._memory.append(Message(self._last_key, topic, payload))

    def _count_dropped(self) -> None:
        self._dropped += 1
        if self._dropped == 1 or self._dropped % 1000 == 0:
            log.warning("The queue is full: %s of the oldest messages dropped", self._dropped)

    def _say_disk_fails(self, error: sqlite3.Error) -> None:
        if not self._disk_fails and not self._closed:
            log.error("%s: %s; new messages are kept in memory", self._path, error)
        self._disk_fails = True

    def _say_disk_works(self) -> None:
        if self._in_memory_for_good:
            return
        if self._disk_fails:
            log.info("%s: works again; messages are kept on disk", self._path)
        self._disk_fails = False
