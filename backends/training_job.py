"""The contract of the training job, which every trainer keeps: channels, hyperparameters, log.

Names, defaults and ranges are those of SageMaker's built-in image classification. `seed` is our
own: a trainer that runs the built-in algorithm leaves OWN out.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from backends.artifacts import Epoch
from backends.errors import InvalidInputError

TRAIN, VALIDATION, MODEL = "train", "validation", "model"
OWN = frozenset({"seed"})

TRAIN_ACCURACY = r"Epoch\[(\d+)\] Train-accuracy=([0-9.]+)"
VALIDATION_ACCURACY = r"Epoch\[(\d+)\] Validation-accuracy=([0-9.]+)"
TIME_COST = r"Epoch\[(\d+)\] Time cost=([0-9.]+)"
METRICS = {
    "train:accuracy": r"Epoch\[\d+\] Train-accuracy=([0-9.]+)",
    "validation:accuracy": r"Epoch\[\d+\] Validation-accuracy=([0-9.]+)",
}
"""Metric definitions as SageMaker wants them: one group."""

SMALL_LAYERS = (20, 32, 44, 56, 110)
SMALL_NETWORK_UP_TO = 64  # pixels

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Augmentation = Literal["crop", "crop_color", "crop_color_transform"]
Layers = Literal[18, 20, 32, 34, 44, 50, 56, 101, 110, 152, 200]


class Choices(BaseModel):
    """The hyperparameters that a person may choose. None: the algorithm does without.

    Raises InvalidInputError, which names the hyperparameter, what is wrong and what is near it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    augmentation_type: Augmentation | None = Field(
        None, description="How training pictures are varied."
    )
    beta_1: Share = Field(0.9, description="Of adam: decay of the first moment.")
    beta_2: Share = Field(0.999, description="Of adam: decay of the second moment.")
    checkpoint_frequency: Count | None = Field(
        None,
        description="Keep the weights of every n-th epoch and the last; none: keep the best epoch.",
    )
    early_stopping: bool = Field(
        False, description="Whether to end when validation accuracy grows no more."
    )
    early_stopping_min_epochs: Count = Field(10, description="Epochs before it may end early.")
    early_stopping_patience: Count = Field(
        5, description="Epochs without growth before it ends early."
    )
    early_stopping_tolerance: Share = Field(
        0.0, description="Growth, as a share of the best, that does not count as growth."
    )
    epochs: Count = Field(30, description="How often all training pictures are seen.")
    eps: Share = Field(1e-8, description="Of adam and rmsprop: keeps a division from zero.")
    gamma: Share = Field(0.9, description="Of rmsprop: decay.")
    image_shape: str = Field(
        "3,224,224",
        description="Channels, height, width of the model's input; pictures are prepared at this "
        "size.",
    )
    kv_store: Literal["dist_sync", "dist_async"] | None = Field(
        None, description="How several machines share weights; refused here: there is one."
    )
    learning_rate: Share = Field(0.1, description="How far a step goes at first.")
    lr_scheduler_factor: Share = Field(
        0.1, description="What the learning rate is multiplied by at each step."
    )
    lr_scheduler_step: str | None = Field(
        None,
        description="Epochs, as in `10,20`; none: after 60 % and 85 % of the epochs.",
    )
    mini_batch_size: Count = Field(32, description="Pictures a step.")
    momentum: Share = Field(0.9, description="Of sgd and nag: how much of the last step goes on.")
    multi_label: bool = Field(
        False,
        description="Whether a picture may have several labels; refused here: it has one.",
    )
    num_layers: Layers = Field(
        152,
        description="Depth of the ResNet: 20, 32, 44, 56, 110 (pictures of up to 64 pixels); "
        "18, 34, 50, 101, 152, 200 (any size).",
    )
    optimizer: Literal["sgd", "adam", "rmsprop", "nag"] = Field(
        "sgd", description="How steps are chosen."
    )
    precision_dtype: Literal["float32", "float16"] = Field(
        "float32",
        description="Numbers that it computes with; `float16` is refused here: a CPU trains in "
        "float32.",
    )
    resize: Count | None = Field(
        None,
        description="Pixels of the shorter side before cropping to `image_shape`; refused here: "
        "pictures are packed at that size.",
    )
    seed: int = Field(
        0, ge=0, lt=2**31, description="Same seed, data and threads: same model. Ours."
    )
    top_k: Annotated[int, Field(ge=2)] | None = Field(
        None, description="Also report how often the label is among the best so many."
    )
    use_pretrained_model: bool = Field(
        False, description="Whether to start from the weights of the champion, which must be there."
    )
    use_weighted_loss: bool = Field(False, description="Whether rarer classes weigh more.")
    weight_decay: Share = Field(0.0001, description="How strongly large weights are held down.")

    @field_validator("num_layers", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @field_validator("image_shape")
    @classmethod
    def _three_sizes(cls, value: str) -> str:
        if not re.fullmatch(r"3, *[1-9]\d*, *[1-9]\d*", value):
            raise ValueError('expected 3, height and width, as in "3,32,32"')
        return value.replace(" ", "")

    @field_validator("lr_scheduler_step")
    @classmethod
    def _ascending(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not re.fullmatch(r"[1-9]\d*( *, *[1-9]\d*)*", value):
            raise ValueError('expected epochs with commas between, as in "10,20"')
        steps = [int(step) for step in value.split(",")]
        if steps != sorted(set(steps)):
            raise ValueError("expected epochs in ascending order")
        return ",".join(map(str, steps))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        side = max(self.height, self.width)
        if self.num_layers in SMALL_LAYERS and side > SMALL_NETWORK_UP_TO:
            raise ValueError(
                f"num_layers {self.num_layers} is for pictures of at most {SMALL_NETWORK_UP_TO} "
                f"pixels, and image_shape is {self.image_shape}"
            )
        if self.resize and self.resize < side:
            raise ValueError(f"resize {self.resize} is smaller than image_shape {self.image_shape}")
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _in_our_words(
        cls, values: Any, handler: ModelWrapValidatorHandler[Self], _info: ValidationInfo
    ) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise _refusal(error, tuple(cls.model_fields)) from error

    @property
    def height(self) -> int:
        return int(self.image_shape.split(",")[1])

    @property
    def width(self) -> int:
        return int(self.image_shape.split(",")[2])

    def strings(self) -> dict[str, str]:
        """As SageMaker takes them: strings, and what is None is left out."""
        given = {name: value for name, value in self.model_dump().items() if value is not None}
        return {name: _string(name, value) for name, value in given.items()}


class Hyperparameters(Choices):
    """All of them, with those that follow from the data."""

    num_classes: Annotated[int, Field(ge=2)]
    num_training_samples: Count

    @model_validator(mode="after")
    def _fits_classes(self) -> Self:
        if self.top_k and self.top_k >= self.num_classes:
            raise InvalidInputError(
                "hyperparameter top_k",
                f"{self.top_k} is not less than num_classes {self.num_classes}",
                "Ask for fewer, or leave it out.",
            )
        return self


def checked(hyperparameters: Mapping[str, str]) -> Hyperparameters:
    """Check what a job is about to get; raises InvalidInputError by name."""
    return Hyperparameters.model_validate(dict(hyperparameters))


class LearningCurve:
    """Reads a job's lines into epochs, live. Epochs count from 1; the log's count from 0.

    A line that comes again (an epoch was repeated after a kill) counts once, the later one.
    """

    def __init__(self, *, validates: bool) -> None:
        self._last_line = VALIDATION_ACCURACY if validates else TIME_COST
        self._epochs: dict[int, Epoch] = {}

    def feed(self, line: str) -> Epoch | None:
        """Take a line; returns the epoch that it completes, if it does."""
        for pattern, name in (
            (TRAIN_ACCURACY, "train_accuracy"),
            (VALIDATION_ACCURACY, "validation_accuracy"),
            (TIME_COST, "seconds"),
        ):
            if found := re.search(pattern, line):
                number = int(found[1]) + 1
                before = self._epochs.get(number, Epoch(number, 0.0, None, 0.0))
                changed: dict[str, Any] = {name: float(found[2])}
                self._epochs[number] = replace(before, **changed)
                return self._epochs[number] if pattern == self._last_line else None
        return None

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        return tuple(self._epochs[number] for number in sorted(self._epochs))


def learning_curve(lines: Iterable[str], *, validates: bool) -> tuple[Epoch, ...]:
    """The epochs of a whole log."""
    curve = LearningCurve(validates=validates)
    for line in lines:
        curve.feed(line)
    return curve.epochs


def images_per_second(images: int, epochs: tuple[Epoch, ...]) -> float:
    """Pictures learned per second, validation and start-up left out."""
    seconds = sum(epoch.seconds for epoch in epochs)
    return images * len(epochs) / seconds if seconds else 0.0


def _string(name: str, value: object) -> str:
    """early_stopping is True or False to the built-in algorithm, other switches are 1 or 0."""
    if isinstance(value, bool) and name != "early_stopping":
        return str(int(value))
    return str(value)


def _refusal(error: ValidationError, known: tuple[str, ...]) -> InvalidInputError:
    """The first complaint, in our words."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "hyperparameters"
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)
        return InvalidInputError(
            f"hyperparameter {name}", "there is none of that name", f"Near: {', '.join(near)}."
        )
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return InvalidInputError(
        f"hyperparameter {name}",
        f"{first['input']!r} is not possible: {reason}" if first["loc"] else reason,
        "Change it, or leave it out to get the default.",
    )
