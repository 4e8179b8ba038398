"""Keep the store of what devices reported small, as the schedule does each night."""

from datetime import UTC, date, datetime
from itertools import batched

from prefect import flow

from backends.artifacts import Compacted
from backends.connect import telemetry_keeper
from backends.settings import load_settings
from flows.clusters import task_runner
from flows.outcome_state import ends_saying
from tasks.telemetry.keeping import Kept, compact_folders, kept, remove_old_days

FOLDERS_AT_ONCE = 50


def in_words(done: Kept) -> str:
    """What was done, in a sentence."""
    removed = f"; {len(done.removed)} days removed" if done.removed else ""
    return f"{done.files} files of {done.folders} folders became one each{removed}"


@flow(name="keep-telemetry", flow_run_name="keep telemetry")
@ends_saying(in_words)
def keep_telemetry() -> Kept:
    """Compact the days that are over, and remove those older than EDGEWARD_TELEMETRY__…_DAYS."""
    settings = load_settings()
    today = datetime.now(UTC).date()

    removed = remove_old_days(telemetry_keeper(settings), settings.telemetry.by_table(), today)
    compacted = compact_days.with_options(task_runner=task_runner(settings))(today)
    return kept(compacted, removed)


@flow(name="compact-days", flow_run_name="compact what arrived before {today}")
def compact_days(today: date) -> list[Compacted]:
    """Some folders a task: here in threads, or on the Dask cluster of the settings."""
    keeper = telemetry_keeper(load_settings())
    due = [list(some) for some in batched(keeper.due(today), FOLDERS_AT_ONCE)]
    done = [compact_folders.submit(keeper, folders) for folders in due]
    return [one for future in done for one in future.result()]
