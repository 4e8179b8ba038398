"""Nucleus lite's way to the broker: nothing is stored, and few messages may be on their way.

A publish is answered when the message is sent, not when the broker has it. What the broker has not
confirmed when the connection breaks is lost, as it is with lite's clean sessions.
"""

import asyncio
import logging
from collections.abc import Callable

from backends.local.mqtt import FindBroker, LinkLostError, MqttLink
from backends.local.nucleus.keep_up import keep_up
from backends.local.nucleus.rpc import OperationError
from backends.local.nucleus.subscriptions import Receive, Subscriptions

logger = logging.getLogger(__name__)

MAX_IN_FLIGHT = 10
MAX_BYTES_IN_FLIGHT = 15_000
"""Both of them of QoS 1 messages."""


class DirectProxy:
    """Sends at once, or refuses with ServiceError."""

    waiting = 0

    def __init__(
        self, thing: str, find: FindBroker, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._subscriptions = Subscriptions()
        self._link = MqttLink(thing, find, self._subscriptions.deliver, changed)
        self._run: asyncio.Task[None] | None = None
        self._sending: dict[asyncio.Task[None], int] = {}
        self.dropped = 0

    @property
    def connected(self) -> bool:
        return self._link.connected.is_set()

    @property
    def in_flight(self) -> list[int]:
        """The sizes of the QoS 1 messages that the broker has not confirmed."""
        return [size for size in self._sending.values() if size]

    def start(self) -> None:
        self._run = keep_up(self._link.run)

    def drop(self) -> None:
        """Ends the connection; it comes back once there is a broker to be found."""
        self._link.drop()

    async def stop(self) -> None:
        tasks = [*self._sending, *([self._run] if self._run else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._subscriptions.stop()

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        """`retain` is dropped, as lite does."""
        del retain
        if not self.connected:
            raise OperationError("ServiceError", "there is no connection to the broker")
        size = len(topic.encode()) + len(payload) if qos else 0
        in_flight = self.in_flight
        full = len(in_flight) >= MAX_IN_FLIGHT or sum(in_flight) + size > MAX_BYTES_IN_FLIGHT
        if qos and full:
            raise OperationError("ServiceError", "too much is in flight")
        task = asyncio.create_task(self._send(topic, payload, qos))
        self._sending[task] = size
        task.add_done_callback(self._sending.pop)

    async def subscribe(self, topic_filter: str, qos: int, receive: Receive) -> Callable[[], None]:
        return await self._subscriptions.add(self._link, topic_filter, qos, receive)

    async def _send(self, topic: str, payload: bytes, qos: int) -> None:
        try:
            await self._link.publish(topic, payload, qos)
        except LinkLostError as error:
            self.dropped += 1
            logger.warning("a message to %s is lost, as with nucleus lite: %s", topic, error)
