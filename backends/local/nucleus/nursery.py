"""The program that all scripts of this process are started by; there while any of them is."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

_PROGRAM = Path(__file__).with_name("guard.py")
_LENGTH = 8


class Nursery:
    """Forks a guard for each script. Several devices, and several threads, may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scripts = 0
        self._program: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        grace: float,
        files: Sequence[int],
        *,
        keep: bool,
    ) -> None:
        """`files`: the script's standard input, output and error, and its guard's status.

        Each start needs one `ended()`. Raises OSError; then it needs none.
        """
        content = json.dumps(
            {
                "command": list(command),
                "folder": str(folder),
                "environment": dict(environment),
                "grace": grace,
                "keep": keep,
            }
        ).encode()
        with self._lock:
            try:
                self._send(content, files)
            except OSError:  # it was killed: the next one does the same work
                self._close()
                self._send(content, files)
            self._scripts += 1

    def ended(self) -> None:
        """A script is over; with the last one, so is the program."""
        with self._lock:
            self._scripts -= 1
            if self._scripts == 0:
                self._close()

    def _send(self, content: bytes, files: Sequence[int]) -> None:
        if self._socket is None:
            self._open()
        assert self._socket is not None
        socket.send_fds(self._socket, [len(content).to_bytes(_LENGTH, "big")], files)
        self._socket.sendall(content)

    def _open(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            try:
                self._program = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_PROGRAM), str(number)],
                    pass_fds=(number,),
                    stdin=subprocess.DEVNULL,
                    cwd="/",
                    env={},
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        self._socket = ours

    def _close(self) -> None:
        program, link = self._program, self._socket
        self._program = self._socket = None
        if link is not None:
            link.close()
        if program is not None:
            program.wait()


NURSERY = Nursery()
