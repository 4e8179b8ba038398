"""Messages that the broker has not confirmed are not lost: not by a cut, not by a restart."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backends.local.cloud.broker import start_broker
from backends.local.cloud.passwords import Passwords
from backends.local.mqtt import Broker, LinkLostError, MqttLink
from backends.local.nucleus.proxy import SpoolingProxy
from backends.local.nucleus.rpc import OperationError
from backends.local.nucleus.spool import Spool, Spooled
from backends.settings import PROJECT


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

    again = Spool(tmp_path / "spool.sqlite", max_bytes=30)
    assert again.dropped == 2
    again.put("t", b"5" * 10, 1)
    assert again.dropped == 3
    again.close()


FILL = """
import os, sys
from pathlib import Path
from backends.local.nucleus.spool import Spool, Spooled
from backends.settings import PROJECT

spool = Spool(Path(sys.argv[1]), max_bytes=300)
for number in range(100):
    spool.put("t", b"%010d" % number, 1, retain=number == 99)
os.kill(os.getpid(), 9)
"""


def test_what_was_spooled_and_what_was_dropped_survive_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"

    killed = subprocess.run([sys.executable, "-c", FILL, path], cwd=PROJECT, check=False)

    spool = Spool(path, max_bytes=300)
    kept = spool.oldest(100)
    assert killed.returncode == -signal.SIGKILL
    assert [int(message.payload) for message in kept] == list(range(70, 100))
    assert [message.retain for message in kept] == [False] * 29 + [True]
    assert spool.dropped == 70
    spool.close()


def test_a_spool_of_an_earlier_version_is_read_on(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "spool.sqlite")
    old.execute(
        "CREATE TABLE message (number INTEGER PRIMARY KEY AUTOINCREMENT,"
        " topic TEXT NOT NULL, payload BLOB NOT NULL, qos INTEGER NOT NULL)"
    )
    old.execute("INSERT INTO message (topic, payload, qos) VALUES ('t', x'31', 1)")
    old.commit()
    old.close()

    spool = Spool(tmp_path / "spool.sqlite")

    assert spool.oldest(2) == [Spooled(1, "t", b"1", 1, retain=False)]
    spool.close()


def test_a_spool_that_the_disk_has_spoilt_does_not_stop_the_device(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    path.write_bytes(b"no database" * 1000)

    spool = Spool(path)
    spool.put("t", b"1", 1)

    assert len(spool) == 1
    assert path.with_name("spool.sqlite.unreadable").is_file()
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


class UnsteadyLink:
    """A link on which one message fails on its way, once, while the others get through."""

    def __init__(self, fails: bytes) -> None:
        self.connected = asyncio.Event()
        self.connected.set()
        self.arrived: list[bytes] = []
        self._fails = fails

    async def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        await asyncio.sleep(0)
        if payload == self._fails:
            self._fails = b""
            raise LinkLostError("not confirmed in time")
        self.arrived.append(payload)


def test_a_message_that_fails_on_its_way_is_not_overtaken(tmp_path: Path) -> None:
    wanted = [str(number).encode() for number in range(40)]

    async def play() -> list[bytes]:
        spool = Spool(tmp_path / "spool.sqlite")
        proxy = SpoolingProxy("hub", lambda: None, spool)
        link = UnsteadyLink(fails=b"3")
        proxy._link = link  # type: ignore[assignment]
        for payload in wanted:
            proxy.publish("results/hub", payload, 1)
        sending = asyncio.create_task(proxy._send())
        await until(lambda: len(link.arrived) == len(wanted))
        sending.cancel()
        await asyncio.wait([sending])
        spool.close()
        return link.arrived

    assert asyncio.run(play()) == wanted


def test_qos_0_is_not_kept_while_the_broker_is_away(tmp_path: Path) -> None:
    async def play() -> int:
        proxy = SpoolingProxy("hub", lambda: None, Spool(tmp_path / "spool.sqlite"))
        with pytest.raises(OperationError, match="Dropping QoS 0"):
            proxy.publish("results/hub", b"0", 0)
        proxy.publish("results/hub", b"1", 1)
        waiting = proxy.waiting
        await proxy.stop()
        return waiting

    assert asyncio.run(play()) == 1


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
