"""The classic nucleus's way to the broker: every message waits on disk until the broker has it.

One message is in flight at a time. With more of them, one that fails on its way would be overtaken
by those behind it; MQTT 3.1.1 (section 4.6) promises the order for a window of one only.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable

from backends.local.mqtt import FindBroker, LinkLostError, MqttLink
from backends.local.nucleus.keep_up import keep_up
from backends.local.nucleus.rpc import OperationError
from backends.local.nucleus.spool import Spool, Spooled
from backends.local.nucleus.subscriptions import Receive, Subscriptions

logger = logging.getLogger(__name__)

BATCH = 50
RETRY_SECONDS = 0.1
SPOOL_SECONDS = 1.0
TRIES = 10
"""Of one message, each on a connection that was up: a broker that ends it refuses the message."""


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
        self._failed = (0, 0)  # a message's number, and how often
        self._confirmed = 0  # the number of the last message that the broker has

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
        self._tasks = [keep_up(self._link.run), keep_up(self._send)]

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
            try:
                await self._send_some()
            except sqlite3.Error as error:
                logger.warning("messages wait, the spool cannot be used: %s", error)
                await asyncio.sleep(SPOOL_SECONDS)

    async def _send_some(self) -> None:
        await self._link.connected.wait()
        self._news.clear()
        batch = self._spool.oldest(BATCH)
        if not batch:
            await self._news.wait()
        for message in batch:
            try:
                if message.number != self._confirmed:  # else only the spool failed
                    await self._link.publish(
                        message.topic, message.payload, message.qos, retain=message.retain
                    )
                self._confirmed = message.number
                self._spool.remove(message)
            except LinkLostError as error:
                self._keep_or_set_aside(message, error)
                await asyncio.sleep(RETRY_SECONDS)
                return

    def _keep_or_set_aside(self, message: Spooled, error: LinkLostError) -> None:
        """Kept, and first again; but what never gets through must not keep the others for ever."""
        number, failures = self._failed
        failures = failures + 1 if number == message.number else 1
        self._failed = message.number, failures
        if failures < TRIES:
            logger.info("a message to %s stays in the spool: %s", message.topic, error)
        else:
            self._spool.set_aside(message, str(error))
