"""Runs lifecycle scripts, each under a guard that answers for its whole process tree.

    python -I -S guard.py <socket fd>

A program of its own, from which guards are forked: that costs a millisecond and a megabyte each,
where an interpreter for each script would cost twenty and six. A request on the socket is a length,
four open files (standard input, output, error, and status) and a JSON object: `command`, `folder`,
`environment`, `grace` (seconds) and `keep`. When the socket ends, so does it, after the last guard.

A guard first writes its own pid to the status file, and then the command's exit status as soon as
that is known, each as a decimal line; when the status file ends, nothing of the script is left.
Standard input is the lifeline: when it ends (the device stops the script, or was killed itself),
every descendant gets SIGTERM and, after the grace time, SIGKILL. Descendants that outlive the
command are ended with it, unless `keep` is true (a Startup script may leave its daemon behind).

A guard is a child subreaper, so nothing that the script starts can get away from it. So is this
program above the guards: what a guard leaves that was killed, by its own script say, it kills.
"""

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIFELINE = 0
_TICK = 0.05
_QUICK_TICK = 0.005
_SIGNALLED = 128
_FILES = 4
_LENGTH = 8


def main() -> int:
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    gc.freeze()  # so that its memory stays shared with the guards
    requests = socket.socket(fileno=int(sys.argv[1]))
    guards: set[int] = set()
    while True:
        readable, _, _ = select.select([requests.fileno(), wake], [], [])
        if wake in readable:
            os.read(wake, 4096)
            _end_orphans(guards)
        if requests.fileno() not in readable:
            continue
        request = _receive(requests)
        if request is None:
            break
        wanted, files = request
        guard = os.fork()
        if guard == 0:
            requests.close()
            os.close(wake)
            os.close(waker)
            _become_guard(libc, wanted, files)
        guards.add(guard)
        for file in files:
            os.close(file)
    while _end_orphans(guards):
        select.select([wake], [], [], _TICK)
    return 0


def _end_orphans(guards: "set[int]") -> bool:
    """Kills what guards that did not end by themselves have left; whether any child is left."""
    orphaned = False
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            break
        orphaned = orphaned or status != 0 or pid not in guards
        guards.discard(pid)
    if orphaned:
        for pid, _ in _families().get(os.getpid(), []):
            if pid not in guards:  # its own children come here as well when it has ended
                _send(pid, signal.SIGKILL)
    return True


def _receive(requests: socket.socket) -> "tuple[dict[str, object], list[int]] | None":
    length, files, _, _ = socket.recv_fds(requests, _LENGTH, _FILES)
    left = int.from_bytes(length, "big")
    content = b""
    while len(content) < left:
        more = requests.recv(left - len(content))
        if not more:
            return None
        content += more
    return (json.loads(content), files) if left else None


def _become_guard(libc: ctypes.CDLL, wanted: "dict[str, object]", files: "list[int]") -> None:
    """Never returns."""
    status = 1
    try:
        os.setsid()
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
            os.close(file)
        os.chdir(str(wanted["folder"]))
        os.environ.clear()
        os.environ.update(wanted["environment"])  # type: ignore[call-overload]
        command = list(wanted["command"])  # type: ignore[call-overload]
        status = _guard(libc, files[3], float(str(wanted["grace"])), bool(wanted["keep"]), command)
    except OSError as error:
        os.write(2, f"the script cannot be run: {error}\n".encode())
    finally:
        os._exit(status)


def _guard(
    libc: ctypes.CDLL, status_fd: int, grace: float, keep: bool, command: "list[str]"
) -> int:
    _report(status_fd, os.getpid())
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(waker)
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: ending.append(number))
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    main_child = _start(command, libc, status_fd)
    ended = False
    while True:
        readable, _, _ = select.select([_LIFELINE, wake], [], [])
        if wake in readable:
            os.read(wake, 4096)
        cut = _LIFELINE in readable and not os.read(_LIFELINE, 4096)
        left, code = _reap(main_child)
        if code is not None:
            ended = True
            _report(status_fd, code)
        if not left:
            return 0
        if cut or ending or (ended and not keep):
            _end_tree(grace, main_child, status_fd, ended=ended)
            return 0


def _start(command: list[str], libc: ctypes.CDLL, status_fd: int) -> int:
    """The command as a child; a SIGTERM that comes before it is in place is not lost on it."""
    guard = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if child:
        with contextlib.suppress(OSError):  # as the child does: whoever comes first
            os.setpgid(child, child)
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


def _end_tree(grace: float, main_child: int, status_fd: int, *, ended: bool) -> None:
    """The command's own process group first: most often that is all, and nothing else to find."""
    deadline = time.monotonic() + grace
    group = 0
    if not ended:
        group = main_child
        _send(-group, signal.SIGTERM)
        quick = time.monotonic() + _TICK
        while time.monotonic() < quick:
            left, code = _reap(main_child)
            if code is not None:
                _report(status_fd, code)
            if not left:
                return
            time.sleep(_QUICK_TICK)
    asked: set[int] = set()
    while True:
        for pid, its_group in _descendants():
            if pid not in asked and its_group != group:  # also those that were started since
                asked.add(pid)
                _send(pid, signal.SIGTERM)
        left, code = _reap(main_child)
        if code is not None:
            _report(status_fd, code)
        if not left:
            return
        if time.monotonic() > deadline:
            for pid, _ in _descendants():
                _send(pid, signal.SIGKILL)
        time.sleep(_TICK)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return  # gone, or not ours any more


def _descendants() -> "list[tuple[int, int]]":
    """Each with its process group."""
    children = _families()
    found: list[tuple[int, int]] = []
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += [pid for pid, _ in below]
    return found


def _families() -> "dict[int, list[tuple[int, int]]]":
    """The children of each process of this machine, each with its process group."""
    children: dict[int, list[tuple[int, int]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                text = (entry / "stat").read_text(errors="replace")
            except OSError:
                continue
            parent, group = map(int, text.rpartition(")")[2].split()[1:3])
            children.setdefault(parent, []).append((int(entry.name), group))
    return children


if __name__ == "__main__":
    sys.exit(main())
