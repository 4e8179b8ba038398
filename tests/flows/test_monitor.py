"""The monitoring flow, run for real on a Prefect server."""

from pathlib import Path

import pytest

from flows.monitor import MonitorPlan, monitor
from tasks.device_comparison import MonitorLimits
from tests.tasks.windows import baseline, seen, store

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_reports_the_night_by_name_and_then_has_nothing_new(home: Path) -> None:
    baseline(home, seen(200, seed=7))
    store(home, seen(150, 1, brightness=0.15))

    first = monitor(MonitorPlan(thing="hub-1"))
    second = monitor(MonitorPlan(thing="hub-1"))

    assert (first.status, first.drifted) == ("drift", ("input.brightness",))
    assert Path(first.data_docs).is_file()
    assert second.status == "no data"


def test_a_stricter_limit_changes_the_decision(home: Path) -> None:
    baseline(home, seen(200, seed=7))
    store(home, seen(150, 1, brightness=0.4))

    report = monitor(MonitorPlan(limits=MonitorLimits(max_psi=50.0)))

    assert report.status == "ok"
