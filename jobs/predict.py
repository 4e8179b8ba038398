"""Run a trained model over packed pictures in the framework that trained it.

Channels `model` (model.tar.gz, or its files) and `data` (one .rec). Output, in the order of the
records: `output/data/predictions.npz` with `ids` [N] uint64, `labels` [N] int64 and
`probabilities` [N, classes] float32; and `cost.json`, what one picture at a time costs here:
`latency_p50_ms`, `latency_p95_ms`, `peak_rss_mb`.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import container
import model_files
import mxnet as mx
import numpy as np
from learner import Classifier
from records import Reader, scan

BATCH = 64
PROGRESS_EVERY = 20  # batches
TIMED = 100  # single pictures
WARM_UP = 10
PAUSE = 0.005  # seconds; a device reads and prepares the next picture meanwhile


def main(job: container.Container) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        model = model_files.load(job.channel("model"), Path(scratch))
        cost = measure(Classifier(model, 1), model.shape)
        records = scan(job.channel("data"), Path(scratch))
        reader = Reader(records, model.shape, min(BATCH, len(records)))
        classifier, found = Classifier(model, reader.batch), []
        for number, batch in enumerate(reader.in_order(), 1):
            found.append(classifier.classify(batch.data[0])[: reader.batch - batch.pad])
            if number % PROGRESS_EVERY == 0:
                print(f"predicted {number * reader.batch} of {len(records)}", flush=True)
    probabilities = np.concatenate(found).astype(np.float32)
    np.savez(
        job.output / "predictions.npz",
        ids=records.ids,
        labels=records.labels.astype(np.int64),
        probabilities=probabilities,
    )
    (job.output / "cost.json").write_text(json.dumps(cost), encoding="utf-8")
    print(f"predicted {len(probabilities)} of {len(records)}", flush=True)


def measure(classifier: Classifier, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Time one picture after another, as a device would without a compiler.

    Memory is this process's peak so far: nothing of the test part has been read.
    """
    picture = mx.nd.array(np.random.RandomState(0).uniform(0, 255, (1, *shape)))
    seconds = []
    for _ in range(WARM_UP + TIMED):
        time.sleep(PAUSE)
        began = time.perf_counter()
        classifier.classify(picture)
        seconds.append(time.perf_counter() - began)
    p50, p95 = np.percentile(seconds[WARM_UP:], [50, 95]) * 1000
    return {"latency_p50_ms": p50, "latency_p95_ms": p95, "peak_rss_mb": _peak_rss_mb()}


def _peak_rss_mb() -> float:
    """VmHWM: ru_maxrss would start at what the parent held when it started this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("/proc/self/status names no peak memory")


if __name__ == "__main__":
    container.run(main)
