"""Several core devices in one process: each in a task of its own, with a log of its own."""

import asyncio
import logging
import logging.handlers
import resource
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path

from backends.local.nucleus.device import CoreDevice
from backends.local.nucleus.identity import load
from backends.local.nucleus.layout import Layout

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
LOG_BYTES = 1024 * 1024

_playing: ContextVar[Path | None] = ContextVar("_playing", default=None)


class Crew:
    """`run()` plays the devices at the roots that `wanted` gives, as they come and go."""

    def __init__(self, wanted: Callable[[], Sequence[Path]]) -> None:
        self._wanted = wanted
        self._devices: dict[Path, asyncio.Task[None]] = {}

    async def run(self) -> None:
        allow_many_files()
        try:
            while True:
                wanted = self._wanted()
                for root in wanted:
                    if root not in self._devices:
                        self._devices[root] = asyncio.create_task(_play(root))
                        await asyncio.sleep(0)
                for root in self._devices.keys() - set(wanted):
                    device = self._devices.pop(root)
                    device.cancel()
                    await asyncio.wait([device])
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for device in self._devices.values():
                device.cancel()
            if self._devices:
                await asyncio.wait(self._devices.values())


async def _play(root: Path) -> None:
    """One device's fault is no other's: it is in its log, and that device is off."""
    _playing.set(root)
    try:
        layout = Layout(root)
        await CoreDevice(layout, load(layout)).run()
    except Exception as error:
        logger.critical("the device at %s ended: %s", root, error, exc_info=True)


def allow_many_files() -> None:
    """A device with two components has some fifteen files, sockets and pipes open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class DeviceLogs(logging.Handler):
    """Writes what is logged in a device's task to that device's own `logs/greengrass.log`."""

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[Path, logging.Handler] = {}

    def emit(self, record: logging.LogRecord) -> None:
        root = _playing.get()
        if root is None:
            return
        if root not in self._files:
            path = Layout(root).log("greengrass")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files[root] = logging.handlers.RotatingFileHandler(
                path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8"
            )
            self._files[root].setFormatter(self.formatter)
        self._files[root].handle(record)


def is_no_devices(_record: logging.LogRecord) -> bool:
    """For the log of the process itself."""
    return _playing.get() is None
