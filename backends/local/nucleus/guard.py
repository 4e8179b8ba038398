"""Runs one lifecycle script and answers for its whole process tree. A program of its own.

    python -I -S guard.py <status fd> <grace seconds> <keep 0|1> <command>…

Standard input is the lifeline: when it ends (the device stops the script, or was killed itself),
every descendant gets SIGTERM and, after the grace time, SIGKILL. The command's exit status goes to
the status fd as a decimal line, as soon as it is known. Descendants that outlive the command are
ended with it, unless `keep` is 1 (a Startup script may leave its daemon behind).

It is a child subreaper, so nothing that the script starts can get away from it.
"""

import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIFELINE = 0
_TICK = 0.05
_SIGNALLED = 128


def main() -> int:
    status_fd, grace, keep = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "1"
    command = sys.argv[4:]
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(waker)
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: ending.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    main_child = _start(command, libc, status_fd)
    while True:
        readable, _, _ = select.select([_LIFELINE, wake], [], [])
        if wake in readable:
            os.read(wake, 4096)
        cut = _LIFELINE in readable and not os.read(_LIFELINE, 4096)
        left, code = _reap(main_child)
        if code is not None:
            _report(status_fd, code)
        if code is not None and not keep:
            cut = True
        if cut or ending:
            _end_tree(grace, main_child, status_fd)
            return 0
        if not left:
            return 0


def _start(command: list[str], libc: ctypes.CDLL, status_fd: int) -> int:
    """The command as a child; a SIGTERM that comes before it is in place is not lost on it."""
    guard = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        return child
    os.setpgid(0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != guard:
        os._exit(_SIGNALLED + signal.SIGKILL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.dup2(os.open(os.devnull, os.O_RDONLY), _LIFELINE)
    os.close(status_fd)
    try:
        os.execvp(command[0], command)  # noqa: S606 - this is what it is for
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
        os._exit(127)


def _reap(main_child: int) -> tuple[bool, int | None]:
    """Whether any child is left, and the command's exit status if it ended just now."""
    code = None
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return True, code
            if pid == main_child:
                ended = os.waitstatus_to_exitcode(status)
                code = ended if ended >= 0 else _SIGNALLED - ended
    except ChildProcessError:
        return False, code


def _report(status_fd: int, code: int) -> None:
    try:
        os.write(status_fd, f"{code}\n".encode())
    except OSError:
        return  # nobody is there to hear it


def _end_tree(grace: float, main_child: int, status_fd: int) -> None:
    deadline = time.monotonic() + grace
    asked: set[int] = set()
    while True:
        for pid in _descendants():
            if pid not in asked:  # also those that were started since
                asked.add(pid)
                _send(pid, signal.SIGTERM)
        left, code = _reap(main_child)
        if code is not None:
            _report(status_fd, code)
        if not left:
            return
        if time.monotonic() > deadline:
            for pid in _descendants():
                _send(pid, signal.SIGKILL)
        time.sleep(_TICK)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return  # gone, or not ours any more


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                text = (entry / "stat").read_text(errors="replace")
            except OSError:
                continue
            parent = int(text.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        for pid in children.get(waiting.pop(), []):
            found.append(pid)
            waiting.append(pid)
    return found


if __name__ == "__main__":
    sys.exit(main())
