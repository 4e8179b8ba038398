"""What the broker does not take is that message's or that filter's fault, and no other's.

What would break for a user: one component's mistake takes the whole device off the air.
"""

import asyncio
import logging
import sqlite3
from pathlib import Path

import pytest

from backends.local.mqtt import Broker, FilterRefusedError, MqttLink
from backends.local.nucleus import proxy as proxy_module
from backends.local.nucleus.keep_up import keep_up
from backends.local.nucleus.proxy import SpoolingProxy
from backends.local.nucleus.rpc import OperationError
from backends.local.nucleus.spool import Spool
from tests.fakes.strict_broker import strict_broker
from tests.nucleus.test_spool import Site, until

pytestmark = pytest.mark.slow


def new_proxy(port: int, folder: Path) -> SpoolingProxy:
    return SpoolingProxy(
        "hub", lambda: Broker("127.0.0.1", port, "hub", "x"), Spool(folder / "spool.sqlite")
    )


def test_a_refused_filter_is_told_to_who_asked_and_forgotten(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def play() -> None:
        async with strict_broker() as port:
            proxy = new_proxy(port, tmp_path)
            proxy.start()
            await until(lambda: proxy.connected)

            with pytest.raises(OperationError, match="refused/a") as raised:
                await proxy.subscribe("refused/a", 1, lambda *_: None)
            assert raised.value.code == "ServiceError"
            await proxy.subscribe("good/a", 0, lambda _, payload: heard.append(payload))
            proxy.drop()
            await until(lambda: not proxy.connected)
            await until(lambda: proxy.connected)
            proxy.publish("good/a", b"1", 1)
            await until(lambda: heard == [b"1"])
            await proxy.stop()

    asyncio.run(play())


@pytest.mark.parametrize("bad", ["refused/a", "unbearable/a", "unbearable"])
def test_a_bad_filter_of_one_component_does_not_keep_the_device_off(
    bad: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[bytes] = []

    async def play() -> None:
        async with strict_broker() as port:
            proxy = new_proxy(port, tmp_path)
            await proxy.subscribe(bad, 1, lambda *_: None)  # while there is no connection
            await proxy.subscribe("good/a", 0, lambda _, payload: heard.append(payload))
            proxy.start()
            await until(lambda: proxy.connected, 40)
            proxy.publish("good/a", b"1", 1)
            await until(lambda: heard == [b"1"])
            proxy.drop()
            await until(lambda: not proxy.connected)
            await until(lambda: proxy.connected)
            await proxy.stop()

    with caplog.at_level(logging.ERROR, "backends.local.mqtt"):
        asyncio.run(play())

    assert f"does not take the filter {bad!r}" in caplog.text


def test_a_filter_that_breaks_a_running_connection_is_forgotten_and_the_connection_comes_back(
    tmp_path: Path,
) -> None:
    async def play() -> None:
        async with strict_broker() as port:
            link = MqttLink("hub", lambda: Broker("127.0.0.1", port, "hub", "x"), lambda *_: None)
            task = asyncio.create_task(link.run())
            await until(link.connected.is_set)
            await link.subscribe("unbearable", 1)
            await until(lambda: not link.connected.is_set())
            await until(link.connected.is_set, 40)
            with pytest.raises(FilterRefusedError):
                await link.subscribe("refused", 1)
            assert link.connected.is_set()
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(play())


def test_a_message_that_the_broker_never_takes_is_set_aside_and_the_others_go_on_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(proxy_module, "TRIES", 3)
    heard: list[bytes] = []

    async def play() -> tuple[int, int]:
        async with strict_broker() as port:
            listener = MqttLink(
                "ear", lambda: Broker("127.0.0.1", port), lambda _, payload: heard.append(payload)
            )
            listening = asyncio.create_task(listener.run())
            await listener.subscribe("good", 0)
            await until(listener.connected.is_set)
            proxy = new_proxy(port, tmp_path)
            for number in range(4):
                proxy.publish("unbearable" if number == 1 else "good", str(number).encode(), 1)
            proxy.start()
            await until(lambda: heard[-2:] == [b"2", b"3"], 60)
            await until(lambda: not proxy.waiting)
            counted = proxy.dropped, proxy.waiting
            await proxy.stop()
            listening.cancel()
            await asyncio.wait([listening])
            return counted

    dropped, waiting = asyncio.run(play())

    assert (dropped, waiting) == (1, 0)
    assert list(dict.fromkeys(heard)) == [b"0", b"2", b"3"]
    assert "a message to unbearable is set aside" in caplog.text
    stored = sqlite3.connect(tmp_path / "spool.sqlite")
    assert stored.execute("SELECT topic, payload FROM refused").fetchall() == [("unbearable", b"1")]
    stored.close()
    again = Spool(tmp_path / "spool.sqlite")
    assert (len(again), again.dropped) == (0, 1)
    again.close()


def test_of_the_messages_set_aside_the_last_few_are_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", max_bytes=1_000)
    for number in range(100):
        spool.put("t", str(number).encode(), 1)
        spool.set_aside(spool.oldest(1)[0], "no")
    spool.put("t", b"x" * 1_000, 1)  # nothing of them counts

    assert (len(spool), spool.dropped) == (1, 100)
    spool.close()
    stored = sqlite3.connect(tmp_path / "spool.sqlite")
    kept = [int(payload) for (payload,) in stored.execute("SELECT payload FROM refused")]
    stored.close()
    assert kept == list(range(90, 100))


def test_a_disk_that_fails_for_a_while_stops_the_messages_only_for_that_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> list[bytes]:
        site = Site(tmp_path)
        await site.up()
        spool = Spool(tmp_path / "spool.sqlite")
        proxy = SpoolingProxy("hub", lambda: site.find("hub"), spool)
        for number in range(3):
            proxy.publish("results/hub", str(number).encode(), 1)
        async with site.listening():
            spool._database.execute("PRAGMA query_only = 1")  # as a disk that takes no writes
            proxy.start()
            await until(lambda: "the spool cannot be used" in caplog.text)
            assert proxy.waiting == 3
            spool._database.execute("PRAGMA query_only = 0")
            await until(lambda: len(site.received) == 3)
            await until(lambda: not proxy.waiting)
        await proxy.stop()
        await site.down()
        return site.received

    assert asyncio.run(play()) == [b"0", b"1", b"2"]


def test_work_in_the_background_that_fails_is_logged_and_begins_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("backends.local.nucleus.keep_up.AGAIN_SECONDS", 0)
    begun: list[int] = []

    async def work() -> None:
        begun.append(1)
        if len(begun) < 3:
            raise ValueError("odd")
        await asyncio.Event().wait()

    async def play() -> None:
        task = keep_up(work)
        await until(lambda: len(begun) == 3)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(play())

    assert caplog.text.count("ValueError: odd") == 2
