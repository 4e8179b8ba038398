"""The cloud side of the devices as one process: broker, topic rules and their tables, rollouts.

    python -m backends.local.cloud --home <folder>

It writes `<home>/cloud/endpoint.json` when devices can connect. Where EDGEWARD_MQTT__HOST names
another broker, there is none of ours: the rules subscribe there, as soon as it can be reached.
"""

import argparse
import asyncio
import contextlib
import hashlib
import logging
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backends.errors import EdgewardError
from backends.local.cloud.broker import HOST, start_broker
from backends.local.cloud.commands import keep_publishing
from backends.local.cloud.driver import RolloutDriver
from backends.local.cloud.examples import TOPIC_FILTER as EXAMPLES
from backends.local.cloud.examples import ExampleCollector
from backends.local.cloud.passwords import Passwords
from backends.local.cloud.quarantine import Quarantine
from backends.local.cloud.rules import RULES, MalformedError, Stored, apply, publisher
from backends.local.cloud.tables import Tables
from backends.local.files import write_json
from backends.local.mqtt import Broker, MqttLink
from backends.local.topics import matches
from backends.settings import MqttSettings, Settings
from backends.telemetry.arrivals import Arrivals

logger = logging.getLogger(__name__)

RULES_CLIENT = "edgeward-rules"
FLUSH_SECONDS = 1.0
GIVEN_BROKER_SECONDS = 2.0
DEFAULT_PORT = 1883


class CloudSide:
    """Serves until cancelled; what arrived is in the tables then."""

    def __init__(self, folder: Path, settings: MqttSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._tables = Tables(folder)
        self._examples = ExampleCollector(folder)
        self._quarantine = Quarantine(folder / "quarantine")
        self._arrivals = Arrivals(folder / "arrivals")
        self._endpoint = folder / "endpoint.json"

    async def run(self) -> None:
        self._endpoint.unlink(missing_ok=True)
        own: Any = None
        if self._settings.host:
            broker = self._given_broker()
        else:
            own, broker = await self._own_broker()
        link = MqttLink(self._client_id(), lambda: broker, self._receive)
        connecting = asyncio.create_task(link.run())
        deploying = asyncio.create_task(RolloutDriver(self._folder).run())
        publishing = asyncio.create_task(keep_publishing(self._folder, link))
        try:
            for topic_filter in (EXAMPLES, *(rule.topic_filter for rule in RULES)):
                await link.subscribe(topic_filter, 1)
            if own is not None:
                await link.connected.wait()
            else:  # where it is is known, and devices start without it
                with contextlib.suppress(TimeoutError):  # but let the rules hear their first words
                    await asyncio.wait_for(link.connected.wait(), GIVEN_BROKER_SECONDS)
            self._announce(broker, external=own is None)
            await self._keep_flushing()
        finally:
            self._endpoint.unlink(missing_ok=True)
            for task in (connecting, deploying, publishing):
                task.cancel()
            await asyncio.wait([connecting, deploying, publishing])
            if own is not None:
                await own.shutdown()
            self._arrivals.flush(datetime.now(UTC), at_once=True)
            self._tables.close()

    def _client_id(self) -> str:
        """At a broker that others use as well, one that only this folder has."""
        if not self._settings.host:
            return RULES_CLIENT
        return f"{RULES_CLIENT}-{hashlib.sha256(bytes(self._folder)).hexdigest()[:12]}"

    def _given_broker(self) -> Broker:
        return Broker(
            self._settings.host,
            self._settings.port or DEFAULT_PORT,
            self._settings.username,
            self._settings.password.get_secret_value(),
        )

    async def _own_broker(self) -> tuple[Any, Broker]:
        path = self._folder / "passwords.json"
        password = Passwords(path).issue(RULES_CLIENT)
        own, port = await start_broker(self._settings.port, path)
        return own, Broker(HOST, port, RULES_CLIENT, password)

    def _announce(self, broker: Broker, *, external: bool) -> None:
        """Devices at a broker of ours have passwords of their own; at another, all share one."""
        endpoint = {
            "host": broker.host,
            "port": broker.port,
            "pid": os.getpid(),
            "started_at": datetime.now(UTC).isoformat(),
            **({"username": broker.username, "password": broker.password} if external else {}),
        }
        write_json(self._endpoint, endpoint, mode=0o600)
        logger.info("devices connect to %s:%d", broker.host, broker.port)

    def _receive(self, topic: str, payload: bytes) -> None:
        now = datetime.now(UTC)
        try:
            if matches(EXAMPLES, topic):
                self._examples.receive(topic, payload)
            else:
                self._store(apply(topic, payload, now), now)
        except MalformedError as error:
            self._set_aside(topic, payload, str(error), error.kind, now)
        except Exception as error:
            logger.exception("a message on %s", topic)
            self._set_aside(topic, payload, f"a fault of the rules: {error}", "fault", now)

    def _store(self, stored: Stored, now: datetime) -> None:
        if self._tables.add(stored):
            self._arrivals.stored(stored.table, stored.row, now)
        else:
            self._arrivals.repeated(stored.row["thing"], now)

    def _set_aside(self, topic: str, payload: bytes, reason: str, kind: str, now: datetime) -> None:
        self._arrivals.set_aside(publisher(topic), kind, now)
        self._quarantine.add(topic, payload, reason, now)

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                self._arrivals.flush(datetime.now(UTC))
                self._tables.flush()
            except OSError as error:
                logger.warning("the tables cannot be written, they wait: %s", error)


async def serve(folder: Path, settings: MqttSettings) -> None:
    """Until SIGTERM or SIGINT."""
    work = asyncio.create_task(CloudSide(folder, settings).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


def main() -> int:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for noisy in ("amqtt", "transitions"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if noisy == "amqtt" else logging.WARNING)
    parser = argparse.ArgumentParser(prog="python -m backends.local.cloud")
    parser.add_argument("--home", type=Path, required=True)
    home = parser.parse_args().home.resolve()
    try:
        asyncio.run(serve(home / "cloud", Settings().mqtt))
    except EdgewardError as error:
        logger.critical("%s", error)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
