"""The unchanged core device, killed at its n-th durable step.

    python tests/fakes/mortal_device.py <n> <thing-root>

A step is a file that is forced to the disk, or one that takes its place under its final name. The
device dies just before step n, by SIGKILL. What only tells people about it does not count.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backends.local.nucleus.__main__ import main


class Countdown:
    """Kills this process when as many steps were begun as `left` says."""

    def __init__(self, left: int) -> None:
        self._left = left

    def guard(self, module: Any, name: str, file: Callable[..., str]) -> None:
        step = getattr(module, name)

        def guarded(*arguments: Any, **options: Any) -> Any:
            if not Path(file(*arguments)).name.startswith(".status.json-"):
                self._begin()
            return step(*arguments, **options)

        setattr(module, name, guarded)

    def _begin(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def of_descriptor(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


if __name__ == "__main__":
    countdown = Countdown(int(sys.argv.pop(1)))
    for name in ("replace", "rename"):
        countdown.guard(os, name, lambda source, *_, **__: str(source))
    countdown.guard(os, "fsync", of_descriptor)
    sys.exit(main())
