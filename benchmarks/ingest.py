"""Ingest against an im2rec-style loop, and whether its memory stays flat.

    python -m benchmarks.ingest [PICTURES]

Ours decodes each picture once and hashes, measures and records it (one process per core). The peer
is the loop of MXNet's tools/im2rec.py in the jobs environment: decode, resize, pack with
mxnet.recordio, one process. It packs raw pixels, because the environment has no OpenCV to encode
with, which spares it work. Pictures are drawn at camera size; each run starts with an empty cache.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import psutil

from backends.settings import BackendSettings
from backends.sources.driveway import picture
from backends.sources.plan import CLASSES, DrivewayPlan

_DRAWN = 280  # different pictures; the others are these with other bytes after their end
_ROUNDS = 3
_PEER = """
import sys, time
from pathlib import Path
import mxnet as mx
root, into = sys.argv[1:]
files = sorted(Path(root).rglob("*.jpg"))
began = time.perf_counter()
record = mx.recordio.MXIndexedRecordIO(into + ".idx", into + ".rec", "w")
for index, path in enumerate(files):
    image = mx.image.imdecode(path.read_bytes())
    small = mx.image.imresize(image, 32, 32).asnumpy()
    header = mx.recordio.IRHeader(0, 0.0, index, 0)
    record.write_idx(index, mx.recordio.pack(header, small.tobytes()))
record.close()
print(time.perf_counter() - began)
"""


def silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def fill(root: Path, count: int) -> None:
    plan = DrivewayPlan()
    drawn = [picture(plan, number, CLASSES[number % len(CLASSES)]) for number in range(_DRAWN)]
    for label in CLASSES:
        (root / label).mkdir(parents=True)
    for number in range(count):
        label = CLASSES[number % _DRAWN % len(CLASSES)]
        data = drawn[number % _DRAWN] + number.to_bytes(4, "big")
        (root / label / f"{number:06d}.jpg").write_bytes(data)


class Peak:
    """Samples the memory of this process and all below it, in MiB, while it is entered."""

    def __enter__(self) -> "Peak":
        self.mib = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._over.wait(0.05):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.mib = max(self.mib, total / 2**20)


def ours(root: Path) -> None:
    """Ingest `root` in this process and print what it took."""
    from backends.artifacts import Pictures
    from tasks.data_understanding import build_manifest  # here: workers import this module again

    with tempfile.TemporaryDirectory() as home, Peak() as peak:
        began = time.perf_counter()
        build_manifest(Pictures("bench", root), Path(home, "c"), Path(home, "r"), 0, silent)
        seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak_mib": peak.mib}))


def measured(root: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.ingest", "--ours", str(root)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def peer(root: Path, into: Path) -> float:
    python = str(BackendSettings().jobs_python)
    command = [python, "-c", _PEER, str(root), str(into / "peer")]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(answer.stdout.splitlines()[-1])


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        many, few = Path(folder, "many"), Path(folder, "few")
        fill(many, count)
        fill(few, count // 4)
        rounds = [(measured(many), peer(many, Path(folder))) for _ in range(_ROUNDS)]
        small = measured(few)
    own = median(result["seconds"] for result, _ in rounds)
    other = median(seconds for _, seconds in rounds)
    line = {
        "benchmark": "ingest.im2rec",
        "ratio": round(other / own, 2),
        "ours_images_per_second": round(count / own, 1),
        "peer_images_per_second": round(count / other, 1),
        "ours_median_s": round(own, 2),
        "peer_median_s": round(other, 2),
        "images": count,
        "rounds": _ROUNDS,
        "peak_mib": {
            str(count // 4): round(small["peak_mib"], 1),
            str(count): round(median(result["peak_mib"] for result, _ in rounds), 1),
        },
    }
    print(json.dumps(line))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ours"]:
        ours(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 10_000)
