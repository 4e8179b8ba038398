"""What the components want to hear from the broker: many receivers over one link."""

import asyncio
from collections.abc import Callable

from backends.local.mqtt import FilterRefusedError, MqttLink
from backends.local.nucleus.rpc import OperationError
from backends.local.topics import matches

Receive = Callable[[str, bytes], None]


class Subscriptions:
    """Shares the link's subscriptions. `deliver` is for the link to call with what arrives."""

    def __init__(self) -> None:
        self._receivers: list[tuple[str, Receive]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def add(
        self, link: MqttLink, topic_filter: str, qos: int, receive: Receive
    ) -> Callable[[], None]:
        """Returns what ends it again. Raises OperationError when the broker refuses."""
        entry = (topic_filter, receive)
        self._receivers.append(entry)
        try:
            await link.subscribe(topic_filter, qos)
        except asyncio.CancelledError:  # the client has gone meanwhile
            self._remove(link, entry)
            raise
        except FilterRefusedError as error:
            self._receivers.remove(entry)
            raise OperationError("ServiceError", str(error)) from error
        return lambda: self._remove(link, entry)

    def deliver(self, topic: str, payload: bytes) -> None:
        for topic_filter, receive in list(self._receivers):
            if matches(topic_filter, topic):
                receive(topic, payload)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _remove(self, link: MqttLink, entry: tuple[str, Receive]) -> None:
        self._receivers.remove(entry)
        if not any(known == entry[0] for known, _ in self._receivers):
            task = asyncio.create_task(link.unsubscribe(entry[0]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
