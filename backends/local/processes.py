"""Background processes of this machine: started detached, found again, and ended safely.

Each has a file `<folder>/<name>.json` with its pid and the time it was started; a process that only
inherited the pid is never touched.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from backends.local.files import read_json, write_json

STOP_SECONDS = 30.0
_SAME_START = 0.05  # seconds; psutil derives both from the same clock ticks
_TICK = 0.05


@dataclass(frozen=True, slots=True)
class Background:
    """A process that was started as `name`; `started` is its creation time (seconds since 1970)."""

    name: str
    pid: int
    started: float
    log: Path

    def is_running(self) -> bool:
        _reap(self.pid)
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _SAME_START
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


class Processes:
    """The background processes of one EDGEWARD_HOME."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, name: str) -> Background | None:
        """The running process of that name."""
        entry = read_json(self._folder / f"{name}.json")
        if entry is None:
            return None
        try:
            known = Background(name, int(entry["pid"]), float(entry["started"]), Path(entry["log"]))
        except (KeyError, TypeError, ValueError):
            return None
        return known if known.is_running() else None

    def all(self) -> list[Background]:
        names = sorted(path.name.removesuffix(".json") for path in self._folder.glob("[!.]*.json"))
        return [found for name in names if (found := self.find(name)) is not None]

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> tuple[Background, bool]:
        """The process, and whether this call started it: one that runs already is left alone.

        Its output is appended to `log`; its session is its own, so no Ctrl-C reaches it. Raises
        OSError when the program cannot be started.
        """
        with self.locked(name):
            running = self.find(name)
            if running is not None:
                return running, False
            log.parent.mkdir(parents=True, exist_ok=True)
            pid = _spawn(command, environment, log)
            started = psutil.Process(pid).create_time()
            entry = {"pid": pid, "started": started, "log": str(log), "command": list(command)}
            try:
                write_json(self._folder / f"{name}.json", entry)
            except OSError:
                os.kill(pid, signal.SIGKILL)  # nobody could find it again
                raise
            return Background(name, pid, started, log), True

    def stop(self, name: str, seconds: float = STOP_SECONDS) -> bool:
        """SIGTERM, and SIGKILL to its tree after `seconds`; whether there was one to stop."""
        with self.locked(name):
            running = self.find(name)
            if running is not None:
                _end(running, seconds)
            (self._folder / f"{name}.json").unlink(missing_ok=True)
            return running is not None

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Keeps other callers, also in other processes, from starting or stopping `name`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _spawn(command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    """Without subprocess.Popen, which would warn about a child that is meant to outlive it."""
    appended = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        command[0],
        list(command),
        dict(environment),
        setsid=True,
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE],
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), appended, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )


def _end(running: Background, seconds: float) -> None:
    process = psutil.Process(running.pid)
    with contextlib.suppress(psutil.NoSuchProcess):
        children = process.children(recursive=True)
        process.terminate()
        deadline = time.monotonic() + seconds
        while running.is_running() and time.monotonic() < deadline:
            time.sleep(_TICK)
        left = [process, *children] if running.is_running() else children
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()  # psutil checks the creation time before it signals
        psutil.wait_procs(left, timeout=seconds)
    _reap(running.pid)


def _reap(pid: int) -> None:
    """A child of ours that ended stays a zombie until somebody asks."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
