"""Reads a table's folder, of one day and thing, while it is written to and compacted.

A compacted file says in its footer which files it replaces, and where their rows are in it. So what
a reader sees is the same before, during and after a compaction, wherever that is killed: a replaced
file that is still there is passed over, and one that vanishes under a reader is found in the
compacted file, of which the rows that were read already are left out.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from backends.artifacts import Unusable
from backends.telemetry.schema import THING

COMPACTED = "compacted-"
PARTS = b"edgeward.parts"
BATCH = 2**13


@dataclass(frozen=True, slots=True)
class Rows:
    """Where the rows of a replaced file are in the compacted one."""

    start: int
    length: int


def thing_of(folder: Path) -> str:
    """Whose rows are in a folder."""
    return folder.name.removeprefix(f"{THING}=")


def day_of(folder: Path) -> str:
    """On which day the rows of a folder arrived."""
    return folder.parent.name.removeprefix("date=")


def live_files(folder: Path) -> list[Path]:
    """The files that count, in order of arrival: those that no other replaces."""
    found = sorted(
        folder.glob("[!.]*.parquet"),
        key=lambda path: (not path.name.startswith(COMPACTED), path.name),
    )
    replaced: set[str] = set()
    for path in found:
        if path.name.startswith(COMPACTED):
            replaced |= set(parts_of(path))
    return [path for path in found if path.name not in replaced]


def parts_of(path: Path) -> Mapping[str, Rows]:
    """What a file replaces; nothing, for one that cannot be read."""
    try:
        with parquet.ParquetFile(path) as stored:
            return _parts(stored)
    except (OSError, pa.ArrowInvalid):
        return {}


def read_compacted(content: bytes) -> tuple[Any, Mapping[str, Rows]]:
    """The rows of a compacted file, and where those of each message are. Raises ValueError."""
    with parquet.ParquetFile(io.BytesIO(content)) as stored:
        return stored.read(columns=["payload", "received_at"]), _parts(stored)


def tables_of(
    folder: Path,
    choose: Callable[[Sequence[str]], Sequence[str]],
    done: set[str] | None = None,
) -> Iterator[Any]:
    """Rows of a folder as Arrow tables of at most BATCH rows; Unusable for a broken file.

    `choose` picks columns of those that a file has. `done`, files that were read before, is added
    to: reading with the same set again gives what has come since.
    """
    done = set() if done is None else done
    waiting = live_files(folder)
    while waiting:
        path = waiting.pop(0)
        if path.name in done:
            continue
        try:
            with parquet.ParquetFile(path) as stored:
                parts = _parts(stored)
                columns = _there(choose(stored.schema_arrow.names), stored.schema_arrow.names)
                yield from _tables(stored, columns, parts, done)
        except FileNotFoundError:  # it was compacted, or its day removed, since it was listed
            waiting = live_files(folder)
            continue
        except (OSError, pa.ArrowInvalid, KeyError) as error:
            yield Unusable(f"{path.name} is no file of a table ({type(error).__name__})")
            parts = {}
        done |= {path.name, *parts}


def _tables(
    stored: Any, columns: Sequence[str], parts: Mapping[str, Rows], done: set[str]
) -> Iterator[Any]:
    known = [rows for name, rows in parts.items() if name in done]
    begin = 0
    for batch in stored.iter_batches(BATCH, columns=list(columns), use_threads=False):
        table = pa.Table.from_batches([batch])
        if known:
            wanted = np.ones(len(table), bool)
            for rows in known:
                first = max(0, rows.start - begin)
                wanted[first : max(first, rows.start + rows.length - begin)] = False
            begin += len(table)
            table = table.filter(pa.array(wanted))
        yield table


def _there(columns: Sequence[str], names: Sequence[str]) -> Sequence[str]:
    """Raises KeyError: Arrow would leave out a column that is not there."""
    for column in columns:
        if column not in names:
            raise KeyError(column)
    return columns


def _parts(stored: Any) -> dict[str, Rows]:
    text = (stored.metadata.metadata or {}).get(PARTS)
    if text is None:
        return {}
    return {name: Rows(start, length) for name, start, length in json.loads(text)}
