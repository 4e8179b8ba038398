"""A terminal that has imported everything already: each command is a fork of it.

A command of ours takes a tenth of a second for itself, and seconds to import what it needs. This
imports once, and gives each command a process and a session of its own, and files for what it
says. It is told what to run in lines of JSON, and answers with the process, then with its status.
"""

import gc
import json
import os
import pkgutil
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from backends.settings import PROJECT

PACKAGES = ("flows", "expectations")
NOT_OURS = ("flows.scenario_drift", "flows.scenario_offline")
"""Programs, which no command imports."""
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class WarmTerminal:
    """Runs commands in a folder, with the environment that it was started with."""

    process: "subprocess.Popen[str]"
    folder: Path

    def runs(self, words: Sequence[str], until: str = "", seconds: float = 300) -> Said:
        """Run `edgeward` with `words`; press Ctrl-C once it has printed `until`."""
        pid = int(self._asks({"words": list(words), "folder": str(self.folder)}))
        deadline = time.monotonic() + seconds
        pressed = False
        while _lives(pid):
            if until and not pressed and re.search(until, self._printed("out")):
                os.kill(pid, signal.SIGINT)
                pressed = True
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)
        status = int(self._asks({"end": pid}))
        return Said(status, self._printed("out"), self._printed("err"))

    def _asks(self, request: Mapping[str, object]) -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def _printed(self, stream: str) -> str:
        return (self.folder / f"{stream}.txt").read_text(encoding="utf-8")


@contextmanager
def warm_terminal(folder: Path, environment: Mapping[str, str]) -> Iterator[WarmTerminal]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.warm"],
        cwd=PROJECT,
        env={**os.environ, **ONE_THREAD, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield WarmTerminal(process, folder)
    finally:
        process.communicate(timeout=60)
    assert process.returncode == 0


def _lives(pid: int) -> bool:
    """Whether it has not ended; it stays a zombie until the terminal is asked for its status."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return stat.rpartition(")")[2].split()[0] != "Z"


def _import_everything() -> None:
    from flows.prefect_server import QUIET

    os.environ |= QUIET  # before Prefect is imported
    for name in PACKAGES:
        for found in pkgutil.walk_packages(import_module(name).__path__, f"{name}."):
            if found.name not in NOT_OURS:
                import_module(found.name)
    gc.collect()
    gc.freeze()  # a fork that ends need not look through all this


def _become(words: Sequence[str], folder: Path) -> None:
    """In the fork: what a shell does before a command begins."""
    os.setsid()
    os.chdir(folder)
    into = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(os.open(folder / "out.txt", into), 1)
    os.dup2(os.open(folder / "err.txt", into), 2)
    sys.argv = ["edgeward", *words]


def _fork(folder: Path) -> int:
    for stream in ("out", "err"):
        (folder / f"{stream}.txt").write_text("")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other thread is the allocator's, which minds forks
        return os.fork()


def _serve() -> None:
    _import_everything()
    from flows.__main__ import main

    while line := sys.stdin.readline():
        request = json.loads(line)
        if "end" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["end"], 0)[1])
        elif (answer := _fork(Path(request["folder"]))) == 0:
            _become(request["words"], Path(request["folder"]))
            main()
            return
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
