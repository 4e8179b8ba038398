"""The program that forks the guards of scripts: there when needed, replaced when killed."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

from backends.local.nucleus.nursery import NURSERY
from backends.local.nucleus.process import GRACE_SECONDS, Process


async def start(folder: Path, script: str, lines: list[str]) -> Process:
    environment = {"PATH": os.environ["PATH"], "WORD": "ünïcode"}
    return await Process.start(script, folder, environment, lambda _, line: lines.append(line))


def nurseries() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.ZombieProcess):  # another test's, not reaped yet
            if any("guard.py" in word for word in child.cmdline()):
                found.append(child)
    return found


async def heard(lines: list[str], count: int = 1) -> list[str]:
    async with asyncio.timeout(20):
        while len(lines) < count:
            await asyncio.sleep(0.01)
    return lines


def test_many_scripts_share_one_program_that_is_gone_after_the_last(tmp_path: Path) -> None:
    async def scenario() -> None:
        lines: list[str] = []
        scripts = [await start(tmp_path, "echo $WORD; exec sleep 100", lines) for _ in range(20)]
        assert await heard(lines, 20) == ["ünïcode"] * 20
        assert len(nurseries()) == 1

        await asyncio.gather(*(script.stop() for script in scripts))
        assert [await script.wait() for script in scripts] == [128 + signal.SIGTERM] * 20
        assert nurseries() == []

    asyncio.run(scenario())


def test_a_killed_program_takes_no_script_with_it_and_is_replaced(tmp_path: Path) -> None:
    async def scenario() -> None:
        lines: list[str] = []
        first = await start(tmp_path, "echo up; read line < fifo; exit 7", lines)
        await heard(lines)
        (nursery,) = nurseries()
        nursery.kill()
        nursery.wait(10)

        second = await start(tmp_path, "exit 3", lines)
        assert await second.wait() == 3
        with (tmp_path / "fifo").open("w") as fifo:
            fifo.write("go\n")
        assert await first.wait() == 7
        await asyncio.gather(first.stop(), second.stop())

    os.mkfifo(tmp_path / "fifo")
    asyncio.run(scenario())
    assert nurseries() == []


def test_what_left_the_scripts_own_group_is_ended_with_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        lines: list[str] = []
        script = await start(
            tmp_path, "setsid sh -c 'echo $$; exec sleep 100' & exec sleep 100", lines
        )
        away = psutil.Process(int((await heard(lines))[0]))

        await script.stop()

        assert not away.is_running()

    asyncio.run(scenario())


def test_a_script_that_is_stopped_as_it_begins_needs_no_grace(tmp_path: Path) -> None:
    async def scenario() -> float:
        began = time.monotonic()
        for milliseconds in range(10):
            script = await start(tmp_path, "exec sleep 100", [])
            await asyncio.sleep(milliseconds / 1000)
            await script.stop()
        return time.monotonic() - began

    assert asyncio.run(scenario()) < GRACE_SECONDS


def test_a_script_that_kills_its_guard_takes_all_that_it_started_with_it(tmp_path: Path) -> None:
    """At once, while another script goes on; also what has left its group and its parent."""
    children = "(setsid sh -c 'sleep 100 & echo $!; exec sleep 100' & echo $!)"

    async def scenario() -> None:
        lines: list[str] = []
        others: list[str] = []
        other = await start(tmp_path, "sleep 100 & echo $!; exec sleep 100", others)
        script = await start(tmp_path, f"{children}; read word < fifo; kill -9 $PPID", lines)
        left = [psutil.Process(int(line)) for line in await heard(lines, 2)]
        neighbour = psutil.Process(int((await heard(others))[0]))

        (tmp_path / "fifo").write_text("go\n")
        assert await script.wait() == 128 + signal.SIGKILL
        async with asyncio.timeout(GRACE_SECONDS / 2):
            await script.stop()
        assert psutil.wait_procs(left, GRACE_SECONDS)[1] == []
        assert neighbour.is_running()

        await other.stop()
        assert not neighbour.is_running()

    os.mkfifo(tmp_path / "fifo")
    asyncio.run(scenario())
    assert nurseries() == []


def test_the_last_script_is_over_only_with_what_it_has_left_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        lines: list[str] = []
        script = await start(tmp_path, "sleep 100 >&- 2>&- & echo $!; kill -9 $PPID", lines)
        left = int((await heard(lines))[0])

        await script.stop()

        assert not psutil.pid_exists(left)

    asyncio.run(scenario())
    assert nurseries() == []


def test_a_folder_that_is_not_there_is_a_failed_script_and_nothing_hangs(tmp_path: Path) -> None:
    async def scenario() -> None:
        lines: list[str] = []
        script = await start(tmp_path / "nowhere", "echo never", lines)

        assert await script.wait() != 0
        await script.stop()
        assert "nowhere" in lines[0]

    asyncio.run(scenario())
    assert NURSERY._scripts == 0
