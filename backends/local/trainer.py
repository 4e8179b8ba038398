"""Trains on this machine, under the contract of SageMaker's built-in image classification."""

from collections.abc import Mapping
from pathlib import Path

from backends import training_job
from backends.artifacts import PackedData, TrainedModel
from backends.errors import InvalidInputError, JobError
from backends.local.jobs import LocalJobs
from backends.ports import OnLine

PROGRAM = "train.py"


class LocalTrainer:
    def __init__(self, jobs: LocalJobs) -> None:
        self._jobs = jobs

    def train(
        self,
        job: str,
        data: PackedData,
        hyperparameters: Mapping[str, str],
        earlier: Path | None,
        on_line: OnLine,
    ) -> TrainedModel:
        checked = training_job.checked(hyperparameters)
        _refuse_what_this_machine_cannot_do(checked, earlier)
        channels = {training_job.TRAIN: data.channel("train")}
        if data.validation:
            channels[training_job.VALIDATION] = data.channel("validation")
        if earlier:
            channels[training_job.MODEL] = earlier
        values = checked.strings()
        output = self._jobs.run(job, PROGRAM, values, channels, on_line)
        if output.model_archive is None:
            raise JobError(job, "it wrote no model")
        lines = output.log.read_text(encoding="utf-8").splitlines()
        epochs = training_job.learning_curve(lines, validates=bool(data.validation))
        return TrainedModel(
            archive=output.model_archive,
            classes=data.classes,
            width=checked.width,
            height=checked.height,
            epochs=epochs,
            seconds=output.seconds,
            images_per_second=training_job.images_per_second(data.train, epochs),
            hyperparameters=values,
        )


def _refuse_what_this_machine_cannot_do(
    wanted: training_job.Hyperparameters, earlier: Path | None
) -> None:
    """The job refuses these as well; here it costs nothing."""
    for name, asked, reason in (
        ("multi_label", wanted.multi_label, "a picture has one label here"),
        ("kv_store", wanted.kv_store is not None, "there is one host"),
        ("precision_dtype", wanted.precision_dtype == "float16", "a CPU trains in float32"),
    ):
        if asked:
            raise InvalidInputError(f"hyperparameter {name}", reason, "Leave it out.")
    if wanted.use_pretrained_model and not earlier:
        raise InvalidInputError(
            "hyperparameter use_pretrained_model",
            "there is no earlier model to start from",
            "Deploy a first model without it (its weights are then given), or set it to 0.",
        )
