"""A device's loop (picture file, prepared, classified, message) in DLR, MXNet and ONNX Runtime.

JSON lines; `ratio` is the peer's median over ours, above 1 we win:
coldstart: from the start of the process to the first message, files in the system's cache.
steady: resident memory after a hundred pictures.
cpu: CPU time of a picture at one a second, all threads counted, waiting ones too.
The loops run one after the other, each in a process of its own. None of them connects to anything.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backends.sources.driveway import picture
from backends.sources.plan import DrivewayPlan
from benchmarks.contest import CANDIDATES, HERE, PEERS, PYTHON, Network, built, networks, report

ROUNDS = 5  # the first is dropped: it fills the system's cache
STEADY_PICTURES = 100
CPU_PICTURES = 10
CPU_ROUNDS = 3
CONFIGURATION = {
    "mxnet": "optimize_for MKLDNN, bound once, threads that wait passively",
    "onnxruntime": "weights constant, all graph optimisations, no spinning",
}


class Loop:
    """One process of loop_candidate.py, and how long its first message took."""

    def __init__(self, kind: str, folder: Path, side: int, shown: Path) -> None:
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [PYTHON[kind], HERE / "loop_candidate.py", kind, folder, str(side), shown],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        )
        self.first: dict[str, Any] = self._answer()
        self.seconds = time.perf_counter() - began

    def ask(self, count: int, seconds: float) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count} {seconds}\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a loop ended with status {self._process.wait()}")
        return json.loads(line)


@contextmanager
def loop(kind: str, folder: Path, side: int, shown: Path) -> Iterator[Loop]:
    running = Loop(kind, folder, side, shown)
    try:
        yield running
    finally:
        running.end()


def main() -> None:
    for network in networks():
        with built(network) as folder, tempfile.TemporaryDirectory() as scratch:
            shown = Path(scratch, "picture.jpg")
            shown.write_bytes(picture(DrivewayPlan(), 0, "car"))
            _compare(network, folder, shown)


def _compare(network: Network, folder: Path, shown: Path) -> None:
    cold: dict[str, list[float]] = {kind: [] for kind in CANDIDATES}
    steady: dict[str, list[float]] = {kind: [] for kind in CANDIDATES}
    cpu: dict[str, list[float]] = {kind: [] for kind in CANDIDATES}
    for number in range(ROUNDS):
        for kind in CANDIDATES:
            with loop(kind, folder, network.side, shown) as running:
                cold[kind].append(running.seconds)
                if number >= ROUNDS - CPU_ROUNDS:
                    steady[kind].append(running.ask(STEADY_PICTURES, 0)["rss_mb"])
                    cpu[kind].append(running.ask(CPU_PICTURES, 1)["cpu_s"] * 1000)
    for name, unit, samples in (
        ("coldstart", "s", {kind: values[1:] for kind, values in cold.items()}),
        ("steady", "mb", steady),
        ("cpu", "ms", cpu),
    ):
        _report(network, name, unit, samples)


def _report(network: Network, name: str, unit: str, samples: dict[str, list[float]]) -> None:
    medians = {kind: statistics.median(values) for kind, values in samples.items()}
    for peer in PEERS:
        report(
            benchmark=f"{name}.{peer}",
            network=network.name,
            ratio=round(medians[peer] / medians["dlr"], 3),
            **{f"peer_{unit}": round(medians[peer], 3), f"ours_{unit}": round(medians["dlr"], 3)},
            samples=len(samples["dlr"]),
            peer=CONFIGURATION[peer],
            weights="random",
        )


if __name__ == "__main__":
    main()
