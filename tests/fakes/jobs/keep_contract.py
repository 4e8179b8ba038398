# mypy: ignore-errors
"""A job without MXNet: keeps the container contract, and misbehaves as it is told to."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import container


def main(job: container.Container) -> None:
    wanted = job.hyperparameters()
    attempts = job.checkpoints / "attempts"
    attempts.write_text(attempts.read_text() + "x" if attempts.exists() else "x")
    print(f"attempt {len(attempts.read_text())}", flush=True)
    (job.output / "environment.json").write_text(json.dumps(dict(os.environ)))
    act = wanted.get("act", "work")
    if act == "refuse":
        raise container.RefusedError("hyperparameter act is 'refuse': too proud " + "." * 2000)
    if act == "crash":
        print("about to crash", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "fail-once" and len(attempts.read_text()) == 1:
        os._exit(3)
    if act == "hang":
        hang(job.root, obedient=True)
    if act == "ignore-sigterm":
        hang(job.root, obedient=False)
    if act == "leave-child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (job.root / "pids").write_text(f"{child.pid}")
    (job.model / "b.params").write_bytes(b"\0" * 1000)
    (job.model / "a.json").write_text("{}")
    print("done", end="", flush=True)


def hang(root: Path, *, obedient: bool) -> None:
    """Wait for ever, with a child that waits as well in a session of its own."""
    if not obedient:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = "import time; time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=not obedient)
    unfinished = root / "pids.tmp"
    unfinished.write_text(f"{os.getpid()} {child.pid}")
    unfinished.rename(root / "pids")
    print("hanging", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    container.run(main)
