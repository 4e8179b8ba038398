"""Prints a device's logs, and goes on as they grow."""

import sys
import time
from collections import deque
from pathlib import Path

from backends.errors import InvalidInputError
from flows.terminal import fleet

POLL_SECONDS = 0.3


class _Log:
    """One log file from where it has been read to; also across its rotation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = 0
        self._position = 0

    def last(self, lines: int) -> str:
        with self._path.open(encoding="utf-8", errors="replace") as stream:
            text = "".join(deque(stream, lines))
            self._position, self._inode = stream.tell(), self._path.stat().st_ino
        return text

    def more(self) -> str:
        """Whole lines that came since; what another file has taken over, from its start."""
        try:
            with self._path.open("rb") as stream:
                known = self._path.stat()
                if known.st_ino != self._inode or known.st_size < self._position:
                    self._inode, self._position = known.st_ino, 0
                stream.seek(self._position)
                whole, end, _ = stream.read().rpartition(b"\n")
        except OSError:
            return ""  # between two files
        self._position += len(whole) + len(end)
        return (whole + end).decode(errors="replace")


def show_logs(name: str, component: str, lines: int, follow: bool) -> None:
    """Print the last lines of each log of a device, or of one component; then what comes."""
    found = fleet().logs(name)
    if component and component not in found:
        known = ", ".join(found) or "none"
        raise InvalidInputError(component, f"{name} has no such log", f"There is {known}.")
    logs = {key: _Log(path) for key, path in found.items() if component in ("", key)}
    for key, log in logs.items():
        _print(key, log.last(lines))
    latest = next(reversed(logs), "")
    while follow:
        time.sleep(POLL_SECONDS)
        for key, path in fleet().logs(name).items():
            if component in ("", key):
                text = logs.setdefault(key, _Log(path)).more()
                if text:
                    _print(key if key != latest else "", text)
                    latest = key


def _print(key: str, text: str) -> None:
    """Below a heading; without a key, it belongs to what was printed last."""
    heading = f"\n==> {key} <==\n" if key else ""
    sys.stdout.write(heading + text)
    sys.stdout.flush()
