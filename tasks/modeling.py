"""Modeling (CRISP-DM 4): train a candidate, and ask it about pictures that it has not seen."""

import re
from collections.abc import Callable
from pathlib import Path

from prefect import get_run_logger, task
from pydantic import Field

from backends.artifacts import Epoch, PackedData, Predictions, TrainedModel
from backends.errors import InvalidInputError
from backends.ports import Predictor, Trainer
from backends.training_job import Augmentation, Choices, Count, Layers, LearningCurve
from tasks.artifacts import ProgressBar
from tasks.retrying import CALLS_BACKEND

FIRST_STEP, SECOND_STEP = 0.6, 0.85
STAMPED = re.compile(r"\[[^]]* INFO \d+\] ")  # the training's own lines, without MXNet's chatter


class TrainingPlan(Choices):
    """How to train: the built-in algorithm's hyperparameters, with defaults for small pictures.

    A flow parameter: Prefect shows and validates it. Without `lr_scheduler_step` the learning rate
    falls after 60 % and after 85 % of the epochs, whatever their number.
    """

    augmentation_type: Augmentation | None = Field(
        "crop", description="How training pictures are varied."
    )
    epochs: Count = Field(20, description="How often all training pictures are seen.")
    image_shape: str = Field(
        "3,32,32",
        description="Channels, height, width of the model's input; pictures are prepared at this "
        "size.",
    )
    mini_batch_size: Count = Field(64, description="Pictures a step.")
    num_layers: Layers = Field(
        20,
        description="Depth of the ResNet: 20, 32, 44, 56, 110 (pictures of up to 64 pixels); "
        "18, 34, 50, 101, 152, 200 (any size).",
    )

    @property
    def starts_earlier(self) -> bool:
        """Whether training starts from the champion's weights."""
        return self.use_pretrained_model == 1

    def hyperparameters(self, data: PackedData) -> dict[str, str]:
        """All that the training job gets, as strings. Raises InvalidInputError: wrong sizes."""
        if data.height < self.height or data.width < self.width:
            raise InvalidInputError(
                "hyperparameter image_shape",
                f"{self.image_shape} is larger than the packed pictures, "
                f"{data.height}x{data.width}",
                "Pack larger pictures, or ask for a smaller shape.",
            )
        if self.resize is not None:
            raise InvalidInputError(
                "hyperparameter resize",
                "the pictures are packed at image_shape, as the device prepares them",
                "Set image_shape instead.",
            )
        counted = {"num_classes": len(data.classes), "num_training_samples": data.train}
        steps = {"lr_scheduler_step": self.lr_scheduler_step or self._steps()}
        given = self.strings() | {name: str(value) for name, value in counted.items()}
        return given | {name: value for name, value in steps.items() if value}

    def _steps(self) -> str:
        shares = (FIRST_STEP, SECOND_STEP)
        steps = {round(self.epochs * share) for share in shares} - {0, self.epochs}
        return ",".join(str(step) for step in sorted(steps))


@task(**CALLS_BACKEND, task_run_name="train model")
def train_model(
    trainer: Trainer,
    job: str,
    data: PackedData,
    plan: TrainingPlan,
    earlier: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TrainedModel:
    """Train one candidate; a retry joins the job. `on_epoch` gets each epoch as it ends."""
    logger, curve = get_run_logger(), LearningCurve(validates=bool(data.validation))
    bar = ProgressBar("progress-training", f"Progress: {plan.epochs} epochs of training")

    def follow(line: str) -> None:
        logger.debug("%s %s", job, line)
        if epoch := curve.feed(line):
            logger.info("%s", _words(epoch, plan.epochs))
            bar.show(epoch.epoch, plan.epochs)
            if on_epoch:
                on_epoch(epoch)

    model = trainer.train(job, data, plan.hyperparameters(data), earlier, follow)
    logger.info(
        "%s trained %d epochs at %.0f pictures/s", job, len(model.epochs), model.images_per_second
    )
    return model


def _words(epoch: Epoch, epochs: int) -> str:
    validation = epoch.validation_accuracy
    judged = "" if validation is None else f", validation {validation:.3f}"
    return (
        f"epoch {epoch.epoch} of {epochs}: training {epoch.train_accuracy:.3f}{judged}"
        f" ({epoch.seconds:.1f} s)"
    )


@task(**CALLS_BACKEND, task_run_name="predict held-out pictures")
def predict_model(predictor: Predictor, job: str, model: Path, data: PackedData) -> Predictions:
    """What the model of an archive says about the held-out pictures, in MXNet."""
    return predictor.predict(job, model, data, get_run_logger().debug)
