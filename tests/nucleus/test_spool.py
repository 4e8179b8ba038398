"""Messages that the broker has not confirmed are not lost: not by a cut, not by a restart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backends.local.cloud.broker import start_broker
from backends.local.cloud.passwords import Passwords
from backends.local.mqtt import Broker, MqttLink
from backends.local.nucleus.proxy import SpoolingProxy
from backends.local.nucleus.rpc import OperationError
from backends.local.nucleus.spool import Spool


def test_messages_come_out_in_order_and_survive_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite")
    for number in range(5):
        spool.put("t", str(number).encode(), 1)
    spool.remove(spool.oldest(1)[0])
    spool.close()

    again = Spool(tmp_path / "spool.sqlite")

    assert [m.payload for m in again.oldest(10)] == [b"1", b"2", b"3", b"4"]
    again.close()


def test_a_full_spool_drops_the_oldest_and_counts_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", max_bytes=30)
    for number in range(5):
        spool.put("t", str(number).encode() * 10, 1)

    assert [m.payload[:1] for m in spool.oldest(10)] == [b"2", b"3", b"4"]
    assert spool.dropped == 2
    with pytest.raises(ValueError, match="31 bytes"):
        spool.put("t", b"x" * 31, 1)
    assert len(spool) == 3
    spool.close()


def test_what_can_never_be_spooled_is_told_to_the_component(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", max_bytes=10)
    proxy = SpoolingProxy.__new__(SpoolingProxy)
    proxy._spool = spool

    with pytest.raises(OperationError):
        proxy.publish("t", b"x" * 11, 1)
    spool.close()


class Site:
    """A broker that can be taken away and brought back, and a listener on it."""

    def __init__(self, folder: Path) -> None:
        self.passwords = Passwords(folder / "passwords.json")
        self.folder = folder
        self.broker: Any = None
        self.port = 0
        self.received: list[bytes] = []
        self.known = {name: self.passwords.issue(name) for name in ("hub", "listener")}

    def find(self, name: str) -> Broker | None:
        return Broker("127.0.0.1", self.port, name, self.known[name]) if self.broker else None

    async def up(self) -> None:
        self.broker, self.port = await start_broker(0, self.folder / "passwords.json")

    async def down(self) -> None:
        broker, self.broker = self.broker, None
        await broker.shutdown()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        link = MqttLink(
            "listener", lambda: self.find("listener"), lambda _t, p: self.received.append(p)
        )
        task = asyncio.create_task(link.run())
        await link.subscribe("results/#", 1)
        await until(link.connected.is_set)
        yield
        task.cancel()
        await asyncio.wait([task])


async def until(condition: Any, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.slow
def test_nothing_is_lost_while_the_broker_is_away_and_the_order_is_kept(tmp_path: Path) -> None:
    async def play() -> list[bytes]:
        site = Site(tmp_path)
        await site.up()
        proxy = SpoolingProxy("hub", lambda: site.find("hub"), Spool(tmp_path / "spool.sqlite"))
        proxy.start()
        async with site.listening():
            await until(lambda: proxy.connected)
            proxy.publish("results/hub", b"0", 1)
            await until(lambda: site.received == [b"0"])
        await site.down()
        await until(lambda: not proxy.connected)
        for number in range(1, 200):
            proxy.publish("results/hub", str(number).encode(), 1)
        await site.up()  # on another port
        async with site.listening():
            await until(lambda: len(site.received) >= 200)
        await proxy.stop()
        await site.down()
        return site.received

    assert asyncio.run(play()) == [str(number).encode() for number in range(200)]


@pytest.mark.slow
def test_a_message_from_the_broker_reaches_whoever_subscribed_also_after_a_cut(
    tmp_path: Path,
) -> None:
    async def play() -> list[tuple[str, bytes]]:
        site = Site(tmp_path)
        await site.up()
        proxy = SpoolingProxy("hub", lambda: site.find("hub"), Spool(tmp_path / "spool.sqlite"))
        proxy.start()
        heard: list[tuple[str, bytes]] = []
        end = await proxy.subscribe("commands/+", 1, lambda *message: heard.append(message))
        await until(lambda: proxy.connected)
        proxy.publish("commands/a", b"one", 1)
        await until(lambda: heard == [("commands/a", b"one")])
        await site.down()
        await until(lambda: not proxy.connected)
        await site.up()
        await until(lambda: proxy.connected)
        proxy.publish("commands/b", b"two", 1)
        await until(lambda: len(heard) == 2)
        end()
        await proxy.stop()
        await site.down()
        return heard

    assert asyncio.run(play())[1] == ("commands/b", b"two")


@pytest.mark.parametrize(
    ("client", "name", "password"),
    [
        ("hub", "hub", "wrong"),
        ("hub", "nobody", "known"),
        ("hub", "", ""),
        ("listener", "hub", "known"),
    ],
    ids=["password", "name", "anonymous", "another's client id"],
)
def test_the_broker_turns_away_who_is_not_what_it_says(
    tmp_path: Path, client: str, name: str, password: str
) -> None:
    async def play() -> bool:
        site = Site(tmp_path)
        await site.up()
        secret = site.known["hub"] if password == "known" else password
        link = MqttLink(
            client, lambda: Broker("127.0.0.1", site.port, name, secret), lambda _t, _p: None
        )
        connected = await link._connect()
        await site.down()
        return connected

    assert asyncio.run(play()) is False


def test_passwords_are_kept_hashed_and_for_our_eyes_only(tmp_path: Path) -> None:
    path = tmp_path / "passwords.json"
    passwords = Passwords(path)
    secret = passwords.issue("hub")

    assert passwords.check("hub", secret)
    assert not passwords.check("hub", secret + "x")
    assert secret not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    passwords.issue("hub")
    assert not passwords.check("hub", secret)
    passwords.forget("hub")
    assert not passwords.check("hub", secret)
