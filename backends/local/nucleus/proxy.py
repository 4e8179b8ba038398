"""The components' way to the broker: one connection, a spool on disk, shared subscriptions."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable

from backends.local.mqtt import FindBroker, LinkLostError, MqttLink
from backends.local.nucleus.rpc import OperationError
from backends.local.nucleus.spool import Spool, Spooled
from backends.local.topics import matches

logger = logging.getLogger(__name__)

IN_FLIGHT = 20

Receive = Callable[[str, bytes], None]


class SpoolingProxy:
    """Takes every message at once and sends them in order, each until the broker confirms it."""

    def __init__(
        self,
        thing: str,
        find: FindBroker,
        spool: Spool,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._link = MqttLink(thing, find, self._deliver, changed)
        self._spool = spool
        self._news = asyncio.Event()
        self._receivers: list[tuple[str, Receive]] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        return self._link.connected.is_set()

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._link.run()), asyncio.create_task(self._send())]

    def drop(self) -> None:
        """Ends the connection; it comes back once there is a broker to be found."""
        self._link.drop()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._spool.close()

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        try:
            self._spool.put(topic, payload, qos)
        except (ValueError, sqlite3.Error) as error:
            raise OperationError("ServiceError", f"the message was not spooled: {error}") from error
        self._news.set()

    async def subscribe(self, topic_filter: str, qos: int, receive: Receive) -> Callable[[], None]:
        entry = (topic_filter, receive)
        self._receivers.append(entry)
        await self._link.subscribe(topic_filter, qos)

        def end() -> None:
            self._receivers.remove(entry)
            if not any(known == topic_filter for known, _ in self._receivers):
                self._tasks.append(asyncio.create_task(self._link.unsubscribe(topic_filter)))

        return end

    def _deliver(self, topic: str, payload: bytes) -> None:
        for topic_filter, receive in list(self._receivers):
            if matches(topic_filter, topic):
                receive(topic, payload)

    async def _send(self) -> None:
        while True:
            await self._link.connected.wait()
            self._news.clear()
            batch = self._spool.oldest(IN_FLIGHT)
            if not batch:
                await self._news.wait()
                continue
            results = await asyncio.gather(*map(self._send_one, batch))
            if not all(results):
                await asyncio.sleep(0.1)

    async def _send_one(self, message: Spooled) -> bool:
        try:
            await self._link.publish(message.topic, message.payload, message.qos)
        except LinkLostError as error:
            logger.info("a message to %s stays in the spool: %s", message.topic, error)
            return False
        self._spool.remove(message)
        return True
