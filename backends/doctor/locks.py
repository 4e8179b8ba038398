"""Which locks of an EDGEWARD_HOME are held, and by whom: by looking at /proc, taking none.

A lock (flock) ends with the last process that has it, so a lock file by itself is no trouble. A
job that outlived its run is: the next run of that job waits for it.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from backends.doctor.finding import Finding, listed, warning
from backends.settings import PROJECT

Held = Mapping[Path, tuple[int, ...]]


def held_locks(home: Path) -> Held:
    """Each lock file below `home` that is held now, and the processes that have it open so."""
    root = os.path.realpath(home) + os.sep
    found: defaultdict[Path, list[int]] = defaultdict(list)
    for pid in psutil.pids():
        for path in _locked_by(pid, root):
            found[path].append(pid)
    return {path: tuple(pids) for path, pids in sorted(found.items())}


def judge_locks(home: Path, held: Held) -> Iterator[Finding]:
    root = Path(os.path.realpath(home))
    at_work: list[str] = []
    for path, pids in held.items():
        name = path.relative_to(root).parent
        job = path.parent.parent == root / "jobs"
        if job and all(map(_is_a_job, pids)):
            yield warning(
                f"lock of {name}",
                False,
                f"the job outlived its run, as {_processes(pids)}; the next run waits for it",
                f"Wait for it, or end it: kill {' '.join(map(str, pids))}",
            )
        elif path.parent.parent == root / "runs":
            at_work.append(f"run {name.name} is under way ({_processes(pids)})")
        else:
            at_work.append(f"{path.relative_to(root)} ({_processes(pids)})")
    yield warning("locks", True, listed(at_work) or "none is held", "")


def _locked_by(pid: int, root: str) -> Iterator[Path]:
    try:
        entries = list(os.scandir(f"/proc/{pid}/fd"))
    except OSError:
        return  # another user's, or gone
    for entry in entries:
        try:
            target = str(Path(entry.path).readlink())
            if not target.startswith(root) or not target.endswith("lock"):
                continue
            about = Path(f"/proc/{pid}/fdinfo/{entry.name}").read_text(encoding="ascii")
        except OSError:
            continue
        if any(line.startswith("lock:") and "FLOCK" in line for line in about.splitlines()):
            yield Path(target)


def _is_a_job(pid: int) -> bool:
    """Whether it runs a program of jobs/, and so does not wait for a job but is one."""
    try:
        command = psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
    return any(word.startswith(f"{PROJECT / 'jobs'}{os.sep}") for word in command)


def _processes(pids: tuple[int, ...]) -> str:
    return f"process{'es' if len(pids) > 1 else ''} {', '.join(map(str, pids))}"
