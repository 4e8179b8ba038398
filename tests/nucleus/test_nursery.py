"""The program that forks the guards of scripts: there when needed, replaced when killed."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import psutil

from backends.local.nucleus.nursery import NURSERY
from backends.local.nucleus.process import Process


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


def test_a_folder_that_is_not_there_is_a_failed_script_and_nothing_hangs(tmp_path: Path) -> None:
    async def scenario() -> None:
        lines: list[str] = []
        script = await start(tmp_path / "nowhere", "echo never", lines)

        assert await script.wait() != 0
        await script.stop()
        assert "nowhere" in lines[0]

    asyncio.run(scenario())
    assert NURSERY._scripts == 0
