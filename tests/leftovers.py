"""Processes that outlive the tests that started them: they are ended, and they fail the session.

Every process of a session inherits a mark in its environment, also those that leave its tree.
"""

import os
import time

import psutil

MARK = "TESTS_OF_EDGEWARD"
GRACE_SECONDS = 10.0  # for what is ending by itself
OF_THE_SESSION = ("sys.stdin.readline()", "from multiprocessing.")
"""Of xdist's workers, and of the pools' servers: they end with the process that has them."""


def mark_session() -> None:
    os.environ[MARK] = str(os.getpid())


def end_leftovers(seconds: float = GRACE_SECONDS) -> list[str]:
    """The command lines of what was still there after a while; none of it is any more."""
    deadline = time.monotonic() + seconds
    while (left := _left()) and time.monotonic() < deadline:
        time.sleep(0.1)
    told = []
    for process in left:
        try:
            told.append(" ".join(process.cmdline()))
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=seconds)
    return told


def _left() -> list[psutil.Process]:
    mark, mine = os.environ.get(MARK), psutil.Process()
    return [process for process in psutil.process_iter() if process != mine and _has(process, mark)]


def _has(process: psutil.Process, mark: str | None) -> bool:
    try:
        return (
            process.status() != psutil.STATUS_ZOMBIE
            and process.environ().get(MARK) == mark
            and not any(words in " ".join(process.cmdline()) for words in OF_THE_SESSION)
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
