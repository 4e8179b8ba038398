"""Shows progress in the run's log and in the UI: every few seconds, however many the steps."""

import time

from prefect import get_run_logger

from backends.ports import Progress
from tasks.artifacts import SECONDS_BETWEEN, ProgressBar


def log_progress(verb: str) -> Progress:
    """Make a progress callable that writes to the log of the current flow or task run."""
    logger, bar = get_run_logger(), ProgressBar(f"progress-{verb}", f"Progress: {verb}")
    last = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN:
            last = time.monotonic()
            logger.info("%s: %d of %s", verb, done, total or "?")
        bar.show(done, total)

    return say
