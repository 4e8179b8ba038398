"""What the played scenarios share: a line with the time, a wait with an end, a wrong turn."""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime


class StoryError(Exception):
    """The story took another turn than a system that one can trust would take."""


def say(text: str) -> None:
    sys.stdout.write(f"{datetime.now(UTC):%H:%M:%S}  {text}\n")
    sys.stdout.flush()


def until[T](what: str, found: Callable[[], T | None], seconds: float) -> T:
    """The first truthy value that `found` gives. Raises StoryError after `seconds` without one."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        if time.monotonic() > deadline:
            raise StoryError(f"no {what} within {seconds:g} s")
        time.sleep(0.5)
    return value
