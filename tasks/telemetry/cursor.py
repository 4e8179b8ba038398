"""Which windows of a thing were judged: `<home>/monitor/<thing>.cursor`.

Keys are digests of 16 bytes, so that a cursor of many windows is small and quick to read.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from backends.errors import InvalidInputError
from backends.files import replace_file
from edge.fields import read_instant

LATE = timedelta(days=1)
"""A message may be stored this long after it was received."""
REMEMBERED = timedelta(days=3)
"""A message that is sent twice comes within this time; afterwards its key is forgotten."""

_SINCE = b"edgeward.since"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to where windows were judged; `judged` maps the keys of recent ones to their arrival."""

    since: str = ""
    judged: Mapping[bytes, str] = field(default_factory=dict)

    @property
    def first_day(self) -> str:
        """The first day on which something may have been stored that was not judged."""
        return before(self.since, LATE)[:10]


def key_of(identifier: str) -> bytes:
    """The key of a message, of its own name."""
    return hashlib.blake2b(identifier.encode(), digest_size=16).digest()


def moved(
    cursor: Cursor, done: Mapping[bytes, str], skipped: Mapping[bytes, str], waiting: str
) -> Cursor:
    """The cursor after `done` were judged (keys to arrivals) and `skipped` were told of.

    `waiting` is the first arrival of windows that were not judged and are to be read again; empty:
    there are none.
    """
    if waiting:
        since = max(cursor.since, waiting)
    else:
        since = max(cursor.since, max(done.values(), default=""))
    oldest = before(since, REMEMBERED)
    judged = {**cursor.judged, **skipped, **done}
    return Cursor(since, {key: arrival for key, arrival in judged.items() if arrival >= oldest})


def read_cursor(home: Path, thing: str) -> Cursor:
    """Where the last monitoring run got to. Raises InvalidInputError for a damaged file."""
    path = cursor_file(home, thing)
    former = path.with_suffix(".json")
    try:
        if path.exists():
            return _read(path)
        return _read_former(former) if former.exists() else Cursor()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        damaged = path if path.exists() else former
        raise InvalidInputError(
            str(damaged),
            f"the monitor's cursor is damaged: {error}",
            "Delete it to read all again.",
        ) from error


def write_cursor(home: Path, thing: str, cursor: Cursor) -> None:
    """Remember where a run got to: all of it, or nothing."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = {
        "key": pa.array(list(cursor.judged), pa.binary(16)),
        "arrival": pa.array(list(cursor.judged.values()), pa.string()),
    }
    table = pa.table(columns).replace_schema_metadata({_SINCE: cursor.since})
    content = io.BytesIO()
    parquet.write_table(table, content)
    path = cursor_file(home, thing)
    replace_file(path, content.getvalue())
    path.with_suffix(".json").unlink(missing_ok=True)


def cursor_file(home: Path, thing: str) -> Path:
    return home / "monitor" / f"{thing}.cursor"


def before(instant: str, time: timedelta) -> str:
    """An earlier instant; nothing is before the first run."""
    if not instant:
        return ""
    return read_instant((datetime.fromisoformat(instant) - time).isoformat(), "since")


def _read(path: Path) -> Cursor:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as stored:
        table = stored.read()
        since = stored.schema_arrow.metadata[_SINCE].decode()
    keys, arrivals = table["key"].to_pylist(), table["arrival"].to_pylist()
    return Cursor(_instant(since), dict(zip(keys, arrivals, strict=True)))


def _read_former(path: Path) -> Cursor:
    """As cursors were once written: the messages' own names, as JSON."""
    document: Any = json.loads(path.read_text(encoding="utf-8"))
    judged = {key_of(str(key)): str(arrival) for key, arrival in document["judged"].items()}
    return Cursor(_instant(document["since"]), judged)


def _instant(text: str) -> str:
    return read_instant(text, "since") if text else ""
