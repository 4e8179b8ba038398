"""Reads what devices reported: rows of `<home>/cloud/results` since a moment, each file once."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from backends.artifacts import DeviceResult
from backends.moments import parse_moment
from backends.telemetry.rows import rows_of

POLL_SECONDS = 0.2


class ResultReader:
    """One reading: remembers which files it has seen, so that waiting costs little."""

    def __init__(self, folder: Path, thing: str, since: str) -> None:
        self._folder = folder
        self._thing = thing
        self._since = parse_moment(since)
        self._seen: dict[Path, set[str]] = {}
        self._rows: list[dict[str, Any]] = []

    def wait(self, count: int, timeout: float) -> Sequence[DeviceResult]:
        """The first `count` results after the moment, by arrival; fewer at the timeout."""
        deadline = time.monotonic() + timeout
        self._look()
        while len(self._rows) < count and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            self._look()
        rows = sorted(self._rows, key=lambda row: row["received_at"])
        return tuple(_result(row) for row in rows[:count])

    def _look(self) -> None:
        for folder in self._folders():
            rows = rows_of(folder, self._seen.setdefault(folder, set()))
            self._rows += [row for row in rows if row["received_at"] > self._since]

    def _folders(self) -> Iterator[Path]:
        first = (self._since - timedelta(days=1)).date().isoformat()
        for day in sorted(self._folder.glob("date=*")):
            if day.name.removeprefix("date=") >= first:
                yield from sorted(day.glob(f"thing={self._thing}"))


def _result(row: dict[str, Any]) -> DeviceResult:
    payload: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        payload = json.loads(row["payload"])
    return DeviceResult(
        thing=row["thing"],
        model_version=row["model_version"] or "",
        image_id=row["image_id"] or "",
        label=row["label"] or "",
        score=row["score"] or 0.0,
        latency_ms=row["latency_ms"] or 0.0,
        taken_at=row["taken_at"] or "",
        payload=payload,
    )
