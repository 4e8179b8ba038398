"""The unchanged monitor, killed at its n-th durable step.

    python tests/fakes/mortal_monitor.py <n> <thing>

A step is an event that is told, or a file that takes its place under its final name. The monitor
dies just before step n, by SIGKILL.
"""

import os
import signal
import sys
from typing import Any

from flows import announcing
from flows.monitor import MonitorPlan, monitor
from tasks.drift import alarms
from tasks.telemetry import cursor


class Countdown:
    """Kills this process when as many steps were begun as `left` says."""

    def __init__(self, left: int) -> None:
        self._left = left

    def guard(self, module: Any, name: str) -> None:
        step = getattr(module, name)

        def guarded(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*arguments, **options)

        setattr(module, name, guarded)


if __name__ == "__main__":
    countdown = Countdown(int(sys.argv[1]))
    countdown.guard(announcing, "tell_surely")
    countdown.guard(alarms, "replace_file")
    countdown.guard(cursor, "replace_file")
    monitor(MonitorPlan(thing=sys.argv[2]))
