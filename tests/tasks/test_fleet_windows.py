"""A whole fleet's windows in one pass: exactly the sums of `merge`, each window once."""

from collections.abc import Sequence
from datetime import timedelta
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.errors import InvalidInputError
from backends.local.statistics import LocalStatistics
from backends.telemetry.flattening import summary_of, window_columns, windows_table
from backends.telemetry.totals import Totals
from edge.statistics import PICTURE_FEATURES, Summary, merge
from tasks.statistics_store import read_new_windows
from tasks.telemetry.cursor import Cursor, cursor_file, key_of, read_cursor, write_cursor
from tasks.telemetry.fleet import MOST_REASONS, FleetWindows, read_fleet, remember_fleet
from tests.tasks.windows import LABELS, NOON, seen, store, stored

SHARES = st.floats(0, 1, allow_nan=False)


@st.composite
def summaries(draw: st.DrawFn) -> Summary:
    hours = draw(st.integers(0, 5))
    start = NOON + timedelta(hours=hours)
    version = draw(st.sampled_from(["1.0.0", "2.0.0"]))
    made = Summary(version, start.isoformat(), (start + timedelta(hours=1)).isoformat())
    for _ in range(draw(st.integers(0, 6))):
        made.add(
            {name: draw(SHARES) for name in PICTURE_FEATURES},
            draw(st.sampled_from([None, *LABELS, "Katze 🐈"])),
            draw(st.none() | SHARES),
            draw(st.none() | st.floats(0, 1e6)),
            draw(st.none() | st.text(max_size=3)),
        )
    for _ in range(draw(st.integers(0, 2))):
        made.add_unreadable()
    return made


@settings(max_examples=60, deadline=None)
@given(st.lists(summaries(), min_size=1, max_size=8), st.integers(1, 4))
def test_sums_of_columns_are_exactly_those_of_merge(windows: list[Summary], at_once: int) -> None:
    table = windows_table(
        [
            {
                **window_columns(window.to_dict(), NOON + timedelta(hours=6)),
                "message_id": str(number),
                "received_at": NOON,
            }
            for number, window in enumerate(windows)
        ]
    )
    totals = Totals()
    for first in range(0, len(windows), at_once):
        totals.add(table.slice(first, at_once))  # slices have an offset in their buffers

    found = totals.found()

    assert [summary_of(row) for row in table.to_pylist()] == windows
    assert {version: total.summary for version, total in found.items()} == by_version(windows)
    assert sum(total.windows for total in found.values()) == len(windows)


def by_version(windows: Sequence[Summary]) -> dict[str, Summary]:
    versions = dict.fromkeys(window.model_version for window in windows)
    return {
        version: reduce(merge, [one for one in windows if one.model_version == version])
        for version in versions
    }


def pass_over(home: Path, *things: str, judged: Sequence[str] = ("1.0.0",)) -> FleetWindows:
    """A look at the fleet that judges these versions."""
    found = read_fleet(stored(home), home, things or ("hub-1",), 1)
    remember_fleet(home, found, {one.thing: judged for one in found.things})
    return found


def counts(found: FleetWindows) -> dict[str, int]:
    return {one.thing: sum(t.windows for t in one.versions.values()) for one in found.things}


def test_each_window_is_found_once_and_late_ones_too(tmp_path: Path) -> None:
    store(tmp_path, seen(5, 1, hour=2))
    store(tmp_path, seen(5, 2, hour=2), thing="hub-2")
    first = pass_over(tmp_path, "hub-1", "hub-2")
    store(tmp_path, seen(5, 3, hour=0))  # stored late
    store(tmp_path, seen(5, 1, hour=2), late=60)  # the same message, delivered again

    second = pass_over(tmp_path, "hub-1", "hub-2")
    third = pass_over(tmp_path, "hub-1", "hub-2")

    assert [counts(found) for found in (first, second, third)] == [
        {"hub-1": 1, "hub-2": 1}, {"hub-1": 1, "hub-2": 0}, {"hub-1": 0, "hub-2": 0},
    ]  # fmt: skip
    assert not (tmp_path / "monitor" / "reading").exists() or not list(
        (tmp_path / "monitor" / "reading").iterdir()
    )


def test_what_was_not_judged_is_read_again(tmp_path: Path) -> None:
    store(tmp_path, seen(5, 1), seen(5, 2, hour=1, model_version="2.0.0"))

    pass_over(tmp_path, judged=["1.0.0"])
    waiting = read_fleet(stored(tmp_path), tmp_path, ["hub-1"], 1)

    assert list(waiting.things[0].versions) == ["2.0.0"]


