"""Many files on all cores: in order, within bounds, and with nothing left running."""

import contextlib
import os
import signal
import time

import psutil
import pytest

from backends.errors import JobError
from backends.workers import map_in_order


def square(number: int) -> int:
    return number * number


def own_pid(_number: int) -> int:
    return os.getpid()


def fail_at_seven(number: int) -> int:
    if number == 7:
        raise ValueError("seven")
    return number


def die(_number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def gone(pids: set[int]) -> bool:
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    found = list(map_in_order(square, range(100), workers, what="squares", chunk=3))

    assert found == [number * number for number in range(100)]


def test_items_are_not_taken_faster_than_results_are() -> None:
    items = iter(range(10_000))

    with contextlib.closing(map_in_order(square, items, 2, what="squares", chunk=4)) as results:
        next(results)

    assert next(items) < 100


def test_what_the_function_raises_reaches_the_caller_and_the_workers_end() -> None:
    pids = set(map_in_order(own_pid, range(40), 2, what="pids", chunk=1))

    with pytest.raises(ValueError, match="seven"):
        list(map_in_order(fail_at_seven, range(40), 2, what="numbers", chunk=2))

    assert os.getpid() not in pids
    assert gone(pids)


def test_an_iterator_that_is_closed_early_ends_its_workers() -> None:
    with contextlib.closing(map_in_order(own_pid, range(500), 2, what="pids", chunk=1)) as results:
        pids = {next(results), next(results)}

    assert gone(pids)


def test_a_killed_worker_is_an_error_of_ours() -> None:
    with pytest.raises(JobError, match=r"'ingest'.*worker process was killed"):
        list(map_in_order(die, range(4), 2, what="ingest", chunk=1))
