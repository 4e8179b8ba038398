"""What Prefect, the checks and our own code add to a run: its total minus the sum of its jobs.

A small run on drawn pictures in a home of its own, three times: `fresh` is the whole of it, with a
new database for Prefect and for MLflow; `again` finds its jobs done, so that all of it is overhead.
The ratio is the jobs' share of the fresh run.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 3
PLAN = ("driveway.images=350", "epochs=5", "device.known_pictures=6")
TARGETS = "[accuracy]\nmin_top1 = 0\n[device]\nmax_latency_p95_ms = 1000\n"


def main() -> int:
    fresh, again, jobs = [], [], []
    for number in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="edgeward-") as folder:
            home = Path(folder, "home")
            targets = Path(folder, "targets.toml")
            targets.write_text(TARGETS)
            fresh.append(_run(home, targets))
            jobs.append(_job_seconds(home))
            again.append(_run(home, targets))
            _edgeward(home, "down")
        print(f"overhead: run {number + 1} of {RUNS}", file=sys.stderr)
    total, worked = statistics.median(fresh), statistics.median(jobs)
    added = statistics.median(whole - part for whole, part in zip(fresh, jobs, strict=True))
    figures = {
        "benchmark": "overhead.run",
        "ratio": round(worked / total, 3),
        "run_s": round(total, 2),
        "jobs_s": round(worked, 2),
        "added_s": round(added, 2),
        "added_percent": round(100 * added / total, 1),
        "again_s": round(statistics.median(again), 2),
    }
    print(json.dumps(figures), flush=True)
    return 0


def _run(home: Path, targets: Path) -> float:
    """Seconds of one deployed run, as a person waits for them."""
    began = time.monotonic()
    settings = [word for setting in PLAN for word in ("--set", setting)]
    _edgeward(home, "run", "--targets", str(targets), *settings)
    return time.monotonic() - began


def _edgeward(home: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "flows", *arguments],
        env=os.environ | {"EDGEWARD_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def _job_seconds(home: Path) -> float:
    records = (json.loads(path.read_text()) for path in home.glob("jobs/*/job.json"))
    return sum(float(record["seconds"]) for record in records)


if __name__ == "__main__":
    sys.exit(main())
