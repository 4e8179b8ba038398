"""A connection to an MQTT 3.1.1 broker that comes back by itself, for asyncio.

The client is the one of the AWS SDK. Where the broker is and who we are is asked anew at every
attempt: the broker of this machine may come back on another port.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 30
PING_TIMEOUT_MS = 5_000
OPERATION_SECONDS = 10.0
BACK_OFF_SECONDS = (0.1, 10.0)
POLL_SECONDS = 0.2
TRIES = 5
"""Of one filter; a broker may end the connection instead of refusing it."""


class LinkLostError(Exception):
    """The broker did not confirm; the message may or may not have arrived."""


class FilterRefusedError(Exception):
    """The broker does not take the subscription, and it will not be tried again."""


@dataclass(frozen=True, slots=True)
class Broker:
    host: str
    port: int
    username: str = ""
    password: str = ""


FindBroker = Callable[[], Broker | None]
Receive = Callable[[str, bytes], None]


class MqttLink:
    """`run()` keeps it up until cancelled; `connected` is set while it is.

    `changed` is told when it connects and when it is lost.
    """

    def __init__(
        self,
        client_id: str,
        find: FindBroker,
        receive: Receive,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.connected = asyncio.Event()
        self._client_id = client_id
        self._find = find
        self._receive = receive
        self._changed = changed
        self._filters: dict[str, int] = {}
        self._failures: dict[str, int] = {}  # of filters, in succession
        self._lost = asyncio.Event()
        self._connection: Any = None

    async def run(self) -> None:
        wait = BACK_OFF_SECONDS[0]
        while True:
            if await self._connect():
                wait = BACK_OFF_SECONDS[0]
                try:
                    await self._lost.wait()
                finally:
                    self.connected.clear()
                    self._changed()
                    await self._disconnect()
                logger.warning("%s: the connection to the broker was lost", self._client_id)
            await self._pause(wait)
            wait = min(wait * 2, BACK_OFF_SECONDS[1])

    def drop(self) -> None:
        """Ends the connection as if it were lost."""
        self._lost.set()

    async def _pause(self, seconds: float) -> None:
        """Shorter when the broker has moved meanwhile, e.g. was started again."""
        tried = self._find()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._find() == tried:
            await asyncio.sleep(min(POLL_SECONDS, seconds))

    async def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        """Returns when the broker has it (QoS 1) or it is sent (QoS 0). Raises LinkLostError."""
        connection = self._connection
        if connection is None:
            raise LinkLostError("not connected")
        await self._ask(connection.publish, topic, payload, _qos(qos), retain)

    async def subscribe(self, topic_filter: str, qos: int) -> None:
        """Remembered: made again at every connection. What fails now is tried again then.

        Raises FilterRefusedError.
        """
        self._filters[topic_filter] = max(qos, self._filters.get(topic_filter, 0))
        if self._connection is not None:
            with contextlib.suppress(LinkLostError):
                await self._subscribe(topic_filter)

    async def unsubscribe(self, topic_filter: str) -> None:
        self._forget(topic_filter)
        if self._connection is not None:
            with contextlib.suppress(LinkLostError):
                await self._ask(self._connection.unsubscribe, topic_filter)

    async def _connect(self) -> bool:
        broker = self._find()
        if broker is None:
            return False
        loop = asyncio.get_running_loop()
        lost = self._lost = asyncio.Event()
        connection = self._new_connection(broker, loop, lost)
        try:
            async with asyncio.timeout(OPERATION_SECONDS):
                await _settled(connection.connect())
            self._connection = connection
            await self._subscribe_again(lost)
        except Exception as error:  # noqa: BLE001 - AwsCrtError, its subclasses, and what Python adds
            logger.info("%s: no connection to the broker: %s", self._client_id, error)
            self._connection = connection
            await self._disconnect()
            return False
        self.connected.set()
        self._changed()
        logger.info("%s: connected to %s:%d", self._client_id, broker.host, broker.port)
        return True

    def _new_connection(
        self, broker: Broker, loop: asyncio.AbstractEventLoop, lost: asyncio.Event
    ) -> Any:
        from awscrt import io, mqtt

        connection = mqtt.Connection(
            client=mqtt.Client(io.ClientBootstrap.get_or_create_static_default()),
            host_name=broker.host,
            port=broker.port,
            client_id=self._client_id,
            clean_session=False,
            username=broker.username or None,
            password=broker.password or None,
            reconnect_min_timeout_secs=1,  # ending a lost connection waits for its next attempt
            reconnect_max_timeout_secs=1,
            keep_alive_secs=KEEP_ALIVE_SECONDS,
            ping_timeout_ms=PING_TIMEOUT_MS,
            protocol_operation_timeout_ms=int(OPERATION_SECONDS * 1000),
            disable_metrics=True,  # they would ride on the user name, and no password fits it
            on_connection_interrupted=lambda **_: _tell(loop, lost.set),
        )
        connection.on_message(
            lambda topic, payload, **_: _tell(loop, self._receive, topic, bytes(payload))
        )
        return connection

    async def _subscribe_again(self, lost: asyncio.Event) -> None:
        """One filter's failure is no other's, unless it ends the connection: those come last."""
        for topic_filter in sorted(self._filters, key=lambda known: self._failures.get(known, 0)):
            try:
                await self._subscribe(topic_filter)
            except FilterRefusedError:
                pass  # logged, and forgotten
            except LinkLostError as error:
                if lost.is_set():
                    raise
                logger.warning(
                    "%s: no subscription to %r: %s", self._client_id, topic_filter, error
                )

    async def _subscribe(self, topic_filter: str) -> None:
        """Raises LinkLostError, and FilterRefusedError when there is no use in trying again."""
        from awscrt.mqtt import SubscribeError

        qos = self._filters.get(topic_filter)
        if qos is None:  # nobody wants it any more
            return
        try:
            await self._ask(self._connection.subscribe, topic_filter, _qos(qos))
        except LinkLostError as error:
            failures = self._failures[topic_filter] = self._failures.get(topic_filter, 0) + 1
            if failures < TRIES and not isinstance(error.__cause__, SubscribeError):
                raise
            self._forget(topic_filter)
            logger.error(  # noqa: TRY400 - no fault of ours
                "%s: the broker does not take the filter %r: %s",
                self._client_id,
                topic_filter,
                error,
            )
            raise FilterRefusedError(f"the broker does not take {topic_filter!r}") from error
        self._failures.pop(topic_filter, None)

    def _forget(self, topic_filter: str) -> None:
        self._filters.pop(topic_filter, None)
        self._failures.pop(topic_filter, None)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await asyncio.shield(_within(_settled(connection.disconnect())))

    async def _ask(self, request: "Callable[..., tuple[Future[Any], int]]", *what: object) -> None:
        """Returns when it is confirmed. Raises LinkLostError."""
        try:
            future, _ = request(*what)
        except Exception as error:  # AwsCrtError, its subclasses, and what Python adds
            raise LinkLostError(str(error)) from error
        await self._finish(future)

    async def _finish(self, future: "Future[Any]") -> None:
        """Waits for a confirmation, but not longer than the connection lasts."""
        lost = asyncio.ensure_future(self._lost.wait())
        done = asyncio.ensure_future(_settled(future))
        try:
            await asyncio.wait({lost, done}, return_when="FIRST_COMPLETED")
            if not done.done():
                raise LinkLostError("the connection was lost")
            if (error := done.exception()) is not None:
                raise LinkLostError(str(error)) from error
        finally:
            lost.cancel()
            done.cancel()


async def _settled(future: "Future[Any]") -> None:
    """Waits, and raises what it holds. A future of the SDK must not be cancelled: it sets it."""
    loop = asyncio.get_running_loop()
    settled = asyncio.Event()
    future.add_done_callback(lambda _: _tell(loop, settled.set))
    await settled.wait()
    future.result()


def _tell(
    loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *arguments: object
) -> None:
    """From a thread of the SDK."""
    with contextlib.suppress(RuntimeError):  # the loop is closed already
        loop.call_soon_threadsafe(callback, *arguments)


async def _within(work: Awaitable[object]) -> None:
    async with asyncio.timeout(OPERATION_SECONDS):
        await work


def _qos(number: int) -> Any:
    from awscrt import mqtt

    return mqtt.QoS(number)
