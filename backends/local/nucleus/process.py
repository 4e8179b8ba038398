"""A lifecycle script as a process: under its guard, with its output in the component's log."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

GRACE_SECONDS = 5.0
_GUARD = Path(__file__).with_name("guard.py")
_LINE = 16 * 1024
_LOST = 137  # the guard itself was killed

OnLine = Callable[[str, str], None]
"""Called with the stream's name (stdout, stderr) and a line."""


class Process:
    """One running script and everything that it started."""

    def __init__(self, guard: asyncio.subprocess.Process, status: int, on_line: OnLine) -> None:
        self._guard = guard
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        assert guard.stdout is not None and guard.stderr is not None  # noqa: PT018 - both are pipes
        self._tasks = [
            asyncio.create_task(_copy(guard.stdout, "stdout", on_line)),
            asyncio.create_task(_copy(guard.stderr, "stderr", on_line)),
            asyncio.create_task(self._watch(status)),
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
        readable, writable = os.pipe()
        try:
            guard = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(_GUARD),
                str(writable),
                str(GRACE_SECONDS),
                "1" if keep else "0",
                "sh",
                "-c",
                script,
                cwd=folder,
                env=dict(environment),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(writable,),
                start_new_session=True,
            )
        except BaseException:
            os.close(readable)
            raise
        finally:
            os.close(writable)
        return cls(guard, readable, on_line)

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
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        try:
            async with asyncio.timeout(GRACE_SECONDS * 2):
                await self._guard.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._guard.kill()
            await self._guard.wait()
        await asyncio.wait(self._tasks, timeout=GRACE_SECONDS)
        for task in self._tasks:
            task.cancel()
        if not self._exit.done():
            self._exit.set_result(_LOST)

    async def _watch(self, status: int) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        pipe = os.fdopen(status, "rb", buffering=0)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            line = await reader.readline()
        finally:
            transport.close()
        if not self._exit.done():
            self._exit.set_result(int(line) if line.strip() else _LOST)


async def _copy(stream: asyncio.StreamReader, name: str, on_line: OnLine) -> None:
    """Lines as they come; a line without an end is cut into pieces."""
    pending = b""
    while chunk := await stream.read(_LINE):
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            on_line(name, line.decode(errors="replace"))
        if len(pending) > _LINE:
            on_line(name, pending.decode(errors="replace"))
            pending = b""
    if pending:
        on_line(name, pending.decode(errors="replace"))
