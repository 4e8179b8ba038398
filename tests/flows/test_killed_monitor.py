"""A monitor that is killed anywhere loses no window, judges none twice, and repeats no alarm.

What would break for a user: an alarm that nobody hears, or the same one at every restart.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from backends.settings import PROJECT
from flows.monitor import MonitorPlan, monitor
from tasks.drift.alarms import read_state
from tasks.drift.scopes import of_thing
from tasks.statistics_store import read_cursor
from tests.flows.test_watch import heard
from tests.tasks.windows import baseline, seen, store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

MOST_STEPS = 12


def test_a_monitor_that_is_killed_at_any_step_tells_once_and_counts_once(home: Path) -> None:
    baseline(home, seen(200, seed=7))
    for step in range(1, MOST_STEPS):
        thing = f"killed-{step}"
        store(home, seen(150, 1, brightness=0.15), thing=thing)

        survived = outlives(step, thing, home)
        store(home, seen(150, 2, hour=2, brightness=0.15), thing=thing)
        monitor(MonitorPlan(thing=thing))

        assert len(heard("edgeward.drift", f"edgeward.thing.{thing}")) == 1
        state = read_state(home, of_thing(thing))
        assert sum(look.pictures for look in state.history) == 300, f"at step {step}"
        assert (state.alarms["drift"].episode, state.episodes) == (1, {"drift": 1})
        assert len(read_cursor(home, thing).judged) == 2
        assert monitor(MonitorPlan(thing=thing)).status == "no data"
        if survived:
            break
    assert survived
    assert step > 3, "an event, the state and the cursor are steps"


def outlives(step: int, thing: str, home: Path) -> bool:
    """Whether the monitor ends before that step."""
    command = [sys.executable, "-P", "tests/fakes/mortal_monitor.py", str(step), thing]
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "EDGEWARD_HOME": str(home),
        "PREFECT_API_URL": PREFECT_API_URL.value(),
    }
    ended = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode == 0
