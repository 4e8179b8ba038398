"""What devices reported, as Parquet: `<cloud>/<table>/date=YYYY-MM-DD/thing=<name>/*.parquet`.

Rows arrive one by one and are written in batches; until then they stand in a journal, so that a
process that is killed loses none. A file is written under another name and then renamed. The
columns are those of backends.telemetry.schema.
"""

import heapq
import json
import logging
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from backends.local.cloud.rules import Row, Stored
from backends.telemetry.flattening import summary_names, window_of_payload
from backends.telemetry.schema import SCHEMAS, THING, in_file

logger = logging.getLogger(__name__)

MAX_KEYS = 100_000
MAX_FILES = 1000
_LOOKS = 5
_FROM_PAYLOAD = frozenset(summary_names())


class Tables:
    """Takes rows, drops those that came twice, writes the rest when told to."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._journal = root / "journal.jsonl"
        self._pending: list[Stored] = []
        self._keys: OrderedDict[str, None] = OrderedDict()
        root.mkdir(parents=True, exist_ok=True)
        self._remember_recent()
        self._replay()
        self._writer = self._journal.open("a", encoding="utf-8")

    def add(self, stored: Stored) -> bool:
        """Whether the row is new. It survives a kill from here on, but not a power cut."""
        if not self._is_new(stored.key):
            return False
        row = {name: value for name, value in stored.row.items() if name not in _FROM_PAYLOAD}
        row["received_at"] = stored.row["received_at"].isoformat()
        self._writer.write(json.dumps([stored.table, row, stored.key]) + "\n")
        self._writer.flush()
        self._pending.append(stored)
        return True

    def flush(self) -> int:
        """Writes what waits; the number of rows. Raises OSError and keeps them then."""
        if not self._pending:
            return 0
        count = len(self._pending)
        for table, folder, batch in _groups(self._root, self._pending):
            _write(folder, [stored.row for stored in batch], in_file(SCHEMAS[table]))
            written = set(map(id, batch))
            self._pending = [stored for stored in self._pending if id(stored) not in written]
        self._writer.truncate(0)
        return count

    def close(self) -> None:
        self.flush()
        self._writer.close()

    def _is_new(self, key: str) -> bool:
        if not key:
            return True
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > MAX_KEYS:
            self._keys.popitem(last=False)
        return True

    def _remember_recent(self) -> None:
        """The keys of the newest files, so that a restart does not double a message."""
        for table in SCHEMAS:
            for look in range(_LOOKS):
                try:
                    self._remember(table)
                except FileNotFoundError:  # it was compacted while we looked
                    if look + 1 == _LOOKS:
                        raise
                else:
                    break

    def _remember(self, table: str) -> None:
        files = ((p.stat().st_mtime, p) for p in (self._root / table).glob("*/*/[!.]*.parquet"))
        for _, path in sorted(heapq.nlargest(MAX_FILES, files)):
            thing = path.parent.name.removeprefix(f"{THING}=")
            try:
                identifiers = read_file(path, ["message_id"])["message_id"].to_pylist()
            except pa.ArrowInvalid:
                logger.warning("%s is no Parquet file; it is passed over", path)
                continue
            for identifier in identifiers:
                if identifier:
                    self._is_new(f"{table}/{thing}/{identifier}")

    def _replay(self) -> None:
        """Rows that a killed process left in its journal."""
        if not self._journal.is_file():
            return
        for line in self._journal.read_text(encoding="utf-8").splitlines():
            try:
                table, row, key = json.loads(line)
                row["received_at"] = datetime.fromisoformat(row["received_at"])
            except (ValueError, TypeError, KeyError):
                continue  # the last line, cut off
            if self._is_new(key):
                if table == "statistics":
                    row |= window_of_payload(row["payload"], row["thing"], row["received_at"])
                self._pending.append(Stored(table, row, key))


def read_file(path: Path, columns: Sequence[str] | None = None) -> Any:
    """One file's rows as an Arrow table: `columns` (None: all), and `thing` as its folder says."""
    with parquet.ParquetFile(path) as stored:
        rows = stored.read(columns=columns)
    if THING in rows.column_names:  # once, files had it too
        return rows
    thing = path.parent.name.removeprefix(f"{THING}=")
    return rows.append_column(THING, pa.array([thing] * len(rows), pa.string()))


def _groups(root: Path, pending: Sequence[Stored]) -> list[tuple[str, Path, list[Stored]]]:
    groups: dict[tuple[str, Path], list[Stored]] = {}
    for stored in pending:
        day = stored.row["received_at"].astimezone(UTC).date().isoformat()
        folder = root / stored.table / f"date={day}" / f"thing={stored.row['thing']}"
        groups.setdefault((stored.table, folder), []).append(stored)
    return [(table, folder, batch) for (table, folder), batch in groups.items()]


def _write(folder: Path, rows: Sequence[Row], schema: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{rows[0]['received_at'].astimezone(UTC):%H%M%S%f}-{uuid.uuid4().hex[:8]}.parquet"
    partial = folder / f".{name}.part"
    try:
        parquet.write_table(pa.Table.from_pylist(list(rows), schema=schema), partial)
        partial.replace(folder / name)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
