"""A child process whose output is read line by line, and of which nothing is left afterwards."""

import codecs
import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

GRACE_SECONDS = 5.0
LOOK_EVERY_SECONDS = 0.5
POLL_SECONDS = 0.02
CHUNK_BYTES = 1 << 16


class TimeLimitError(Exception):
    """The process took longer than it may."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. Its standard input is a pipe that is open as long as this process lives."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    seconds: float
    inherited: tuple[int, ...] = ()


def run(program: Program, on_line: Callable[[str], None]) -> int:
    """Run `program`, give its lines (stdout and stderr) to `on_line`, and return its exit status.

    Whatever happens, interruption included, the process and all that it started have ended when
    this returns. Raises TimeLimitError, OSError when it cannot be started, and what `on_line` does.
    """
    deadline = time.monotonic() + program.seconds
    child = subprocess.Popen(
        program.arguments,
        env=dict(program.environment),
        cwd=program.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=program.inherited,
    )
    try:
        for line in _lines(child, deadline):
            on_line(line)
        return child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise TimeLimitError from error
    finally:
        end(child)


def _lines(child: subprocess.Popen[bytes], deadline: float) -> Iterator[str]:
    """Lines as they come, until end of file, or until the child is gone and the pipe is empty."""
    assert child.stdout is not None
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeLimitError
            gone = child.poll() is not None
            if not selector.select(0 if gone else min(left, LOOK_EVERY_SECONDS)):
                if gone:
                    break
                continue
            chunk = os.read(child.stdout.fileno(), CHUNK_BYTES)
            if not chunk:
                break
            *lines, rest = (rest + decoder.decode(chunk)).split("\n")
            yield from lines
    if rest:
        yield rest


def end(child: subprocess.Popen[bytes]) -> None:
    """End the child's whole tree: SIGTERM, a grace period, SIGKILL."""
    tree = _tree(child.pid)
    try:
        _signal(tree, signal.SIGTERM)
        _wait(tree, GRACE_SECONDS)
    finally:
        tree += _tree(child.pid)
        _signal(tree, signal.SIGKILL)
        child.wait()
        _wait(tree, GRACE_SECONDS)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _tree(leader: int) -> list[psutil.Process]:
    """All that live in the leader's process group, and its descendants in any other."""
    found = {process.pid: process for process in psutil.process_iter() if _group(process) == leader}
    with contextlib.suppress(psutil.NoSuchProcess):
        found |= {child.pid: child for child in psutil.Process(leader).children(recursive=True)}
    return [process for process in found.values() if _lives(process)]


def _group(process: psutil.Process) -> int:
    try:
        return os.getpgid(process.pid)
    except (ProcessLookupError, PermissionError):
        return -1


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _wait(processes: Sequence[psutil.Process], seconds: float) -> None:
    """Until all have ended. An orphan that nobody reaps stays a zombie; that is an end as well."""
    deadline = time.monotonic() + seconds
    while any(map(_lives, processes)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
