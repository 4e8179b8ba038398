"""A broker that does not take everything, in both ways that brokers of MQTT 3.1.1 have.

    async with strict_broker() as port: ...

A filter that begins with `refused` is answered with a failure. Whoever writes `unbearable`, in a
topic or a filter, loses its connection.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from amqtt.broker import Action, Broker
from amqtt.plugins.base import BaseTopicPlugin
from amqtt.session import Session

from tests.fakes.open_broker import Doorkeeper


class Refuser(BaseTopicPlugin):  # type: ignore[misc]  # amqtt has no types that mypy sees
    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool:
        return not (topic or "").startswith("refused")


@asynccontextmanager
async def strict_broker() -> AsyncIterator[int]:
    """Its port on loopback."""
    plugins: dict[str, dict[str, str]] = {
        f"{p.__module__}.{p.__qualname__}": {} for p in (Doorkeeper, Refuser)
    }
    listeners = {"default": {"type": "tcp", "bind": "127.0.0.1:0"}}
    broker = Broker({"listeners": listeners, "plugins": plugins})
    await broker.start()
    inner = broker._servers["default"].instance.sockets[0].getsockname()[1]

    served: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while (piece := await reader.read(65536)) and b"unbearable" not in piece:
                writer.write(piece)
                await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_broker, to_broker = await asyncio.open_connection("127.0.0.1", inner)
        ways = {
            asyncio.create_task(pass_on(reader, to_broker)),
            asyncio.create_task(pass_on(from_broker, writer)),
        }
        served.update(ways)
        await asyncio.wait(ways, return_when="FIRST_COMPLETED")
        for way in ways:
            way.cancel()
        for end in (writer, to_broker):
            end.close()
            with contextlib.suppress(ConnectionError):
                await end.wait_closed()

    gate = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield gate.sockets[0].getsockname()[1]
    finally:
        gate.close()
        for way in served:
            way.cancel()
        await gate.wait_closed()
        await broker.shutdown()
