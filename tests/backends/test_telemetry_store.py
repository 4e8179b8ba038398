"""The store of what devices reported stays small, and says the same whatever happens to it."""

import json
import multiprocessing
import os
import signal
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from backends.artifacts import Unusable
from backends.errors import BackendUnavailableError
from backends.local.cloud.rules import Stored, apply
from backends.local.cloud.tables import Tables
from backends.local.statistics import LocalStatistics
from backends.local.telemetry import LocalKeeper
from backends.telemetry.arrivals import Arrivals, read_counts
from backends.telemetry.compaction import compact_folder, past_folders
from backends.telemetry.flattening import summary_of
from backends.telemetry.folders import tables_of
from backends.telemetry.schema import SCHEMAS, WINDOWS
from edge.contract import encode, statistics_message, statistics_topic
from edge.statistics import Summary
from tests.tasks.windows import NOON, seen, store

TODAY = date(2026, 11, 25)
KEEP = {"results": 90, "statistics": 400, "heartbeats": 30, "alerts": 400, "quarantine": 30}


def message(window: Summary, name: str, thing: str = "hub-1") -> bytes:
    return encode({**statistics_message(thing, window.to_dict()), "message_id": name})


def stored(window: Summary, name: str, at: datetime = NOON, thing: str = "hub-1") -> Stored:
    return apply(statistics_topic(thing), message(window, name, thing), at)


def fill(cloud: Path, count: int, start: int = 0) -> list[Summary]:
    """A file for each window, as the cloud process writes one each second."""
    windows = [seen(5, seed=start + number, hour=number) for number in range(count)]
    tables = Tables(cloud)
    for number, window in enumerate(windows, start):
        tables.add(stored(window, f"m{number}", NOON + timedelta(seconds=number)))
        tables.flush()
    tables.close()
    return windows


def folder_of(cloud: Path) -> Path:
    return cloud / "statistics" / f"date={NOON:%Y-%m-%d}" / "thing=hub-1"


def names(cloud: Path) -> list[str]:
    """The messages that the monitor would read, in order."""
    tables = LocalStatistics(cloud / "statistics").windows("hub-1", "")
    return [name for table in tables for name in table["message_id"].to_pylist()]


def test_a_window_comes_out_of_its_columns_as_it_went_in(tmp_path: Path) -> None:
    windows = fill(tmp_path, 3)

    (path, *_) = sorted(folder_of(tmp_path).glob("*.parquet"))
    tables = list(LocalStatistics(tmp_path / "statistics").windows("hub-1", ""))

    assert parquet.read_schema(path).names == [
        n for n in SCHEMAS["statistics"].names if n != "thing"
    ]
    assert [summary_of(row) for table in tables for row in table.to_pylist()] == windows


def test_files_without_the_columns_are_read_by_their_messages(tmp_path: Path) -> None:
    window = seen(20, 1)
    store(tmp_path, window, "{", name="0")  # as they were once written

    (table,) = LocalStatistics(tmp_path / "cloud" / "statistics").windows("hub-1", "")

    good, bad = table.to_pylist()
    assert table.schema == WINDOWS
    assert (summary_of(good), good["problem"]) == (window, None)
    assert bad["problem"] == "payload: is not JSON"


def test_compaction_makes_one_file_and_changes_nothing_that_is_read(tmp_path: Path) -> None:
    fill(tmp_path, 6)
    before = names(tmp_path)

    done = LocalKeeper(tmp_path).compact(str(folder_of(tmp_path)))
    again = LocalKeeper(tmp_path).compact(str(folder_of(tmp_path)))

    assert (done.files, done.rows, again.files) == (6, 6, 0)
    assert len(list(folder_of(tmp_path).iterdir())) == 1
    assert names(tmp_path) == before


def test_old_files_get_the_columns_when_they_are_compacted(tmp_path: Path) -> None:
    windows = [seen(20, 1), seen(20, 2, hour=1)]
    for number, window in enumerate(windows):
        store(tmp_path, window, name=str(number))
    folder = folder_of(tmp_path / "cloud")

    compact_folder(folder)

    (path,) = folder.iterdir()
    rows = parquet.read_table(path, partitioning=None).to_pylist()
    assert [summary_of(row) for row in rows] == windows


def test_what_is_there_twice_is_kept_once_and_its_name_is_remembered(tmp_path: Path) -> None:
    (window,) = fill(tmp_path, 1)
    (path,) = folder_of(tmp_path).iterdir()
    path.with_name("copy.parquet").write_bytes(path.read_bytes())

    done = compact_folder(folder_of(tmp_path))

    assert (done.rows, done.repeated) == (1, 1)
    tables = Tables(tmp_path)
    assert not tables.add(stored(window, "m0"))
    tables.close()


