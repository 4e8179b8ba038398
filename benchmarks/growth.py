"""Whether the device's memory stays where it is over a hundred thousand inferences.

A JSON line: `start_mb` is the resident memory after the first tenth, `end_mb` that at the end, and
`ratio` the first over the second: 1 means no growth.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from backends.sources.driveway import picture
from backends.sources.plan import DrivewayPlan
from benchmarks.contest import HERE, PYTHON, built, networks, report

INFERENCES = 100_000
PICTURES = 50
LABELS = ("person", "child", "dog", "cat", "car", "bicycle", "empty")


def main(inferences: int = INFERENCES) -> None:
    network = next(iter(networks()))
    with built(network) as folder, tempfile.TemporaryDirectory() as scratch:
        for number in range(PICTURES):
            shown = picture(DrivewayPlan(), number, LABELS[number % len(LABELS)])
            Path(scratch, f"{number:03d}.jpg").write_bytes(shown)
        command = [PYTHON["dlr"], HERE / "growth_candidate.py", folder / "compiled", scratch]
        done = subprocess.run(
            [*command, str(inferences)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        )
    seen = [json.loads(line)["rss_mb"] for line in done.stdout.splitlines()]
    report(
        benchmark="memory.growth",
        network=network.name,
        inferences=inferences,
        ratio=round(seen[0] / seen[-1], 3),
        start_mb=round(seen[0], 2),
        end_mb=round(seen[-1], 2),
        highest_mb=round(max(seen), 2),
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
