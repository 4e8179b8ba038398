"""Reads the windows that devices of this machine reported.

The store is Parquet, `<cloud>/statistics/date=…/thing=…/*.parquet`; the columns that count here are
payload (the message as JSON text) and received_at.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from backends.artifacts import StoredMessage, Unusable

_COLUMNS = ["payload", "received_at"]


class LocalStatistics:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def stored(self, thing: str, since: str) -> Iterator[StoredMessage | Unusable]:
        """Rows of the day `since` and later; a file that is none is told of."""
        import pyarrow as pa
        from pyarrow import parquet

        for path in sorted(self._folder.glob(f"date=*/thing={thing}/*.parquet")):
            if path.parent.parent.name.removeprefix("date=") < since:
                continue  # folders have the day of arrival
            try:
                with parquet.ParquetFile(path) as stored:
                    table = stored.read(columns=_COLUMNS)
                rows = table.select(_COLUMNS).to_pylist()
            except (OSError, pa.ArrowInvalid, KeyError) as error:
                yield Unusable(f"{path.name} is no statistics file ({type(error).__name__})")
                continue
            for row in rows:
                yield StoredMessage(_text(row["payload"]), _text(row["received_at"]))


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo else f"{value.isoformat()}Z"
    return "" if value is None else str(value)
