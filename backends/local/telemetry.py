"""The keeper of what devices of this machine reported, and its counts for people."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from backends.artifacts import Compacted
from backends.errors import BackendUnavailableError
from backends.telemetry.arrivals import Counts, read_counts
from backends.telemetry.compaction import compact_folder, past_folders, remove_old
from backends.telemetry.schema import SCHEMAS

_BESIDE = {"quarantine": ("quarantine", "arrivals")}
"""What goes by the same limit as what."""


class LocalKeeper:
    """Works below `<home>/cloud`; the cloud process may write there at the same time."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def due(self, today: date) -> Sequence[str]:
        return [str(folder) for folder in past_folders(self._root, today)]

    def compact(self, folder: str) -> Compacted:
        with _only_one(folder):
            return compact_folder(Path(folder))

    def remove_old(self, keep_days: Mapping[str, int], today: date) -> Sequence[str]:
        limits = {
            table: days for name, days in keep_days.items() for table in _BESIDE.get(name, (name,))
        }
        return remove_old(self._root, limits, today)


def counts_of(root: Path, days: int) -> Mapping[str, Mapping[str, Counts]]:
    """What arrived, by day (the last `days` that have counts) and thing."""
    found = sorted((root / "arrivals").glob("????-??-??.json"))[-days:]
    return {path.stem: read_counts(path) for path in found}


def sizes_of(root: Path) -> Mapping[str, tuple[int, int, int]]:
    """Files, bytes and days of each table."""
    sizes = {}
    for table in SCHEMAS:
        files = [path.stat().st_size for path in (root / table).glob("*/*/[!.]*.parquet")]
        sizes[table] = len(files), sum(files), len(list((root / table).glob("date=*")))
    return sizes


def reasons_of(root: Path, days: int) -> Mapping[str, int]:
    """Why messages were set aside in the last `days` that have some, the most frequent first."""
    reasons: dict[str, int] = {}
    for path in sorted((root / "quarantine").glob("????-??-??.jsonl"))[-days:]:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                with contextlib.suppress(ValueError, KeyError):
                    reason = str(json.loads(line)["reason"])
                    reasons[reason] = reasons.get(reason, 0) + 1
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


@contextlib.contextmanager
def _only_one(folder: str) -> Iterator[None]:
    """One keeper works on a folder at a time; a killed one lets go."""
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BackendUnavailableError(
                folder, "it is being compacted already", "Try again later."
            ) from error
        yield
    finally:
        os.close(held)
