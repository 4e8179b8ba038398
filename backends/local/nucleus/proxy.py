"""The classic nucleus's way to the broker: every message waits on disk until the broker has it.

One message is in flight at a time. With more of them, one that fails on its way would be overtaken
by those behind it; MQTT 3.1.1 (section 4.6) promises the order for a window of one only.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable

from backends.local.mqtt import FindBroker, LinkLostError, MqttLink
from backends.local.nucleus.rpc import OperationError
from backends.local.nucleus.spool import Spool
from backends.local.nucleus.subscriptions import Receive, Subscriptions

logger = logging.getLogger(__name__)

BATCH = 50
RETRY_SECONDS = 0.1


class SpoolingProxy:
    """Takes every message at once and sends them in order, each until the broker confirms it."""

    def __init__(
        self,
        thing: str,
        find: FindBroker,
        spool: Spool,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._subscriptions = Subscriptions()
        self._link = MqttLink(thing, find, self._subscriptions.deliver, changed)
        self._spool = spool
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        return self._link.connected.is_set()

    @property
    def waiting(self) -> int:
        return len(self._spool)

    @property
    def dropped(self) -> int:
        return self._spool.dropped

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
        await self._subscriptions.stop()
        self._spool.close()

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        if qos == 0 and not self.connected:
            raise OperationError("ServiceError", "Device is offline. Dropping QoS 0 message.")
        try:
            self._spool.put(topic, payload, qos, retain=retain)
        except (ValueError, sqlite3.Error) as error:
            raise OperationError("ServiceError", f"the message was not spooled: {error}") from error
        self._news.set()

    async def subscribe(self, topic_filter: str, qos: int, receive: Receive) -> Callable[[], None]:
        return await self._subscriptions.add(self._link, topic_filter, qos, receive)

    async def _send(self) -> None:
        while True:
            await self._link.connected.wait()
            self._news.clear()
            batch = self._spool.oldest(BATCH)
            if not batch:
                await self._news.wait()
            for message in batch:
                try:
                    await self._link.publish(
                        message.topic, message.payload, message.qos, retain=message.retain
                    )
                except LinkLostError as error:
                    logger.info("a message to %s stays in the spool: %s", message.topic, error)
                    await asyncio.sleep(RETRY_SECONDS)
                    break
                self._spool.remove(message)
