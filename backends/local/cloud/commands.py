"""Publishes what other processes of this machine ask the cloud side to publish to devices.

A file below `<cloud>/commands` is a message; it goes when the broker has it.
"""

import asyncio
import json
import logging
from pathlib import Path

from backends.local.example_requests import (
    Progress,
    commands_folder,
    read_progress,
    write_progress,
)
from backends.local.files import read_json
from backends.local.mqtt import LinkLostError, MqttLink
from backends.local.topics import is_topic

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2


async def keep_publishing(cloud: Path, link: MqttLink) -> None:
    """Until cancelled."""
    while True:
        await asyncio.sleep(POLL_SECONDS)
        for path in sorted(commands_folder(cloud).glob("[!.]*.json")):
            try:
                await _publish(cloud, path, link)
            except LinkLostError:
                break  # it waits
            except OSError as error:
                logger.warning("the command %s waits: %s", path.name, error)


async def _publish(cloud: Path, path: Path, link: MqttLink) -> None:
    command = read_json(path) or {}
    topic = command.get("topic")
    if isinstance(topic, str) and is_topic(topic):
        await link.publish(topic, json.dumps(command.get("payload")).encode(), 1)
        progress = read_progress(cloud, path.stem)
        if progress is not None and progress.status == "asked":
            write_progress(cloud, Progress(**{**progress.as_table(), "status": "sent"}))
    else:
        logger.warning("the command %s is left out: it has no topic", path.name)
    path.unlink(missing_ok=True)
