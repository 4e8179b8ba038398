"""Keeps the store of what devices reported small: compaction and retention, for a schedule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from prefect import get_run_logger, task

from backends.artifacts import Compacted
from backends.ports import TelemetryKeeper
from tasks.retrying import CALLS_BACKEND


@dataclass(frozen=True, slots=True)
class Kept:
    """What a night's work came to. `removed` are days, as `results/2026-01-31`."""

    folders: int
    files: int
    repeated: int
    removed: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "folders": self.folders,
            "files": self.files,
            "repeated": self.repeated,
            "removed": list(self.removed),
        }


def kept(compacted: Sequence[Compacted], removed: Sequence[str]) -> Kept:
    """The sum of it."""
    done = [one for one in compacted if one.files]
    return Kept(
        folders=len(done),
        files=sum(one.files for one in done),
        repeated=sum(one.repeated for one in done),
        removed=tuple(removed),
    )


@task(**CALLS_BACKEND, task_run_name="compact {folders[0]} and others")
def compact_folders(keeper: TelemetryKeeper, folders: Sequence[str]) -> list[Compacted]:
    """Make one file of those in each folder."""
    return [keeper.compact(folder) for folder in folders]


@task(**CALLS_BACKEND, task_run_name="remove what is older than its limit")
def remove_old_days(
    keeper: TelemetryKeeper, keep_days: Mapping[str, int], today: date
) -> list[str]:
    """Let go of days; tells which."""
    removed = list(keeper.remove_old(keep_days, today))
    for day in removed:
        get_run_logger().info("removed %s", day)
    return removed
