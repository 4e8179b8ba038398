"""Starts the inference component: `python -m edge`, in its work folder, under a nucleus."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

from edge.component import Component
from edge.surroundings import Surroundings


def main() -> int:
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    logging.getLogger("awsiot").setLevel(logging.WARNING)
    component = Component(Surroundings.read(os.environ, Path.cwd()))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: component.stop())
    return component.run()


if __name__ == "__main__":
    sys.exit(main())
