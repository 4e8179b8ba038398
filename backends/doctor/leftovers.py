"""What earlier runs, crashes and versions left in an EDGEWARD_HOME. It is looked at, and left."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backends.doctor.finding import Finding, listed, warning
from backends.doctor.locks import Held
from backends.local.files import read_json
from backends.local.processes import Processes

MOST_FILES = 50_000
"""So many are looked at in search of unfinished ones; a home with more has its pictures."""
OLD_SECONDS = 3600.0
UNFINISHED = re.compile(r"\..+-[0-9a-f]{8}|\..+-[a-z0-9_]{8}|.+\.(tmp|part)")
"""Names of what is being written: by replace_file, by mkdtemp, and of downloads and packing."""
_RECORD_KEYS = ("run_id", "status", "started_at", "gates", "stages", "versions")


def judge_leftovers(home: Path, held: Held) -> Iterator[Finding]:
    at_work = {path.parent.name for path in held}
    yield _ended_runs(home, at_work)
    yield _records(home)
    yield _dead_processes(home)
    yield _damaged_devices(home)
    yield _unfinished(home)


def _ended_runs(home: Path, at_work: set[str]) -> Finding:
    """Records that were never closed, of runs that nobody is at work on."""
    killed = [
        str(record["run_id"])
        for path, record in _read(home)
        if record is not None
        and _is_known(record)
        and "ended_at" not in record
        and path.parent.name not in at_work
    ]
    if not killed:
        return warning("runs", True, "each has said how it ended, or is under way", "")
    ended = "ended" if len(killed) == 1 else "each ended"
    return warning(
        "runs",
        False,
        f"{listed(killed)} {ended} before it could say why (was it killed?)",
        f"Go on with it: `edgeward resume {killed[0]}`; or delete its folder below runs/.",
    )


def _records(home: Path) -> Finding:
    """Those that this version cannot read, or that another one wrote."""
    odd = [
        path.parent.name for path, record in _read(home) if record is None or not _is_known(record)
    ]
    if not odd:
        return warning("run records", True, "all can be read", "")
    where = home / "runs"
    return warning(
        "run records",
        False,
        f"run.json of {listed(odd)} cannot be read, or is of another version of Edgeward",
        f"Move the folder out of {where}; no other run needs it.",
    )


def _dead_processes(home: Path) -> Finding:
    """Background processes that were started, not stopped, and are not there any more."""
    processes = Processes(home / "processes")
    started = {path.stem for path in (home / "processes").glob("[!.]*.json")}
    dead = sorted(started - {one.name for one in processes.all()})
    if not dead:
        return warning("background processes", True, f"{len(started)} run, none is lost", "")
    return warning(
        "background processes",
        False,
        f"started and gone without being stopped: {listed(dead)}",
        "Start them again: `edgeward up`, or `edgeward device start NAME`.",
    )


def _damaged_devices(home: Path) -> Finding:
    damaged = sorted(
        path.parents[1].name for path in (home / "things").glob("*/config/state.json.damaged")
    )
    if not damaged:
        return warning("devices", True, "the state of each can be read", "")
    return warning(
        "devices",
        False,
        f"began afresh, as their state could not be read: {listed(damaged)}",
        f"Deploy to it again (`edgeward run --thing {damaged[0]}`), then delete"
        f" {home / 'things' / damaged[0] / 'config' / 'state.json.damaged'}.",
    )


def _unfinished(home: Path) -> Finding:
    """Old ones only: what is young may be in the making."""
    before = time.time() - OLD_SECONDS
    found = sorted(str(path) for path in _half_written(home, before))
    if not found:
        return warning("unfinished files", True, "none is older than an hour", "")
    return warning(
        "unfinished files",
        False,
        f"left by something that was killed: {listed(found, 3)}",
        "Delete them when no run is under way; nothing reads them.",
    )


def _half_written(home: Path, before: float) -> Iterator[Path]:
    looked_at = 0
    for folder, folders, files in os.walk(home):
        for name in (*folders, *files):
            if UNFINISHED.fullmatch(name) and _changed(Path(folder, name)) < before:
                yield Path(folder, name)
        folders[:] = [name for name in folders if not UNFINISHED.fullmatch(name)]
        looked_at += len(files)
        if looked_at > MOST_FILES:
            return


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return time.time()  # finished meanwhile


def _read(home: Path) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    for path in sorted((home / "runs").glob("*/run.json")):
        yield path, read_json(path)


def _is_known(record: dict[str, Any]) -> bool:
    return all(key in record for key in _RECORD_KEYS)
