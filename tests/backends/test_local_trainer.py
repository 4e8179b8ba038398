"""Training and prediction on this machine, with the real MXNet on pictures of 8 pixels."""

import contextlib
import json
import os
import re
import signal
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from backends.artifacts import PackedData, TrainedModel
from backends.errors import InvalidInputError, JobError
from backends.local.jobs import LocalJobs
from backends.local.predictor import LocalPredictor
from backends.local.trainer import LocalTrainer
from backends.training_job import METRICS
from tests.fakes.tiny_pictures import CLASSES, pack

pytestmark = [pytest.mark.jobs, pytest.mark.slow]

EPOCHS = 8  # enough that a stopped training is far from its end
HYPERPARAMETERS = {
    "num_classes": "3",
    "num_training_samples": "60",
    "num_layers": "20",
    "image_shape": "3,8,8",
    "epochs": str(EPOCHS),
    "mini_batch_size": "20",
    "learning_rate": "0.05",
    "augmentation_type": "crop",
    "top_k": "2",
}


@pytest.fixture(scope="module")
def jobs(jobs_python: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalJobs:
    """One thread: pictures of 8 pixels gain nothing from more, and a busy machine loses much."""
    return LocalJobs(tmp_path_factory.mktemp("home"), jobs_python, 120, threads=1)


@pytest.fixture(scope="module")
def data(jobs_python: Path, tmp_path_factory: pytest.TempPathFactory) -> PackedData:
    return pack(jobs_python, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """What the undisturbed training said."""
    return []


@pytest.fixture(scope="module")
def trained(jobs: LocalJobs, data: PackedData, lines: list[str]) -> TrainedModel:
    """A training that nobody disturbed."""
    return LocalTrainer(jobs).train("whole", data, HYPERPARAMETERS, None, lines.append)


def test_it_learns_what_separates_the_classes(trained: TrainedModel) -> None:
    best = max(epoch.validation_accuracy or 0.0 for epoch in trained.epochs)

    assert best > 0.8
    assert [epoch.epoch for epoch in trained.epochs] == list(range(1, EPOCHS + 1))
    assert trained.images_per_second > 0
    assert (trained.width, trained.height, trained.classes) == (8, 8, CLASSES)


def test_the_archive_is_what_the_built_in_algorithm_writes(trained: TrainedModel) -> None:
    with tarfile.open(trained.archive) as tar:
        names = sorted(tar.getnames())
        shapes = tar.extractfile("model-shapes.json")
        assert shapes is not None
        content = json.load(shapes)

    assert re.fullmatch(r"image-classification-00\d\d\.params", names[0])
    assert names[1:] == ["image-classification-symbol.json", "model-shapes.json"]
    assert content == [{"name": "data", "shape": [1, 3, 8, 8]}]


@pytest.mark.usefixtures("trained")
def test_the_log_lines_are_those_of_the_built_in_algorithm(lines: list[str]) -> None:
    stamp = r"\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d INFO \d+\] "
    for text in (
        r"Epoch\[0\] Train-accuracy=[01]\.\d{6}",
        r"Epoch\[0\] Train-top_k_accuracy_2=[01]\.\d{6}",
        r"Epoch\[0\] Time cost=\d+\.\d{3}",
        r"Epoch\[0\] Validation-accuracy=[01]\.\d{6}",
        r"Storing the best model with validation accuracy: [01]\.\d{6}",
        r'Saved checkpoint to ".*/model/image-classification-0001.params"',
    ):
        assert any(re.fullmatch(stamp + text, line) for line in lines), text
    for pattern in METRICS.values():
        assert sum(bool(re.search(pattern, line)) for line in lines) == EPOCHS


def test_the_same_seed_gives_the_same_bytes(
    jobs: LocalJobs, data: PackedData, trained: TrainedModel
) -> None:
    again = LocalTrainer(jobs).train("again", data, HYPERPARAMETERS, None, print)

    assert again.archive.read_bytes() == trained.archive.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_training_that_was_stopped_resumes_and_ends_with_the_same_model(
    jobs: LocalJobs, data: PackedData, trained: TrainedModel, number: signal.Signals
) -> None:
    job = f"stopped-{number.name}"
    trainer = LocalTrainer(jobs)
    with pytest.raises(JobError):
        trainer.train(job, data, HYPERPARAMETERS, None, _stop_at("Epoch[1] Train-accuracy", number))
    resumed: list[str] = []

    model = trainer.train(job, data, HYPERPARAMETERS, None, resumed.append)

    assert any("Resuming at Epoch[" in line for line in resumed)
    assert not any("Epoch[0] Train-accuracy" in line for line in resumed)
    assert [epoch.epoch for epoch in model.epochs] == list(range(1, EPOCHS + 1))
    assert model.archive.read_bytes() == trained.archive.read_bytes()


@pytest.mark.parametrize("lost", ["at-*/progress.json", "at-*/weights.params", "kept/*.params"])
def test_half_a_checkpoint_is_none(
    jobs_python: Path, data: PackedData, trained: TrainedModel, tmp_path: Path, lost: str
) -> None:
    """SageMaker brings checkpoints back file by file, as far as it had copied them."""
    trainer = LocalTrainer(LocalJobs(tmp_path, jobs_python, 120, threads=1))
    stop = _stop_at("Epoch[1] Train-accuracy", signal.SIGTERM)
    with pytest.raises(JobError):
        trainer.train("half", data, HYPERPARAMETERS, None, stop)
    for path in (tmp_path / "jobs/half/checkpoints").glob(lost):
        path.unlink()

    model = trainer.train("half", data, HYPERPARAMETERS, None, lambda _line: None)

    assert model.archive.read_bytes() == trained.archive.read_bytes()


def _stop_at(text: str, number: signal.Signals) -> Callable[[str], None]:
    def look(line: str) -> None:
        if text in line:
            for child in psutil.Process().children():
                with contextlib.suppress(psutil.NoSuchProcess):  # one that ended, of another test
                    if "train.py" in " ".join(child.cmdline()):
                        os.kill(child.pid, number)

    return look


def test_the_prediction_agrees_with_the_accuracy_that_training_reported(
    jobs: LocalJobs, data: PackedData, trained: TrainedModel
) -> None:
    """It would not, if training judged other weights than those it kept."""
    predictor = LocalPredictor(jobs, part="validation")

    found = predictor.predict("predict", trained.archive, data, print)

    table = pd.read_parquet(found.table)
    probabilities = table[["p0", "p1", "p2"]].to_numpy()
    accuracy = (probabilities.argmax(axis=1) == table["class_index"]).mean()
    assert accuracy == pytest.approx(
        max(epoch.validation_accuracy or 0.0 for epoch in trained.epochs), abs=1e-6
    )
    listed = (data.channel("validation") / "validation.lst").read_text().splitlines()
    assert list(table["image_id"]) == [line.split("\t")[2] for line in listed]
    assert list(table.columns) == ["image_id", "class_index", "p0", "p1", "p2"]
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)


def test_a_model_for_other_classes_is_not_taken_for_a_prediction(
    jobs: LocalJobs, data: PackedData, trained: TrainedModel
) -> None:
    other = replace(data, classes=("cat", "dog"))

    with pytest.raises(JobError, match="3 outputs, and there are 2 classes"):
        LocalPredictor(jobs).predict("other-classes", trained.archive, other, print)


def test_without_a_validation_part_the_last_epoch_is_kept(
    jobs: LocalJobs, data: PackedData
) -> None:
    alone = replace(data, validation=0)

    model = LocalTrainer(jobs).train("alone", alone, HYPERPARAMETERS, None, print)

    assert {epoch.validation_accuracy for epoch in model.epochs} == {None}
    with tarfile.open(model.archive) as tar:
        assert "image-classification-0008.params" in tar.getnames()


def test_the_reason_of_a_failed_training_reaches_the_caller(
    jobs: LocalJobs, data: PackedData
) -> None:
    wrong = HYPERPARAMETERS | {"num_training_samples": "61"}

    with pytest.raises(JobError) as caught:
        LocalTrainer(jobs).train("wrong", data, wrong, None, print)

    assert caught.value.reason == (
        "hyperparameter num_training_samples is 61, and channel 'train' holds 60 pictures"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kv_store", "dist_sync"),
        ("multi_label", "1"),
        ("precision_dtype", "float16"),
        ("use_pretrained_model", "1"),
        ("num_layers", "21"),
        ("epoch", "3"),
    ],
)
def test_a_wrong_hyperparameter_costs_nothing(
    jobs: LocalJobs, data: PackedData, name: str, value: str
) -> None:
    """It is refused here, by name, before a job starts."""
    started: list[str] = []

    with pytest.raises(InvalidInputError, match=f"hyperparameter {name}"):
        LocalTrainer(jobs).train(
            "never", data, HYPERPARAMETERS | {name: value}, None, started.append
        )

    assert started == []
