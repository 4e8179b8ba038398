"""Reads the alerts that devices raised: rows of `<home>/cloud/alerts`, each file once."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


class AlertReader:
    """One reading: remembers which files it has seen, so that following costs little."""

    def __init__(self, folder: Path, thing: str = "", since: datetime | None = None) -> None:
        """Of all things where none is named; of the last day where no moment is."""
        self._folder = folder
        self._thing = thing
        self._since = since or datetime.now(UTC) - timedelta(days=1)
        self._seen: dict[Path, set[str]] = {}

    def news(self) -> Sequence[dict[str, Any]]:
        """The messages that arrived since the last call, by arrival."""
        from backends.telemetry.rows import rows_of

        rows: list[dict[str, Any]] = []
        for folder in self._folders():
            rows += rows_of(folder, self._seen.setdefault(folder, set()))
        rows = sorted(
            (row for row in rows if row["received_at"] > self._since),
            key=lambda row: row["received_at"],
        )
        return [alert for row in rows for alert in _message(row)]

    def _folders(self) -> Iterator[Path]:
        first = self._since.astimezone(UTC).date().isoformat()
        for day in sorted(self._folder.glob("date=*")):
            if day.name.removeprefix("date=") >= first:
                yield from sorted(day.glob(f"thing={self._thing or '*'}"))


def _message(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The alert; nothing, where another program published something else there."""
    with contextlib.suppress(ValueError):
        alert = json.loads(row["payload"])
        if isinstance(alert, dict):
            yield {**alert, "thing": row["thing"]}
