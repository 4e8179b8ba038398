"""No hyperparameter is decoration: each changes what is learned, kept or said, or is refused."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backends.artifacts import PackedData
from backends.settings import PROJECT
from backends.training_job import Hyperparameters
from tests.fakes.tiny_pictures import pack

pytestmark = [pytest.mark.jobs, pytest.mark.slow]

BASE = {
    "num_classes": "3",
    "num_training_samples": "60",
    "num_layers": "20",
    "image_shape": "3,8,8",
    "epochs": "2",
    "mini_batch_size": "20",
    "learning_rate": "0.05",
}
ADAM = {"optimizer": "adam", "learning_rate": "0.001"}
RMSPROP = {"optimizer": "rmsprop", "learning_rate": "0.001"}
STEP = {"lr_scheduler_step": "1"}
STILL = {  # learns nothing, so that the accuracy never rises
    "learning_rate": "0",
    "epochs": "9",
    "early_stopping": "True",
    "early_stopping_min_epochs": "1",
    "early_stopping_patience": "1",
}
RISING = STILL | {"learning_rate": "0.02"}

# (hyperparameter, another value, what else is set in both trainings)
EFFECTS = [
    ("augmentation_type", "crop", {}),
    ("augmentation_type", "crop_color", {"augmentation_type": "crop"}),
    ("augmentation_type", "crop_color_transform", {"augmentation_type": "crop_color"}),
    ("beta_1", "0.5", ADAM),
    ("beta_2", "0.5", ADAM),
    ("checkpoint_frequency", "1", {}),
    ("early_stopping", "False", STILL),
    ("early_stopping_min_epochs", "4", STILL),
    ("early_stopping_patience", "3", STILL),
    ("early_stopping_tolerance", "1.0", RISING),
    ("epochs", "3", {}),
    ("eps", "0.1", ADAM),
    ("gamma", "0.5", RMSPROP),
    ("image_shape", "3,6,6", {}),
    ("learning_rate", "0.01", {}),
    ("lr_scheduler_factor", "0.5", STEP),
    ("lr_scheduler_step", "1", {}),
    ("mini_batch_size", "15", {}),
    ("momentum", "0.5", {}),
    ("momentum", "0.5", {"optimizer": "nag"}),
    ("num_classes", "4", {}),
    ("num_layers", "18", {}),
    ("num_layers", "32", {}),
    ("optimizer", "nag", {}),
    ("optimizer", "adam", {}),
    ("optimizer", "rmsprop", {}),
    ("resize", "10", {}),
    ("seed", "1", {}),
    ("top_k", "2", {}),
    ("use_weighted_loss", "1", {}),
    ("weight_decay", "0.5", {}),
]
REFUSED = [
    ("kv_store", "dist_sync", "there is one host"),
    ("multi_label", "1", "a picture has one label"),
    ("num_training_samples", "61", "channel 'train' holds 60"),
    ("precision_dtype", "float16", "a CPU trains in float32"),
    ("use_pretrained_model", "1", "there is no channel 'model'"),
    ("num_classes", "2", "holds class 2"),
    ("image_shape", "3,9,9", "only 8x8: pack larger ones, or set resize"),
    ("image_shape", "1,8,8", "pictures are RGB"),
    ("mini_batch_size", "61", "more than the 60 pictures"),
    ("num_layers", "19", "one of 18, 20"),
    ("resize", "7", "smaller than image_shape"),
    ("top_k", "3", "less than num_classes"),
    ("learning_rate", "1.5", "a number from 0 to 1"),
    ("learning_rte", "0.1", "did you mean learning_rate?"),
]


def key(name: str, value: str, base: dict[str, str]) -> str:
    text = f"{name}={value}," + ",".join(f"{k}={v}" for k, v in sorted(base.items()))
    return "".join(c if c.isalnum() else "_" for c in text)


@pytest.fixture(scope="module")
def data(jobs_python: Path, tmp_path_factory: pytest.TempPathFactory) -> PackedData:
    return pack(jobs_python, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def outcomes(
    jobs_python: Path, data: PackedData, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What became of every case of this module."""
    folder = tmp_path_factory.mktemp("cases")
    channels = {part: str(data.root / part) for part in ("train", "validation")}
    wanted: dict[str, dict[str, str]] = {}
    for name, value, base in EFFECTS:
        wanted[key("base", "", base)] = BASE | base
        wanted[key(name, value, base)] = BASE | base | {name: value}
    for name, value, _ in REFUSED:
        wanted[key(name, value, {})] = BASE | {name: value}
    cases = {
        name: {"hyperparameters": values, "channels": channels} for name, values in wanted.items()
    }
    cases |= _earlier_cases(folder, channels)
    (folder / "cases.json").write_text(json.dumps(cases))
    program = Path(__file__).parent / "programs/train_cases.py"
    command = [jobs_python, program, PROJECT / "jobs", folder / "cases.json", folder]
    done = subprocess.run(
        command,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def _earlier_cases(folder: Path, channels: dict[str, str]) -> dict[str, Any]:
    """Trainings that start from the model of the case `earlier`."""
    model = {"model": str(folder / "earlier/model")}
    still = BASE | {"learning_rate": "0", "epochs": "1"}
    trainings: dict[str, tuple[dict[str, str], dict[str, str]]] = {
        "earlier": (BASE | {"epochs": "4"}, {}),
        "continued": (still, model),
        "fresh": (still, {}),
        "other-layers": (still | {"num_layers": "32"}, model),
        "other-classes": (still | {"num_classes": "4"}, model),
        "other-shape": (still | {"image_shape": "3,6,6"}, model),
        "transferred": (still | {"num_classes": "4", "use_pretrained_model": "1"}, model),
        "no-model": (still, {"model": str(folder)}),
    }
    return {
        name: {"hyperparameters": values, "channels": channels | more}
        for name, (values, more) in trainings.items()
    }


@pytest.mark.parametrize(
    ("name", "value", "base"), EFFECTS, ids=[f"{n}={v}" for n, v, _ in EFFECTS]
)
def test_a_hyperparameter_changes_what_is_learned_kept_or_said(
    outcomes: dict[str, Any], name: str, value: str, base: dict[str, str]
) -> None:
    without, with_it = outcomes[key("base", "", base)], outcomes[key(name, value, base)]

    assert without["refused"] == with_it["refused"] == ""
    assert with_it != without


@pytest.mark.parametrize(
    ("name", "value", "reason"), REFUSED, ids=[f"{n}={v}" for n, v, _ in REFUSED]
)
def test_what_cannot_be_done_is_refused_by_name(
    outcomes: dict[str, Any], name: str, value: str, reason: str
) -> None:
    refused = outcomes[key(name, value, {})]["refused"]

    assert f"hyperparameter {name} " in refused
    assert reason in refused


def test_every_hyperparameter_is_covered() -> None:
    assert {name for name, *_ in EFFECTS + REFUSED} == {
        *Hyperparameters.model_fields,
        "learning_rte",
    }


@pytest.mark.parametrize(
    ("name", "value", "least", "patience"),
    [
        ("base", "", 1, 1),
        ("early_stopping_min_epochs", "4", 4, 1),
        ("early_stopping_patience", "3", 1, 3),
    ],
)
def test_early_stopping_stops_when_its_keys_say_so(
    outcomes: dict[str, Any], name: str, value: str, least: int, patience: int
) -> None:
    whole = accuracies(outcomes[key("early_stopping", "False", STILL)])
    best = [max(whole[: epoch + 1]) for epoch in range(len(whole))]
    stops = (
        epoch
        for epoch in range(max(least, patience + 1), len(whole) + 1)
        if best[epoch - 1 - patience] >= best[epoch - 1]
    )

    assert len(accuracies(outcomes[key(name, value, STILL)])) == next(stops)


def accuracies(outcome: dict[str, Any]) -> list[float]:
    lines = [line for line in outcome["lines"] if "Validation-accuracy" in line]
    return [float(line.split("=")[1]) for line in lines]


def test_checkpoint_frequency_keeps_every_checkpoint(outcomes: dict[str, Any]) -> None:
    files = outcomes[key("checkpoint_frequency", "1", {})]["files"]

    assert [name for name in files if name.endswith(".params")] == [
        "image-classification-0001.params",
        "image-classification-0002.params",
    ]


def test_a_training_continues_from_the_weights_of_the_model_channel(
    outcomes: dict[str, Any],
) -> None:
    """With a learning rate of 0 the accuracy is that of the weights it started from."""
    learned = outcomes["continued"]["lines"][0]

    assert learned.startswith("Epoch[0] Train-accuracy=")
    assert float(learned.split("=")[1]) > 0.8
    assert float(outcomes["fresh"]["lines"][0].split("=")[1]) < 0.7


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("other-layers", "num_layers, image_shape and num_classes must be those"),
        ("other-classes", "use_pretrained_model 1 starts with a new last layer"),
        ("other-shape", "that of the earlier model in channel 'model' is (3, 8, 8)"),
        ("no-model", "channel 'model' holds no trained model"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(
    outcomes: dict[str, Any], case: str, reason: str
) -> None:
    assert reason in outcomes[case]["refused"]


def test_pretrained_weights_serve_other_classes(outcomes: dict[str, Any]) -> None:
    assert outcomes["transferred"]["refused"] == ""
    assert outcomes["transferred"]["files"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(b"not RecordIO at all"), "is not RecordIO, or damaged"),
        (lambda path: path.write_bytes(b""), "holds no pictures"),
        (lambda path: path.unlink(), "holds 0 .rec files"),
        (lambda path: shutil.copy(path, path.with_name("more.rec")), "holds 2 .rec files"),
    ],
    ids=["damaged", "empty", "missing", "two"],
)
def test_a_channel_without_good_records_is_refused(
    jobs_python: Path, data: PackedData, tmp_path: Path, damage: Any, reason: str
) -> None:
    train = tmp_path / "train"
    shutil.copytree(data.root / "train", train)
    damage(train / "train.rec")
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import records\n"
        "records.scan(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))"
    )

    done = subprocess.run(
        [jobs_python, "-c", code, PROJECT / "jobs", train, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "RefusedError: " in done.stderr
    assert reason in done.stderr
