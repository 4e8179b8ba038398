"""Whether this machine has the room that a run needs, a sane clock, and what else is useful."""

import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

from backends.doctor.finding import Finding, warning

GIB = 1 << 30
FREE_BYTES = 2 * GIB
WHY_DISK = "a run writes its pictures, models and reports there"
FREE_MEMORY = 2 * GIB
WHY_MEMORY = "a run of the example holds about 1 GiB while it trains, in all its processes"
CLOCK_SECONDS = 120.0
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def home(folder: Path) -> Finding:
    there = nearest(folder)
    writable = there.is_dir() and os.access(there, os.W_OK)
    found = str(folder) if writable else f"{there} cannot be written to"
    return Finding("EDGEWARD_HOME", writable, found, "Set EDGEWARD_HOME to a folder of yours.")


def disk(folder: Path, least: int) -> Finding:
    free = shutil.disk_usage(nearest(folder)).free
    return Finding(
        "disk",
        free >= least,
        f"{free / GIB:.1f} GiB free at {nearest(folder)}; {WHY_DISK}",
        f"Free {least / GIB:g} GiB, or set EDGEWARD_HOME to a larger disk.",
    )


def memory(least: int) -> Finding:
    free = min([psutil.virtual_memory().available, *_of_the_group()])
    return warning(
        "memory",
        free >= least,
        f"{free / GIB:.1f} GiB free; {WHY_MEMORY}",
        f"Free {least / GIB:g} GiB: end other programs, or give this machine more.",
    )


def clock(folder: Path) -> Finding:
    """Messages and runs are ordered by time, and certificates hold for a while only."""
    ahead = max((when - time.time() for when in _written(folder)), default=0.0)
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if ahead <= CLOCK_SECONDS:
        return warning("clock", True, now, "")
    found = f"it is {now}, and the newest run was written {ahead / 60:.0f} minutes later"
    return warning("clock", False, found, "Set the clock (timedatectl set-ntp true).")


def tools() -> Finding:
    """What only some tests and pictures of the docs need; containers, nothing here needs."""
    browser = next((path for name in _BROWSERS if (path := shutil.which(name))), "")
    seen = f"Chromium: {browser}" if browser else "no Chromium: tests of the UI are skipped"
    return warning("optional tools", True, f"{seen}; Docker is not needed", "")


def nearest(folder: Path) -> Path:
    """What is there of the way to `folder`; folders that we may not look into count as absent."""
    return next(one for one in (folder, *folder.parents) if os.path.lexists(one))


def _written(folder: Path) -> Iterator[float]:
    for path in (folder / "runs").glob("*/run.json"):
        try:
            yield path.stat().st_mtime
        except OSError:
            continue


def _of_the_group(root: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """What the container's own limit leaves, where there is one."""
    try:
        most, used = ((root / f"memory.{name}").read_text() for name in ("max", "current"))
        yield int(most) - int(used)
    except (OSError, ValueError):
        return
