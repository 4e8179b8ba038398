"""The monitor names what drifted, is quiet about chance, and judges every window once."""

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from backends.errors import InvalidInputError
from backends.local.cloud.rules import apply
from backends.local.cloud.tables import Tables
from edge.contract import encode, statistics_message
from edge.statistics import PICTURE_FEATURES
from tasks.business_understanding import Targets
from tasks.device_comparison import MonitorLimits, measure, monitor_limits
from tasks.drift.alarms import Finding
from tasks.statistics_store import read_new_windows
from tests.tasks.windows import NOON, baseline, knows, monitor_thing, seen, store, stored

LIMITS = MonitorLimits()


def _failures(found: Iterable[Finding]) -> list[str]:
    return [finding.check for finding in found if finding.broken]


def test_a_hundred_quiet_windows_raise_at_most_two_alarms() -> None:
    before = knows(seen(200, seed=7))

    alarms = [_failures(measure(before, seen(100, seed), LIMITS)) for seed in range(100, 200)]

    assert sum(map(bool, alarms)) <= 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"brightness": 0.2}, ["input.brightness"]),
        ({"confidence": 0.6}, ["confidence", "prediction.unsure"]),
        ({"labels": ("car",)}, ["prediction.labels"]),
    ],
    ids=["night", "unsure", "only cars"],
)
def test_what_drifted_is_named_and_nothing_else_is(
    tmp_path: Path, change: dict[str, float], named: list[str]
) -> None:
    baseline(tmp_path, seen(200, seed=7))
    store(tmp_path, seen(60, 1, hour=0, **change), seen(60, 2, hour=1, **change))  # type: ignore[arg-type]

    report = monitor_thing(tmp_path, "hub-1", LIMITS)

    assert (report.status, report.drifted) == ("drift", tuple(named))
    assert (report.windows, report.pictures) == (2, 120)
    assert "in training" in report.reason
    assert (report.since[:16], report.until[:16]) == ("2026-11-22T12:00", "2026-11-22T14:00")
    check = next(check for check in report.checks if check.name == named[0])
    assert check.measured is not None
    assert check.limit is not None
    assert check.measured > check.limit
    assert f"{named[0]} stays within its limit" in Path(report.data_docs).read_text()
    json.dumps(report.to_dict(), allow_nan=False)


def test_a_quiet_device_is_reported_as_ok(tmp_path: Path) -> None:
    baseline(tmp_path, seen(200, seed=7))
    store(tmp_path, seen(150, 1))

    report = monitor_thing(tmp_path, "hub-1", LIMITS)

    assert (report.status, report.drifted) == ("ok", ())
    assert [check.name for check in report.checks if check.passed] == [
        *(f"input.{name}" for name in PICTURE_FEATURES),
        "prediction.labels",
        "confidence",
        "prediction.unsure",
        "messages.labels",
        "pictures.unreadable",
        "messages.schema",
    ]


def test_a_camera_that_went_blind_is_named(tmp_path: Path) -> None:
    blind = seen(5, 1)
    for _ in range(200):
        blind.add_unreadable()
    baseline(tmp_path, seen(200, seed=7))
    store(tmp_path, blind)

    report = monitor_thing(tmp_path, "hub-1", LIMITS)

    assert report.drifted == ("pictures.unreadable",)
    assert "200 of 205" in report.reason


def test_a_window_is_judged_once(tmp_path: Path) -> None:
    baseline(tmp_path, seen(200, seed=7))
    store(tmp_path, seen(150, 1, hour=0))
    first = monitor_thing(tmp_path, "hub-1", LIMITS)
    store(tmp_path, seen(150, 1, hour=0), late=60)  # the same message, delivered again
    store(tmp_path, seen(120, 2, hour=1))

    second = monitor_thing(tmp_path, "hub-1", LIMITS)
    third = monitor_thing(tmp_path, "hub-1", LIMITS)

    assert [report.pictures for report in (first, second, third)] == [150, 120, 0]
    assert third.status == "no data"
    assert "nothing was reported" in third.reason


def test_a_window_that_is_stored_late_is_not_lost(tmp_path: Path) -> None:
    baseline(tmp_path, seen(200, seed=7))
    store(tmp_path, seen(150, 1, hour=2))
    monitor_thing(tmp_path, "hub-1", LIMITS)
    store(tmp_path, seen(130, 2, hour=0))

    report = monitor_thing(tmp_path, "hub-1", LIMITS)

    assert report.pictures == 130


def test_few_pictures_wait_until_there_are_enough(tmp_path: Path) -> None:
    baseline(tmp_path, seen(200, seed=7))
    store(tmp_path, seen(60, 1, hour=0))

    early = monitor_thing(tmp_path, "hub-1", LIMITS)
    store(tmp_path, seen(60, 2, hour=1))
    enough = monitor_thing(tmp_path, "hub-1", LIMITS)

    assert (early.status, early.pictures) == ("no data", 60)
    assert "pictures: 6" in early.reason
    assert (enough.status, enough.pictures) == ("ok", 120)


def test_a_still_camera_that_repeats_itself_is_no_evidence(tmp_path: Path) -> None:
    baseline(tmp_path, seen(200, seed=7))
    store(tmp_path, seen(10, 1, repeated=50))

    report = monitor_thing(tmp_path, "hub-1", LIMITS)

    assert (report.status, report.pictures) == ("no data", 500)
    assert "too few different pictures: 1" in report.reason


def test_pictures_seen_twice_raise_no_more_alarms_than_those_seen_once() -> None:
    before = knows(seen(200, seed=7))

    alarms = [_failures(measure(before, seen(120, n, repeated=9), LIMITS)) for n in range(60)]

    assert sum(map(bool, alarms)) <= 1


