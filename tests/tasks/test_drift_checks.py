"""What the monitor finds beside moved pictures: silence, strange messages, slow answers."""

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from backends.artifacts import Reporting
from tasks.device_comparison import MonitorLimits, measure
from tasks.drift.alarms import Finding, State, write_state
from tasks.drift.chunks import chunked
from tasks.drift.messages import changed_messages, silence, things_at_once
from tasks.drift.recent import recent, with_recent
from tasks.drift.scopes import of_thing
from tasks.monitoring import judge, read_unjudged
from tasks.statistics_store import read_cursor, read_new_windows
from tests.tasks.test_alarms import look as looked
from tests.tasks.test_alarms import play
from tests.tasks.windows import LABELS, NOON, baseline, knows, seen, store, stored

LIMITS = MonitorLimits()


def broken(found: Iterable[Finding]) -> list[str]:
    return [finding.check for finding in found if finding.broken]


def test_a_class_that_the_model_does_not_know_shows_though_the_pictures_look_as_ever() -> None:
    known = knows(seen(400, seed=7))
    now = seen(200, 1)
    now.features["confidence"] = seen(200, 1, confidence=0.76).features["confidence"]

    assert broken(measure(known, now, LIMITS)) == ["prediction.unsure"]


def test_a_label_that_the_model_does_not_have_is_trouble() -> None:
    found = list(measure(knows(seen(400, seed=7)), seen(60, 1, labels=[*LABELS, "deer"]), LIMITS))

    assert broken(found) == ["messages.labels"]
    assert "deer" in next(one.says for one in found if one.broken)


def test_a_device_is_held_against_its_own_first_latencies() -> None:
    known, first, now = knows(seen(400, seed=7)), seen(150, 1), seen(150, 2)
    as_fast = broken(measure(known, now, LIMITS, first.latency_bins))
    now.latency_bins = [*[0] * 4, *now.latency_bins[:-4]]  # ten times slower

    assert as_fast == []
    assert broken(measure(known, now, LIMITS, first.latency_bins)) == ["device.latency"]


def test_of_so_short_a_time_a_multiple_is_no_trouble() -> None:
    """A busy moment makes three milliseconds of one."""
    known, first, now = knows(seen(400, seed=7)), seen(150, 1), seen(150, 2)
    first.latency_bins = [0] * len(first.latency_bins)
    first.latency_bins[4] = 150  # 1 to 1.8 ms
    now.latency_bins = [0] * len(now.latency_bins)
    now.latency_bins[6] = 150  # 3.2 to 5.6 ms

    assert broken(measure(known, now, LIMITS, first.latency_bins)) == []


@pytest.mark.parametrize(
    ("minutes", "says"), [(3, []), (19, []), (21, ["device.silence"])], ids=["now", "just", "late"]
)
def test_a_device_that_misses_four_of_its_intervals_is_silent(
    minutes: int, says: list[str]
) -> None:
    device = Reporting("hub-1", interval=300, heard=NOON.isoformat(), problem="it is stopped")

    found = list(silence(device, LIMITS, NOON + timedelta(minutes=minutes)))

    assert broken(found) == says
    assert "it is stopped" in found[0].says


def test_of_a_device_that_should_say_nothing_no_silence_is_told() -> None:
    assert list(silence(Reporting("hub-1"), LIMITS, NOON)) == []


@pytest.mark.parametrize(
    "payload",
    [
        {**seen(1).to_dict(), "humidity": 3},
        {name: held for name, held in seen(1).to_dict().items() if name != "labels"},
    ],
    ids=["a new field", "a missing field"],
)
def test_messages_of_another_form_are_told_with_the_field(
    tmp_path: Path, payload: dict[str, object]
) -> None:
    store(tmp_path, json.dumps(payload), seen(20, 1))

    (found,) = changed_messages([read_new_windows(stored(tmp_path), tmp_path, "hub-1")])

    assert (found.check, found.broken) == ("messages.schema", True)
    assert "humidity" in found.says or "labels" in found.says


def test_things_that_drift_at_once_are_counted_and_named() -> None:
    drifting, _ = play(State(), [looked(0, "input.brightness")])

    found = list(things_at_once({"a": drifting, "b": drifting, "c": State()}, LIMITS))

    assert broken(found) == ["things.drifting"]
    assert "2 of 3 things drift at once: a, b" in found[0].says


def test_windows_are_joined_until_they_are_enough_and_none_is_left_over(tmp_path: Path) -> None:
    store(tmp_path, *(seen(60, hour, hour=hour) for hour in range(5)))

    chunks = chunked([read_new_windows(stored(tmp_path), tmp_path, "hub-1")], 100)

    assert [(chunk.windows, chunk.summary.count) for chunk in chunks] == [(2, 120), (3, 180)]


def test_a_group_merges_the_windows_of_its_things(tmp_path: Path) -> None:
    for thing in ("hub-1", "hub-2"):
        store(tmp_path, seen(60, 1 if thing == "hub-1" else 2), thing=thing)
    found = [read_new_windows(stored(tmp_path), tmp_path, f"hub-{n}") for n in (1, 2)]

    (chunk,) = chunked(found, 100)

    assert (chunk.things, chunk.summary.count) == (("hub-1", "hub-2"), 120)


def test_the_last_looks_are_taken_together_by_model_version() -> None:
    state = State()
    for hour in range(4):
        state = with_recent(state, seen(10, hour, hour=hour))

    together = recent(state, seen(10, 9, hour=9))

    assert together is not None
    assert together.count == 30
    assert recent(state, seen(10, 9, hour=9, model_version="2.0.0")) is None


def test_a_look_that_was_cut_off_before_its_cursor_moved_is_finished_not_repeated(
    tmp_path: Path,
) -> None:
    hub = of_thing("hub-1")
    baseline(tmp_path, seen(200, seed=7))
    store(tmp_path, seen(150, 1), seen(20, 2, hour=1, model_version="2.0.0"))
    cut_off = judge(tmp_path, hub, read_unjudged(stored(tmp_path), tmp_path, hub), LIMITS)
    write_state(tmp_path, hub, cut_off.state)
    store(tmp_path, seen(120, 3, hour=2))

    (found,) = read_unjudged(stored(tmp_path), tmp_path, hub)

    assert [one.summary.count for one in found.windows] == [20, 120]
    assert len(read_cursor(tmp_path, "hub-1").judged) == 1
