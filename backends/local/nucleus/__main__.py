"""A core device as a process: `python -m backends.local.nucleus <thing-root>`."""

import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path

from backends.errors import EdgewardError
from backends.local.nucleus.device import CoreDevice
from backends.local.nucleus.identity import load
from backends.local.nucleus.layout import Layout

_ARGUMENTS = 2


async def serve(root: Path) -> None:
    """Until SIGTERM or SIGINT."""
    layout = Layout(root)
    work = asyncio.create_task(CoreDevice(layout, load(layout)).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


def main() -> int:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if len(sys.argv) != _ARGUMENTS:
        logging.error("usage: python -m backends.local.nucleus <thing-root>")
        return 2
    try:
        asyncio.run(serve(Path(sys.argv[1]).resolve()))
    except EdgewardError as error:
        logging.critical("%s", error)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
