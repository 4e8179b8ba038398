"""Remembers the last good configuration, so that a bad one cannot stop the device, even later.

A nucleus that does not ask components before it changes a configuration (nucleus lite) also keeps
a bad one. Without this memory the component would refuse it while it runs, and fail to start after
the next power cut.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Mapping, Optional

from edge.configuration import Configuration, ConfigurationError

log = logging.getLogger(__name__)


def first_configuration(proposed: Mapping[str, Any], memory: Path) -> Configuration:
    """The proposed configuration, or the last good one. Raises ConfigurationError for neither."""
    try:
        configuration = Configuration.parse(proposed)
    except ConfigurationError as error:
        former = _recall(memory)
        if former is None:
            raise
        log.error("Configuration refused, the former one stays: %s", error)  # noqa: TRY400
        return former
    remember(proposed, memory)
    return configuration


def next_configuration(
    proposed: Mapping[str, Any], former: Configuration, memory: Path
) -> Configuration:
    """The proposed configuration, or the former one, which is then said in the log."""
    try:
        configuration = Configuration.parse(proposed)
    except ConfigurationError as error:
        log.error("Configuration refused, the former one stays: %s", error)  # noqa: TRY400
        return former
    remember(proposed, memory)
    return configuration


def remember(values: Mapping[str, Any], memory: Path) -> None:
    """Write a good configuration down; a disk that fails is no reason to stop."""
    kept = {key: value for key, value in values.items() if key != "accessControl"}
    temporary = memory.with_suffix(".new")
    try:
        temporary.write_text(json.dumps(kept), encoding="utf-8")
        temporary.replace(memory)
    except OSError as error:
        log.warning("The configuration cannot be written down: %s", error)


def _recall(memory: Path) -> Optional[Configuration]:
    try:
        return Configuration.parse(json.loads(memory.read_bytes()))
    except (OSError, ValueError):  # none, or damaged; ConfigurationError is a ValueError
        return None