def test_a_model_without_a_baseline_is_never_called_fine(tmp_path: Path) -> None:
    baseline(tmp_path, seen(200, seed=7))
    store(tmp_path, seen(150, 1, model_version="2.0.0"))

    missing = monitor_thing(tmp_path, "hub-1", LIMITS)
    baseline(tmp_path, seen(200, seed=8, model_version="2.0.0"))
    written = monitor_thing(tmp_path, "hub-1", LIMITS)

    assert (missing.status, missing.drifted) == ("no baseline", ())
    assert "2.0.0: no baseline" in missing.reason
    assert (written.status, written.pictures) == ("ok", 150)


def test_each_model_version_is_compared_with_its_own_baseline(tmp_path: Path) -> None:
    baseline(tmp_path, seen(200, seed=7, brightness=0.2))
    baseline(tmp_path, seen(200, seed=8, model_version="2.0.0"))
    store(
        tmp_path,
        seen(150, 1, hour=0, brightness=0.2),
        seen(150, 2, hour=1, model_version="2.0.0"),
        seen(150, 3, hour=2, model_version="3.0.0"),
    )

    report = monitor_thing(tmp_path, "hub-1", LIMITS)

    assert report.status == "ok"
    passed = {check.model_version for check in report.checks if check.passed}
    assert passed == {"1.0.0", "2.0.0", ""}, "those of the messages are of no version"
    assert [check.model_version for check in report.checks if check.passed is None] == ["3.0.0"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("{", "payload: is not JSON"),
        ("[1]", "payload: is not a JSON object"),
        ('{"count": 3}', "lacks"),
        (json.dumps({"thing": "hub-9", **seen(1).to_dict()}), "thing: is not the thing"),
        (json.dumps({**seen(1).to_dict(), "labels": {"car": -1}}), "labels.car"),
    ],
)
def test_what_cannot_be_understood_is_counted_with_its_reason(
    tmp_path: Path, payload: str, reason: str
) -> None:
    store(tmp_path, payload, seen(150, 1), payload)

    found = read_new_windows(stored(tmp_path), tmp_path, "hub-1")

    assert [window.summary.count for window in found.windows] == [150]
    assert list(found.skipped.values()) == [1]
    assert reason in next(iter(found.skipped))


def test_what_cannot_be_understood_stops_nothing_and_is_reported_once(tmp_path: Path) -> None:
    baseline(tmp_path, seen(200, seed=7))
    store(tmp_path, "{", seen(150, 1))

    report = monitor_thing(tmp_path, "hub-1", LIMITS)
    again = monitor_thing(tmp_path, "hub-1", LIMITS)

    assert (report.status, report.skipped) == ("ok", {"payload: is not JSON": 1})
    assert again.skipped == {}


def test_a_file_that_is_no_parquet_stops_nothing(tmp_path: Path) -> None:
    baseline(tmp_path, seen(200, seed=7))
    store(tmp_path, seen(150, 1)).with_name("half.parquet").write_bytes(b"PAR1 half")

    report = monitor_thing(tmp_path, "hub-1", LIMITS)

    assert report.status == "ok"
    assert "half.parquet" in next(iter(report.skipped))


def test_a_damaged_cursor_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "monitor").mkdir()
    (tmp_path / "monitor" / "hub-1.json").write_text("{}")

    with pytest.raises(InvalidInputError, match="Delete it"):
        monitor_thing(tmp_path, "hub-1", LIMITS)


@pytest.mark.parametrize("thing", ["../hub-1", "", "hub*", "a/b"])
def test_what_is_no_name_of_a_thing_is_refused(tmp_path: Path, thing: str) -> None:
    with pytest.raises(InvalidInputError, match="no such name"):
        monitor_thing(tmp_path, thing, LIMITS)


def test_what_the_topic_rules_store_is_what_the_monitor_reads(tmp_path: Path) -> None:
    tables = Tables(tmp_path / "cloud")
    for hour in range(2):
        window = seen(60, seed=hour, hour=hour)
        message = encode(statistics_message("hub-1", window.to_dict()))
        for _ in range(2):  # delivered twice
            tables.add(apply("edgeward/hub-1/statistics", message, NOON + timedelta(hours=hour)))
    tables.close()
    baseline(tmp_path, seen(200, seed=7))

    report = monitor_thing(tmp_path, "hub-1", LIMITS)
    again = monitor_thing(tmp_path, "hub-1", LIMITS)

    assert (report.status, report.windows, report.pictures) == ("ok", 2, 120)
    assert (again.status, again.windows) == ("no data", 0)


def test_the_targets_limits_decide_about_drift(tmp_path: Path) -> None:
    statuses = []
    for number, drift in enumerate(({"max_psi": 9.0}, {"max_psi": 0.1}, {"min_samples": 500})):
        home = tmp_path / str(number)
        baseline(home, seen(200, seed=7))
        store(home, seen(150, 1, brightness=0.4))
        limits = monitor_limits(Targets.model_validate({"drift": drift}))
        statuses.append(monitor_thing(home, "hub-1", limits).status)

    assert statuses == ["ok", "drift", "no data"]


def test_the_rarest_labels_added_up_by_a_device_are_no_drift() -> None:
    before = knows(seen(300, seed=7, labels=[f"kind-{n}" for n in range(30)]))
    now = seen(300, seed=8, labels=[f"kind-{n}" for n in range(30)])
    ranked = sorted(now.labels.items(), key=lambda item: -item[1])
    now.labels = dict(ranked[:10]) | {"(other)": sum(count for _, count in ranked[10:])}

    mix = next(one for one in measure(before, now, LIMITS) if one.check == "prediction.labels")

    assert not mix.broken
