"""Rows of a table as dictionaries, for those who look at few of them."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backends.artifacts import Unusable
from backends.telemetry.folders import tables_of, thing_of
from backends.telemetry.schema import THING

logger = logging.getLogger(__name__)


def rows_of(folder: Path, done: set[str]) -> Iterator[dict[str, Any]]:
    """What a folder of a day and thing holds beyond the files that are `done`, with its thing."""
    for table in tables_of(folder, list, done):
        if isinstance(table, Unusable):
            logger.warning("%s", table.reason)
            continue
        for row in table.to_pylist():
            yield {THING: thing_of(folder), **row}
