"""Nucleus lite's way to the broker: no spool, few in flight; a component must bear with that."""

import asyncio
from pathlib import Path

import pytest

from backends.local.nucleus.direct_proxy import DirectProxy
from backends.local.nucleus.rpc import OperationError
from tests.nucleus.test_spool import Site, until

pytestmark = pytest.mark.slow


def accepted(proxy: DirectProxy, payload: bytes, qos: int = 1) -> bool:
    try:
        proxy.publish("results/hub", payload, qos)
    except OperationError as error:
        return error.code != "ServiceError"
    return True


def test_of_a_burst_it_takes_ten_and_of_large_ones_fewer(tmp_path: Path) -> None:
    async def play() -> tuple[list[bool], list[bool], list[bytes]]:
        site = Site(tmp_path)
        await site.up()
        proxy = DirectProxy("hub", lambda: site.find("hub"))
        proxy.start()
        async with site.listening():
            await until(lambda: proxy.connected)
            small = [accepted(proxy, str(number).encode()) for number in range(30)]
            await until(lambda: len(site.received) == 10)
            await until(lambda: not proxy.in_flight)
            large = [accepted(proxy, b"x" * 6000) for _ in range(5)]
            await until(lambda: len(site.received) == 12)
        await proxy.stop()
        await site.down()
        return small, large, site.received

    small, large, received = asyncio.run(play())

    assert small == [True] * 10 + [False] * 20
    assert large == [True] * 2 + [False] * 3
    assert received[:10] == [str(number).encode() for number in range(10)]


def test_it_fails_at_once_while_the_broker_is_away_and_stores_nothing(tmp_path: Path) -> None:
    async def play() -> tuple[list[bool], list[bytes]]:
        site = Site(tmp_path)
        await site.up()
        proxy = DirectProxy("hub", lambda: site.find("hub"))
        proxy.start()
        await until(lambda: proxy.connected)
        await site.down()
        await until(lambda: not proxy.connected)
        away = [accepted(proxy, b"lost", qos) for qos in (0, 1)]
        await site.up()
        async with site.listening():
            await until(lambda: proxy.connected)
            away.append(accepted(proxy, b"arrives"))
            await until(lambda: bool(site.received))
        await proxy.stop()
        await site.down()
        return away, site.received

    away, received = asyncio.run(play())

    assert away == [False, False, True]
    assert received == [b"arrives"]
