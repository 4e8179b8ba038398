"""Reads the windows that devices of this machine reported.

The store is Parquet, `<cloud>/statistics/date=…/thing=…/*.parquet` (backends.telemetry.schema).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from backends.artifacts import StoredMessage, Unusable
from backends.telemetry.flattening import moment, window_of_payload, windows_table
from backends.telemetry.folders import day_of, tables_of, thing_of
from backends.telemetry.schema import WINDOWS

_MESSAGE = ("payload", "received_at")


class LocalStatistics:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def things(self, since: str) -> Sequence[str]:
        """Whose messages there are of the day `since` and later."""
        days = (day for day in self._folder.glob("date=*") if day.name >= f"date={since}")
        return sorted({thing_of(folder) for day in days for folder in day.glob("thing=*")})

    def stored(self, thing: str, since: str) -> Iterator[StoredMessage | Unusable]:
        """Rows of the day `since` and later; a file that is none is told of."""
        for folder in self._folders(thing, since):
            for table in tables_of(folder, lambda _names: _MESSAGE):
                if isinstance(table, Unusable):
                    yield table
                    continue
                for row in table.to_pylist():
                    yield StoredMessage(_text(row["payload"]), _text(row["received_at"]))

    def windows(self, thing: str, since: str) -> Iterator[Any]:
        """Tables of WINDOWS; of a file without these columns they are made of its messages."""
        for folder in self._folders(thing, since):
            for table in tables_of(folder, _wanted):
                if isinstance(table, Unusable) or table.schema.names == WINDOWS.names:
                    yield table
                else:
                    yield windows_table(list(_read(table, thing, day_of(folder))))

    def _folders(self, thing: str, since: str) -> list[Path]:
        """Folders have the day of arrival."""
        found = self._folder.glob(f"date=*/thing={thing}")
        return sorted(folder for folder in found if day_of(folder) >= since)


def _wanted(names: Sequence[str]) -> Sequence[str]:
    has_all = {*WINDOWS.names} <= {*names}
    return WINDOWS.names if has_all else _MESSAGE


def _read(table: Any, thing: str, day: str) -> Iterator[dict[str, Any]]:
    for row in table.to_pylist():
        arrived = moment(row["received_at"])
        if arrived is not None:
            yield window_of_payload(_text(row["payload"]), thing, arrived)
            continue
        presumed = datetime.fromisoformat(f"{day}T00:00:00+00:00")
        read = window_of_payload(_text(row["payload"]), thing, presumed)
        yield {**read, "problem": "received_at: must be ISO 8601 in UTC"}


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo else f"{value.isoformat()}Z"
    return "" if value is None else str(value)
