"""A lifecycle script as a process: under its guard, with its output in the component's log."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from backends.local.nucleus.nursery import NURSERY

GRACE_SECONDS = 5.0
_LINE = 16 * 1024
_LOST = 137  # the guard itself was killed

OnLine = Callable[[str, str], None]
"""Called with the stream's name (stdout, stderr) and a line."""


class Process:
    """One running script and everything that it started."""

    def __init__(self, lifeline: int, out: int, err: int, status: int, on_line: OnLine) -> None:
        """Takes over the device's ends of the four pipes."""
        self._lifeline: int | None = lifeline
        self._guard = 0
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.create_task(self._watch(status))
        self._copies = [
            asyncio.create_task(_copy(out, "stdout", on_line)),
            asyncio.create_task(_copy(err, "stderr", on_line)),
        ]

    @classmethod
    async def start(
        cls,
        script: str,
        folder: Path,
        environment: Mapping[str, str],
        on_line: OnLine,
        *,
        keep: bool = False,
    ) -> "Process":
        """`sh -c script` in `folder`; with `keep`, what it leaves in the background lives on."""
        ours: list[int] = []
        theirs: list[int] = []
        try:
            for reads in (False, True, True, True):
                readable, writable = os.pipe2(os.O_CLOEXEC)
                ours.append(readable if reads else writable)
                theirs.append(writable if reads else readable)
            command = ["sh", "-c", script]
            NURSERY.start(command, folder, environment, GRACE_SECONDS, theirs, keep=keep)
        except BaseException:
            for number in ours:
                os.close(number)
            raise
        finally:
            for number in theirs:
                os.close(number)
        lifeline, out, err, status = ours
        return cls(lifeline, out, err, status, on_line)

    async def wait(self) -> int:
        """The script's exit status; 128 + n when signal n ended it."""
        return await asyncio.shield(self._exit)

    async def stop(self) -> None:
        """SIGTERM to the tree, SIGKILL after the grace time; returns when nothing is left.

        Also where the caller is cancelled meanwhile.
        """
        end = asyncio.ensure_future(self._end())
        try:
            await asyncio.shield(end)
        except asyncio.CancelledError:
            await end
            raise

    async def _end(self) -> None:
        self._cut()
        done, _ = await asyncio.wait([self._gone], timeout=GRACE_SECONDS * 2)
        if not done:
            if self._guard:  # its status file is open: the pid is still its own
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._guard, signal.SIGKILL)
            self._gone.cancel()
            await asyncio.wait([self._gone])
        await asyncio.wait(self._copies, timeout=GRACE_SECONDS)
        for task in self._copies:
            task.cancel()

    def _cut(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    async def _watch(self, status: int) -> None:
        """Ends with the guard."""
        try:
            async with _reading(status) as reader:
                self._guard = int(await reader.readline() or 0)
                code = await reader.readline()
                if not self._exit.done():
                    self._exit.set_result(int(code) if code.strip() else _LOST)
                await reader.read()
        finally:
            NURSERY.ended()
            if not self._exit.done():
                self._exit.set_result(_LOST)


@contextlib.asynccontextmanager
async def _reading(number: int) -> AsyncIterator[asyncio.StreamReader]:
    """A pipe's read end, which is closed in the end."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(number, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        yield reader
    finally:
        transport.close()


async def _copy(number: int, name: str, on_line: OnLine) -> None:
    """Lines as they come; a line without an end is cut into pieces."""
    pending = b""
    async with _reading(number) as stream:
        while chunk := await stream.read(_LINE):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                on_line(name, line.decode(errors="replace"))
            if len(pending) > _LINE:
                on_line(name, pending.decode(errors="replace"))
                pending = b""
    if pending:
        on_line(name, pending.decode(errors="replace"))
