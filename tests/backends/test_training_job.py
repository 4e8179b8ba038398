"""Both sides of the training job agree: what one refuses, the other refuses."""

import dataclasses
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from backends import training_job
from backends.artifacts import Epoch
from backends.errors import InvalidInputError
from backends.settings import PROJECT

REQUIRED = {"num_classes": "3", "num_training_samples": "60"}
VALUES = {
    "augmentation_type": ("crop", "crop_color_transform", "CROP", ""),
    "beta_1": ("0", "1", "1.01", "-0.1", "x"),
    "beta_2": ("0.5", "2"),
    "checkpoint_frequency": ("1", "0", "-1"),
    "early_stopping": ("True", "False", "1", "maybe"),
    "early_stopping_min_epochs": ("1", "0"),
    "early_stopping_patience": ("1", "0"),
    "early_stopping_tolerance": ("0", "1", "1.5"),
    "epochs": ("1", "0", "two", "1.5"),
    "eps": ("1e-8", "1.1"),
    "gamma": ("0.9", "-1"),
    "image_shape": ("3,64,48", "3, 224, 224", "1,32,32", "3,32", "3,0,32", "32"),
    "learning_rate": ("0.1", "1.1", "nan"),
    "lr_scheduler_factor": ("0.1", "7"),
    "lr_scheduler_step": ("10", "10,20", "20,10", "10,10", "0", "a"),
    "mini_batch_size": ("8", "0"),
    "momentum": ("0.999", "1.5"),
    "num_classes": ("2", "1", "0"),
    "num_layers": ("18", "152", "19", "x"),
    "num_training_samples": ("1", "0"),
    "optimizer": ("sgd", "adam", "rmsprop", "nag", "lion"),
    "precision_dtype": ("float32", "float64"),
    "kv_store": ("device",),
    "resize": ("256", "0", "100"),
    "seed": ("0", "-1", str(2**31)),
    "top_k": ("2", "1", "3"),
    "use_pretrained_model": ("0", "1", "2"),
    "use_weighted_loss": ("0", "1", "x"),
    "multi_label": ("0", "2"),
    "weight_decay": ("0", "2"),
}


@pytest.fixture(scope="module")
def job_side() -> Iterator[ModuleType]:
    """jobs/hyperparameters.py, which needs the standard library only."""
    sys.path.insert(0, str(PROJECT / "jobs"))
    try:
        path = PROJECT / "jobs/hyperparameters.py"
        spec = importlib.util.spec_from_file_location("job_hyperparameters", path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(PROJECT / "jobs"))


def test_both_sides_know_the_same_names_and_defaults(job_side: ModuleType) -> None:
    ours = training_job.checked(REQUIRED)
    theirs = job_side.read(REQUIRED)

    assert set(ours.model_dump()) == {field.name for field in dataclasses.fields(theirs)}
    assert job_side.read(ours.strings()) == theirs


def test_every_hyperparameter_is_tried() -> None:
    assert set(VALUES) == set(training_job.Hyperparameters.model_fields)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in VALUES.items() for value in values]
)
def test_both_sides_take_and_refuse_the_same_values(
    job_side: ModuleType, name: str, value: str
) -> None:
    def refusal(read: object, error: type[Exception]) -> str:
        assert callable(read)
        try:
            read(REQUIRED | {name: value})
        except error as refused:
            return str(refused)
        return ""

    ours = refusal(training_job.checked, InvalidInputError)
    theirs = refusal(job_side.read, sys.modules["container"].RefusedError)

    assert bool(ours) == bool(theirs), f"here: {ours!r}; there: {theirs!r}"
    assert not ours or name in ours
    assert not theirs or name in theirs


def test_a_wrong_name_shows_the_near_ones() -> None:
    with pytest.raises(InvalidInputError, match=r"learning_rte: there is none .* learning_rate"):
        training_job.checked(REQUIRED | {"learning_rte": "0.1"})


def test_an_epoch_is_complete_when_its_last_line_has_come() -> None:
    curve = training_job.LearningCurve(validates=True)

    assert curve.feed("[…] Epoch[0] Batch [20]\tSpeed: 1.0 samples/sec\taccuracy=0.1") is None
    assert curve.feed("[…] Epoch[0] Train-accuracy=0.500000") is None
    assert curve.feed("[…] Epoch[0] Time cost=1.500") is None
    assert curve.feed("[…] Epoch[0] Validation-accuracy=0.250000") == Epoch(1, 0.5, 0.25, 1.5)


def test_a_repeated_epoch_counts_once() -> None:
    lines = [
        "Epoch[0] Train-accuracy=0.1",
        "Epoch[0] Time cost=1",
        "Epoch[0] Train-accuracy=0.2",
        "Epoch[0] Time cost=2",
    ]

    assert training_job.learning_curve(lines, validates=False) == (Epoch(1, 0.2, None, 2.0),)
