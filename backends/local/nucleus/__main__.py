"""Core devices as a process.

    python -m backends.local.nucleus ROOT…          one thing, or several
    python -m backends.local.nucleus --crew FILE    those that FILE lists, as it changes

One thing logs to standard output; of several, each has its own `logs/greengrass.log`.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from backends.errors import EdgewardError
from backends.local.crews import Crew as CrewList
from backends.local.nucleus.crew import Crew, DeviceLogs, is_no_devices
from backends.local.nucleus.device import CoreDevice
from backends.local.nucleus.identity import load
from backends.local.nucleus.layout import Layout

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


async def serve(devices: Coroutine[Any, Any, None]) -> None:
    """Until SIGTERM or SIGINT."""
    work = asyncio.create_task(devices)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


def main() -> int:
    logging.basicConfig(level=logging.INFO, format=_FORMAT)
    parser = argparse.ArgumentParser(prog="python -m backends.local.nucleus")
    parser.add_argument("roots", nargs="*", type=Path, metavar="ROOT")
    parser.add_argument("--crew", type=Path, metavar="FILE")
    given = parser.parse_args()
    roots = [root.resolve() for root in given.roots]
    if bool(roots) is bool(given.crew):
        parser.error("give the roots of things, or the file of a crew")
    try:
        if len(roots) == 1:
            layout = Layout(roots[0])
            asyncio.run(serve(CoreDevice(layout, load(layout)).run()))
        else:
            _log_apart()
            path = given.crew
            wanted = CrewList(path.parent, path.stem).roots if path else lambda: roots
            asyncio.run(serve(Crew(wanted).run()))
    except EdgewardError as error:
        logging.critical("%s", error)
        return error.exit_status
    return 0


def _log_apart() -> None:
    (own,) = logging.getLogger().handlers
    own.addFilter(is_no_devices)
    apart = DeviceLogs()
    apart.setFormatter(logging.Formatter(_FORMAT))
    logging.getLogger().addHandler(apart)


if __name__ == "__main__":
    sys.exit(main())
