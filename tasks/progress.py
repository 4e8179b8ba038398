"""Shows progress in the run's log: a line every few seconds, whatever the number of steps."""

import time

from prefect import get_run_logger

from backends.ports import Progress

_SECONDS_BETWEEN_LINES = 5.0


def log_progress(verb: str) -> Progress:
    """Make a progress callable that writes to the log of the current flow or task run."""
    logger = get_run_logger()
    last = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            logger.info("%s: %d of %s", verb, done, total or "?")

    return say