def test_a_pass_that_is_killed_before_it_remembers_loses_nothing(tmp_path: Path) -> None:
    store(tmp_path, seen(5, 1))
    read_fleet(stored(tmp_path), tmp_path, ["hub-1"], 1)  # and there it ends

    assert counts(pass_over(tmp_path)) == {"hub-1": 1}


def test_both_ways_of_reading_keep_one_cursor(tmp_path: Path) -> None:
    store(tmp_path, seen(5, 1), "{")
    found = pass_over(tmp_path)

    again = read_new_windows(stored(tmp_path), tmp_path, "hub-1")

    assert found.things[0].skipped == {"payload: is not JSON": 1}
    assert (again.windows, again.skipped) == ((), {})


def test_a_group_and_the_fleet_are_sums_of_their_things(tmp_path: Path) -> None:
    windows = [seen(20, number, hour=number) for number in range(3)]
    for number, window in enumerate(windows):
        store(tmp_path, window, thing=f"hub-{number}")

    found = read_fleet(stored(tmp_path), tmp_path, stored(tmp_path).things(""), 1)

    assert found.together()["1.0.0"].summary == reduce(merge, windows)
    assert found.together({"hub-0", "hub-2"})["1.0.0"].summary == merge(windows[0], windows[2])
    assert found.windows == 3


def test_processes_find_what_one_finds(tmp_path: Path) -> None:
    things = [f"hub-{number}" for number in range(9)]
    for number, thing in enumerate(things):
        store(tmp_path, seen(5, number), thing=thing)

    alone, together = (read_fleet(stored(tmp_path), tmp_path, things, n).things for n in (1, 2))

    assert alone == together


def test_reasons_without_end_are_counted_and_not_all_remembered(tmp_path: Path) -> None:
    store(tmp_path, *(f'{{"field{number}": 1}}' for number in range(MOST_REASONS + 50)))

    (found,) = read_fleet(stored(tmp_path), tmp_path, ["hub-1"], 1).things

    assert len(found.skipped) <= MOST_REASONS + 1
    assert sum(found.skipped.values()) == MOST_REASONS + 50


def test_a_cursor_of_the_former_form_goes_on(tmp_path: Path) -> None:
    path = store(tmp_path, seen(5, 1))
    first = read_new_windows(stored(tmp_path), tmp_path, "hub-1")
    (window,) = first.windows
    (tmp_path / "monitor").mkdir()
    former = tmp_path / "monitor" / "hub-1.json"
    name = f"{window.summary.start}-5"
    former.write_text(f'{{"since": "{window.received_at}", "judged": {{"{name}": "2026"}}}}')

    found = read_new_windows(stored(tmp_path), tmp_path, "hub-1")
    write_cursor(tmp_path, "hub-1", read_cursor(tmp_path, "hub-1"))

    assert path.is_file()
    assert found.windows == ()
    assert not former.exists()


def test_a_cursor_of_many_windows_is_small(tmp_path: Path) -> None:
    judged = {key_of(str(number)): "2026-11-22T12:00:00.000000Z" for number in range(5000)}
    cursor = Cursor("2026-11-22T12:00:00.000000Z", judged)

    write_cursor(tmp_path, "hub-1", cursor)

    assert read_cursor(tmp_path, "hub-1") == cursor
    assert cursor_file(tmp_path, "hub-1").stat().st_size < 32 * 5000


def test_a_damaged_cursor_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write_cursor(tmp_path, "hub-1", Cursor())
    cursor_file(tmp_path, "hub-1").write_bytes(b"PAR1")

    with pytest.raises(InvalidInputError, match="Delete it"):
        read_fleet(stored(tmp_path), tmp_path, ["hub-1"], 1)


def test_what_is_no_name_of_a_thing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no such name"):
        read_fleet(LocalStatistics(tmp_path), tmp_path, ["../hub-1"], 1)


def test_a_window_of_another_thing_counts_for_nobody(tmp_path: Path) -> None:
    path = store(tmp_path, seen(5, 1), thing="hub-2")
    elsewhere = path.parent.with_name("thing=hub-1")
    elsewhere.mkdir()
    path.rename(elsewhere / path.name)

    found = read_fleet(stored(tmp_path), tmp_path, ["hub-1"], 1)

    assert found.windows == 0
    assert found.things[0].skipped == {"thing: is not the thing that it was stored for": 1}
