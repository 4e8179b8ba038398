"""The hyperparameters of the training job: names, defaults and ranges of SageMaker's built-in one.

All arrive as strings. A name or a value that is wrong is refused by name, and so is one that this
job cannot honour: none is ignored. `seed` is our own; the built-in algorithm has none.
Source: "Image Classification Hyperparameters", Amazon SageMaker developer guide.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from container import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SMALL_LAYERS = (20, 32, 44, 56, 110)
LARGE_LAYERS = (18, 34, 50, 101, 152, 200)
SMALL_NETWORK_UP_TO = 64  # pixels
COLOURS = 3
MOST = 2**31 - 1


def _whole(least: int, most: int = MOST) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.strip().isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return read


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ValueError("a number from 0 to 1")
    return value


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text

    return read


def _switch(text: str) -> bool:
    if text.lower() not in {"0", "1", "false", "true"}:
        raise ValueError("0 or 1")
    return text.lower() in {"1", "true"}


def _layers(text: str) -> int:
    known = sorted(SMALL_LAYERS + LARGE_LAYERS)
    return int(_one_of(*map(str, known))(text))


def _shape(text: str) -> tuple[int, int, int]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != COLOURS or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError('channels, height and width, as in "3,224,224"')
    channels, height, width = map(int, parts)
    if channels != COLOURS:
        raise ValueError("3 channels: pictures are RGB")
    return channels, height, width


def _epochs(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError('epochs with commas between, as in "10,20"')
    steps = tuple(map(int, parts))
    if list(steps) != sorted(set(steps)):
        raise ValueError("epochs in ascending order")
    return steps


@dataclass(frozen=True)
class Hyperparameters:
    """Checked values. A field without a default is required; None means that it is not used."""

    num_classes: int
    num_training_samples: int
    augmentation_type: str | None = None
    beta_1: float = 0.9
    beta_2: float = 0.999
    checkpoint_frequency: int | None = None
    early_stopping: bool = False
    early_stopping_min_epochs: int = 10
    early_stopping_patience: int = 5
    early_stopping_tolerance: float = 0.0
    epochs: int = 30
    eps: float = 1e-8
    gamma: float = 0.9
    image_shape: tuple[int, int, int] = (3, 224, 224)
    kv_store: str | None = None
    learning_rate: float = 0.1
    lr_scheduler_factor: float = 0.1
    lr_scheduler_step: tuple[int, ...] = ()
    mini_batch_size: int = 32
    momentum: float = 0.9
    multi_label: bool = False
    num_layers: int = 152
    optimizer: str = "sgd"
    precision_dtype: str = "float32"
    resize: int | None = None
    seed: int = 0
    top_k: int | None = None
    use_pretrained_model: bool = False
    use_weighted_loss: bool = False
    weight_decay: float = 0.0001

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        passed = sum(step <= epoch for step in self.lr_scheduler_step)
        return self.learning_rate * self.lr_scheduler_factor**passed


READERS: dict[str, Callable[[str], Any]] = {
    "num_classes": _whole(2),
    "num_training_samples": _whole(1),
    "augmentation_type": _one_of("crop", "crop_color", "crop_color_transform"),
    "beta_1": _share,
    "beta_2": _share,
    "checkpoint_frequency": _whole(1),
    "early_stopping": _switch,
    "early_stopping_min_epochs": _whole(1),
    "early_stopping_patience": _whole(1),
    "early_stopping_tolerance": _share,
    "epochs": _whole(1),
    "eps": _share,
    "gamma": _share,
    "image_shape": _shape,
    "kv_store": _one_of("dist_sync", "dist_async"),
    "learning_rate": _share,
    "lr_scheduler_factor": _share,
    "lr_scheduler_step": _epochs,
    "mini_batch_size": _whole(1),
    "momentum": _share,
    "multi_label": _switch,
    "num_layers": _layers,
    "optimizer": _one_of("sgd", "adam", "rmsprop", "nag"),
    "precision_dtype": _one_of("float32", "float16"),
    "resize": _whole(1),
    "seed": _whole(0),
    "top_k": _whole(2),
    "use_pretrained_model": _switch,
    "use_weighted_loss": _switch,
    "weight_decay": _share,
}


def read(values: Mapping[str, str]) -> Hyperparameters:
    """Check `values`; raises RefusedError, which names the hyperparameter and what it may be."""
    checked = {name: _value(name, text) for name, text in values.items()}
    for field in fields(Hyperparameters)[:2]:
        if field.name not in checked:
            raise RefusedError(f"hyperparameter {field.name} is required")
    plan = Hyperparameters(**checked)
    _refuse_what_cannot_be_done(plan)
    return plan


def _value(name: str, text: str) -> Any:
    if name not in READERS:
        near = difflib.get_close_matches(name, READERS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RefusedError(f"hyperparameter {name} is unknown{hint}")
    try:
        return READERS[name](text)
    except ValueError as error:
        raise RefusedError(f"hyperparameter {name} is {text!r}: expected {error}") from None


def _refuse_what_cannot_be_done(plan: Hyperparameters) -> None:
    _, height, width = plan.image_shape
    if plan.multi_label:
        raise RefusedError("hyperparameter multi_label is 1: a picture has one label here")
    if plan.kv_store:
        raise RefusedError(f"hyperparameter kv_store is {plan.kv_store!r}: there is one host")
    if plan.precision_dtype != "float32":
        raise RefusedError("hyperparameter precision_dtype is 'float16': a CPU trains in float32")
    if plan.num_layers in SMALL_LAYERS and max(height, width) > SMALL_NETWORK_UP_TO:
        raise RefusedError(
            f"hyperparameter num_layers is {plan.num_layers}: that network is for pictures of at "
            f"most {SMALL_NETWORK_UP_TO} pixels, and image_shape is {height}x{width}"
        )
    if plan.top_k and plan.top_k >= plan.num_classes:
        raise RefusedError(
            f"hyperparameter top_k is {plan.top_k}: expected less than num_classes"
            f" ({plan.num_classes})"
        )
    if plan.resize and plan.resize < max(height, width):
        raise RefusedError(
            f"hyperparameter resize is {plan.resize}: smaller than image_shape {height}x{width}"
        )
