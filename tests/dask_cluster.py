"""A Dask cluster of real processes on loopback: a scheduler, and workers without nannies."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from backends.settings import PROJECT
from backends.workers import Cluster

_DASK = [sys.executable, "-m", "dask"]
_SECONDS = 120


@dataclass(frozen=True)
class Running:
    """A cluster that works, and its workers' processes."""

    cluster: Cluster
    workers: tuple[int, ...]


@contextlib.contextmanager
def dask_cluster(folder: Path, workers: int = 2) -> Iterator[Running]:
    """Started below `folder`, and ended with everything that it started."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as started:
        address = _scheduler(started, folder)
        pids = []
        for number in range(workers):
            where = ["--local-directory", str(folder / f"worker-{number}"), "--no-dashboard"]
            options = ["--no-nanny", "--nthreads", "1", "--host", "127.0.0.1", *where]
            pids.append(
                _start(started, folder / f"worker-{number}.log", "worker", address, *options)
            )
        _await_workers(address, workers)
        yield Running(Cluster(address), tuple(pids))


def _scheduler(started: contextlib.ExitStack, folder: Path) -> str:
    file = folder / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
    _start(started, folder / "scheduler.log", "scheduler", *options, "--scheduler-file", str(file))
    import json

    deadline = time.monotonic() + _SECONDS
    while True:
        with contextlib.suppress(OSError, ValueError):
            return str(json.loads(file.read_text())["address"])
        assert time.monotonic() < deadline, (folder / "scheduler.log").read_text()
        time.sleep(0.05)


def _await_workers(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, timeout=_SECONDS, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=_SECONDS)


def _start(started: contextlib.ExitStack, log: Path, *words: str) -> int:
    stream = started.enter_context(log.open("wb"))
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*_DASK, *words], stdout=stream, stderr=stream, cwd=PROJECT, env=environment
    )
    started.callback(_end, process)
    return process.pid


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
    process.kill()
    process.wait(30)
