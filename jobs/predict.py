"""Run a trained model over packed pictures in the framework that trained it.

Channels `model` (model.tar.gz, or its files) and `data` (one .rec). Output, in the order of the
records: `output/data/predictions.npz` with `ids` [N] uint64, `labels` [N] int64 and
`probabilities` [N, classes] float32.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import container
import model_files
import numpy as np
from learner import Classifier
from records import Reader, scan

BATCH = 64
PROGRESS_EVERY = 20  # batches


def main(job: container.Container) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        model = model_files.load(job.channel("model"), Path(scratch))
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
    print(f"predicted {len(probabilities)} of {len(records)}", flush=True)


if __name__ == "__main__":
    container.run(main)
