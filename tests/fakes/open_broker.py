"""Somebody else's MQTT broker: lets everybody in, and remembers who came.

with open_broker() as (port, logins): ...
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from amqtt.broker import Broker
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

_logins: list[tuple[str, str]] = []


class Doorkeeper(BaseAuthPlugin):  # type: ignore[misc]  # amqtt has no types that mypy sees
    async def authenticate(self, *, session: Session) -> bool:
        _logins.append((session.username or "", session.password or ""))
        return True


@contextmanager
def open_broker(port: int = 0) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Its port on loopback, and the (username, password) pairs of all who came, in order.

    `port` 0 is any free one.
    """
    _logins.clear()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> Broker:
        plugin = f"{Doorkeeper.__module__}.{Doorkeeper.__qualname__}"
        listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}
        broker = Broker({"listeners": listeners, "plugins": {plugin: {}}})
        await broker.start()
        return broker

    broker = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield broker._servers["default"].instance.sockets[0].getsockname()[1], _logins
    finally:
        asyncio.run_coroutine_threadsafe(broker.shutdown(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
