"""Runs a trained model over the test part in MXNet, as a job on this machine."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from backends.artifacts import InferenceCost, PackedData, Predictions
from backends.errors import JobError
from backends.local.files import read_json
from backends.local.jobs import JobOutput, LocalJobs
from backends.ports import OnLine

PROGRAM = "predict.py"


class LocalPredictor:
    def __init__(
        self, jobs: LocalJobs, part: Literal["train", "validation", "test"] = "test"
    ) -> None:
        self._jobs = jobs
        self._part: Literal["train", "validation", "test"] = part

    def predict(self, job: str, model: Path, data: PackedData, on_line: OnLine) -> Predictions:
        """`model` is a model.tar.gz. A model with another number of classes is refused."""
        channel = data.channel(self._part)
        output = self._jobs.run(job, PROGRAM, {}, {"model": model, "data": channel}, on_line)
        ids = _image_ids(channel / f"{self._part}.lst")
        frame = _frame(job, output, ids, data.classes)
        table = output.folder / "output" / "predictions.parquet"
        unfinished = table.with_suffix(".tmp")
        frame.to_parquet(unfinished, index=False)
        unfinished.replace(table)
        cost = InferenceCost(**read_json(output.output_folder / "cost.json") or {})
        return Predictions(table=table, classes=data.classes, images=len(frame), cost=cost)


def _image_ids(listed: Path) -> dict[int, str]:
    """Record id to image_id."""
    rows = (line.split("\t") for line in listed.read_text(encoding="utf-8").splitlines())
    return {int(index): image_id for index, _, image_id in rows}


def _frame(
    job: str, output: JobOutput, image_ids: dict[int, str], classes: tuple[str, ...]
) -> pd.DataFrame:
    """One row per record, in their order: image_id, class_index, p0..pN-1."""
    with np.load(output.output_folder / "predictions.npz") as found:
        ids, labels, probabilities = found["ids"], found["labels"], found["probabilities"]
    if probabilities.shape[1] != len(classes):
        raise JobError(
            job,
            f"the model has {probabilities.shape[1]} outputs, and there are {len(classes)} classes",
        )
    columns = {f"p{number}": probabilities[:, number] for number in range(len(classes))}
    named = [image_ids[int(number)] for number in ids]
    return pd.DataFrame({"image_id": named, "class_index": labels} | columns)