def test_a_compacted_file_is_as_old_as_its_newest_part(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    for path in folder_of(tmp_path).iterdir():
        os.utime(path, (1000, 1000))

    compact_folder(folder_of(tmp_path))

    (path,) = folder_of(tmp_path).iterdir()
    assert path.stat().st_mtime == 1000  # else yesterday's names would push out those of today


def test_only_days_that_are_over_are_compacted(tmp_path: Path) -> None:
    fill(tmp_path, 2)

    assert past_folders(tmp_path, NOON.date()) == []
    assert past_folders(tmp_path, NOON.date() + timedelta(days=1)) == [folder_of(tmp_path)]


def test_what_arrives_after_a_compaction_is_taken_up_by_the_next(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    compact_folder(folder_of(tmp_path))
    fill(tmp_path, 2, start=3)

    done = compact_folder(folder_of(tmp_path))

    assert (done.files, done.rows) == (3, 5)
    assert sorted(names(tmp_path)) == ["m0", "m1", "m2", "m3", "m4"]


def test_a_reader_under_which_files_are_compacted_misses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    fill(tmp_path, 5)
    reading = tables_of(folder_of(tmp_path), list)
    begun = [next(reading), next(reading)]
    compact_folder(folder_of(tmp_path))
    fill(tmp_path, 1, start=5)
    compact_folder(folder_of(tmp_path))  # the file that replaced them is replaced itself

    found = [*begun, *reading]

    assert [n for table in found for n in table["message_id"].to_pylist()] == [
        "m0", "m1", "m2", "m3", "m4", "m5",
    ]  # fmt: skip


def test_a_reader_that_comes_again_gets_what_is_new(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    done: set[str] = set()
    first = list(tables_of(folder_of(tmp_path), list, done))
    compact_folder(folder_of(tmp_path))
    fill(tmp_path, 1, start=2)

    second = list(tables_of(folder_of(tmp_path), list, done))

    assert sum(map(len, first)) == 2
    assert [n for table in second for n in table["message_id"].to_pylist()] == ["m2"]


def _compact_until_killed(folder: Path, step: int) -> None:
    """Dies by SIGKILL as the `step`-th file operation of a compaction is about to begin."""
    left = [step]

    def deadly(call: Any) -> Any:
        def counted(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return counted

    for name in ("open", "utime", "fsync"):
        setattr(os, name, deadly(getattr(os, name)))
    for name in ("replace", "unlink"):
        setattr(Path, name, deadly(getattr(Path, name)))
    compact_folder(folder)


def test_a_compaction_that_is_killed_at_any_step_loses_and_doubles_nothing(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("forkserver")
    killed = 0
    for step in range(40):
        cloud = tmp_path / str(step)
        fill(cloud, 3)
        before = names(cloud)
        child = fork.Process(target=_compact_until_killed, args=(folder_of(cloud), step))
        child.start()
        child.join()

        seen_then = names(cloud)
        compact_folder(folder_of(cloud))

        assert sorted(seen_then) == before
        assert sorted(names(cloud)) == before
        assert len(list(folder_of(cloud).iterdir())) == 1
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        killed += 1

    assert killed >= 6


def test_a_broken_file_stays_is_told_of_and_stops_nothing(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    broken = folder_of(tmp_path) / "half.parquet"
    broken.write_bytes(b"PAR1 half")

    done = compact_folder(folder_of(tmp_path))

    found = list(tables_of(folder_of(tmp_path), list))
    assert done.files == 2
    assert [one.reason for one in found if isinstance(one, Unusable)] == [
        "half.parquet is no file of a table (ArrowInvalid)"
    ]
    Tables(tmp_path).close()  # the cloud process starts all the same


def test_two_keepers_do_not_work_on_the_same_folder(tmp_path: Path) -> None:
    import fcntl

    fill(tmp_path, 2)
    other = os.open(folder_of(tmp_path), os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)

    with pytest.raises(BackendUnavailableError, match="already"):
        LocalKeeper(tmp_path).compact(str(folder_of(tmp_path)))

    os.close(other)
    assert LocalKeeper(tmp_path).compact(str(folder_of(tmp_path))).files == 2


def test_days_go_after_their_tables_limit_and_no_day_sooner(tmp_path: Path) -> None:
    kept, gone = TODAY - timedelta(days=30), TODAY - timedelta(days=31)
    for table in ("heartbeats", "alerts"):
        for day in (kept, gone):
            (tmp_path / table / f"date={day}" / "thing=hub-1").mkdir(parents=True)
    for name in ("quarantine", "arrivals"):
        (tmp_path / name).mkdir()
        for day in (kept, gone):
            (tmp_path / name / f"{day}.json").touch()
    (tmp_path / "heartbeats" / "date=notes").mkdir()

    removed = LocalKeeper(tmp_path).remove_old(KEEP, TODAY)

    assert sorted(removed) == [f"arrivals/{gone}", f"heartbeats/{gone}", f"quarantine/{gone}"]
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*"))
    assert left == [
        f"alerts/date={gone}", f"alerts/date={kept}", f"arrivals/{kept}.json",
        f"heartbeats/date={kept}", "heartbeats/date=notes", f"quarantine/{kept}.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "hours", "problem"),
    [
        ({"count": 1}, 0, "features.brightness.bins: hold more values than there are pictures"),
        ({"news": 1}, 0, "summary: has an unknown field 'news'"),
        ({"unreadable": 2**40}, 0, "unreadable: a window has at most 4194304 pictures"),
        ({}, -30, "window.end: a day or more after its arrival: the clock is ahead"),
        ({}, 24 * 500, "window.end: over 400 days before its arrival: a wrong clock"),
    ],
    ids=["contradiction", "new field", "too many", "from the future", "from 1970"],
)
def test_a_window_that_cannot_count_is_kept_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], hours: int, problem: str
) -> None:
    window = seen(5)
    payload = encode({**json.loads(message(window, "m")), **changes})
    at = datetime.fromisoformat(window.end) + timedelta(hours=hours)
    tables = Tables(tmp_path)
    tables.add(apply(statistics_topic("hub-1"), payload, at))
    tables.close()

    (table,) = LocalStatistics(tmp_path / "statistics").windows("hub-1", "")

    (row,) = table.to_pylist()
    assert (row["problem"], row["count"], row["model_version"]) == (problem, None, "1.0.0")


def test_a_row_in_the_journal_of_a_killed_process_gets_its_columns_again(tmp_path: Path) -> None:
    killed = Tables(tmp_path)
    window = seen(5)
    killed.add(stored(window, "m1"))
    killed._writer.close()  # as the kernel does; nothing was flushed to the tables

    Tables(tmp_path).close()

    (table,) = LocalStatistics(tmp_path / "statistics").windows("hub-1", "")
    assert summary_of(table.to_pylist()[0]) == window


def test_what_arrives_is_counted_by_day_and_thing(tmp_path: Path) -> None:
    arrivals = Arrivals(tmp_path)
    one, other = seen(5, hour=0), seen(5, hour=1)
    later = datetime.fromisoformat(other.end)
    for window, at in ((other, later), (one, later + timedelta(hours=5))):
        row = stored(window, "m", at).row
        arrivals.stored("statistics", row, at)
    arrivals.repeated("hub-1", later)
    arrivals.set_aside("hub-1", "wrong thing", later)
    arrivals.flush(later, at_once=True)

    again = Arrivals(tmp_path)  # after a restart it goes on
    again.repeated("hub-1", later)
    again.flush(later, at_once=True)

    counts = read_counts(tmp_path / f"{later:%Y-%m-%d}.json")["hub-1"]
    assert counts.stored == {"statistics": 2}
    assert (counts.late, counts.out_of_order, counts.repeated) == (1, 1, 2)
    assert counts.set_aside == {"wrong thing": 1}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [((5, 900), ""), ((3600, 4000), "3600 s behind"), ((-500, -400), "500 s ahead")],
    ids=["right", "behind", "ahead"],
)
def test_a_clock_that_is_wrong_shows_in_the_heartbeats(
    tmp_path: Path, seconds: tuple[int, ...], said: str
) -> None:
    arrivals = Arrivals(tmp_path)
    for lag in seconds:  # one of them may have been held up
        sent = (NOON - timedelta(seconds=lag)).isoformat()
        beat = apply("edgeward/hub-1/heartbeat", encode({"sent_at": sent}), NOON)
        arrivals.stored("heartbeats", beat.row, NOON)
    arrivals.flush(NOON, at_once=True)

    (counts,) = read_counts(tmp_path / f"{NOON:%Y-%m-%d}.json").values()

    assert counts.clock.startswith(said)
    assert bool(counts.clock) == bool(said)
