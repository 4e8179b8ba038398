"""Makes one file of the many of a past day and thing, and lets go of days that are old enough.

It may be killed at any step and run again: the new file takes its name when it is whole and on the
disk, and only then do those go that it names as replaced (see folders.py). What arrives meanwhile
has a file of its own, and stays for the next time.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from backends.artifacts import Compacted
from backends.telemetry.flattening import moment, summary_names, window_of_payload
from backends.telemetry.folders import (
    COMPACTED,
    PARTS,
    Rows,
    live_files,
    parts_of,
    thing_of,
)
from backends.telemetry.schema import SCHEMAS, in_file

_UNFINISHED = ".compacting-"


def past_folders(root: Path, today: date) -> list[Path]:
    """Folders of days before `today` (UTC) that have something to compact."""
    return [
        folder
        for table in SCHEMAS
        for day in sorted((root / table).glob("date=*"))
        if day.name.removeprefix("date=") < today.isoformat()
        for folder in sorted(day.glob("thing=*"))
        if len(list(folder.glob("*.parquet"))) > 1
    ]


def compact_folder(folder: Path) -> Compacted:
    """Make one file of all that can be read in a folder; a broken file stays as it is."""
    for left in folder.glob(f"{_UNFINISHED}*"):
        left.unlink(missing_ok=True)  # of one that was killed
    _finish(folder)
    files = live_files(folder)
    if len(files) < 2:  # noqa: PLR2004
        return Compacted(str(folder), 0, 0, 0)
    schema = in_file(SCHEMAS[folder.parent.parent.name])
    names = hashlib.sha256("\n".join(path.name for path in files).encode()).hexdigest()[:16]
    target = folder / f"{COMPACTED}{names}.parquet"
    unfinished = folder / f"{_UNFINISHED}{names}"
    newest = max(path.stat().st_mtime for path in files)
    made = _Writing(schema, thing_of(folder))
    with parquet.ParquetWriter(unfinished, schema, compression="zstd") as writer:
        for path in files:
            made.copy(path, writer)
        listed = [[name, rows.start, rows.length] for name, rows in made.parts.items()]
        writer.add_key_value_metadata({PARTS.decode(): json.dumps(listed)})
    if made.files < 2:  # noqa: PLR2004
        unfinished.unlink()
        return Compacted(str(folder), 0, 0, 0)
    os.utime(unfinished, (newest, newest))  # the newest files are those of the newest messages
    _to_disk(unfinished)
    unfinished.replace(target)
    _to_disk(folder)
    _finish(folder)
    return Compacted(str(folder), made.files, made.rows, made.repeated)


def remove_old(root: Path, keep_days: Mapping[str, int], today: date) -> list[str]:
    """Remove the days of each table that are older than its limit; never a newer one."""
    removed = []
    for table, days in keep_days.items():
        first_kept = (today - timedelta(days=days)).isoformat()
        for entry in sorted((root / table).glob("*")):
            day = entry.name.removeprefix("date=").split(".")[0]
            if _is_day(day) and day < first_kept:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
                removed.append(f"{table}/{day}")
    return removed


class _Writing:
    """Copies files into one, without what is there twice."""

    def __init__(self, schema: Any, thing: str) -> None:
        self._schema = schema
        self._thing = thing
        self._known: set[str] = set()
        self.parts: dict[str, Rows] = {}
        self.files = self.rows = self.repeated = 0

    def copy(self, path: Path, writer: Any) -> None:
        before = parts_of(path)
        start = self.rows
        kept: list[bool] = []
        try:
            with parquet.ParquetFile(path) as stored:
                tables = [pa.Table.from_batches([one]) for one in stored.iter_batches(1024)]
        except (OSError, pa.ArrowInvalid):
            return  # it stays, and readers tell of it
        for table in tables:
            rows = conformed(table, self._schema, self._thing)
            new = [self._is_new(identifier) for identifier in rows["message_id"].to_pylist()]
            writer.write_table(rows.filter(pa.array(new, pa.bool_())))
            self.rows += sum(new)
            kept += new
        self.files += 1
        self.repeated += len(kept) - sum(kept)
        self.parts[path.name] = Rows(start, self.rows - start)
        for name, was in before.items():  # where they are now, without what went
            first = start + sum(kept[: was.start])
            self.parts[name] = Rows(first, sum(kept[was.start : was.start + was.length]))

    def _is_new(self, identifier: str | None) -> bool:
        if not identifier:
            return True
        if identifier in self._known:
            return False
        self._known.add(identifier)
        return True


def conformed(table: Any, schema: Any, thing: str) -> Any:
    """A table of an older file with the columns of today."""
    if table.schema.remove_metadata() == schema:
        return table
    if "count" in schema.names and not {*summary_names()} <= {*table.column_names}:
        table = _with_summaries(table, thing)
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _with_summaries(table: Any, thing: str) -> Any:
    rows = []
    for row in table.to_pylist():
        arrived = moment(row.get("received_at"))
        if arrived is None:
            rows.append({**row, "received_at": None, "problem": "received_at: is no moment"})
            continue
        window = window_of_payload(row["payload"] or "", thing, arrived)
        rows.append({**window, "payload": row["payload"], "received_at": arrived})
    return pa.Table.from_pylist(rows, schema=in_file(SCHEMAS["statistics"]))


def _finish(folder: Path) -> None:
    """Remove what compacted files have replaced."""
    for path in folder.glob(f"{COMPACTED}*.parquet"):
        for name in parts_of(path):
            (folder / name).unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
