"""The training plan of a flow, and the two tasks around the trainer."""

from pathlib import Path

import pytest
from prefect import flow

from backends import training_job
from backends.artifacts import Epoch, PackedData
from backends.errors import InvalidInputError
from backends.local.jobs import LocalJobs
from backends.local.predictor import LocalPredictor
from backends.local.trainer import LocalTrainer
from tasks.modeling import TrainingPlan, predict_model, train_model
from tests.fakes.tiny_pictures import pack

DATA = PackedData(Path("packed"), 32, 32, ("cat", "dog", "person"), 100, 20, 20)


def test_the_plan_becomes_the_strings_that_the_job_takes() -> None:
    strings = TrainingPlan().hyperparameters(DATA)

    assert strings["num_classes"] == "3"
    assert strings["num_training_samples"] == "100"
    assert strings["lr_scheduler_step"] == "12,17"
    assert training_job.checked(strings).num_layers == 20


@pytest.mark.parametrize(("epochs", "steps"), [(1, None), (2, "1"), (3, "2"), (30, "18,26")])
def test_the_learning_rate_falls_at_the_same_shares_of_any_length(
    epochs: int, steps: str | None
) -> None:
    plan = TrainingPlan(epochs=epochs)

    assert plan.hyperparameters(DATA).get("lr_scheduler_step") == steps


def test_values_from_a_command_line_are_read() -> None:
    plan = TrainingPlan.model_validate({"num_layers": "18", "learning_rate": "0.05"})

    assert plan.num_layers == 18
    assert plan.learning_rate == 0.05


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epoch": 3}, "hyperparameter epoch: there is none of that name. Near: epochs"),
        ({"num_layers": 21}, "hyperparameter num_layers: 21 is not possible"),
        ({"image_shape": "3,224,224"}, "num_layers 20 is for pictures of at most 64 pixels"),
        ({"learning_rate": 2}, "less than or equal to 1"),
    ],
)
def test_a_wrong_name_or_value_is_refused_by_name(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        TrainingPlan.model_validate(wrong)

    assert message in str(caught.value)


def test_a_shape_larger_than_the_packed_pictures_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="larger than the packed pictures, 32x32"):
        TrainingPlan(image_shape="3,40,40").hyperparameters(DATA)


@pytest.mark.jobs
@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_the_tasks_train_predict_and_show_each_epoch_as_it_ends(
    jobs_python: Path, tmp_path: Path
) -> None:
    data = pack(jobs_python, tmp_path)
    jobs = LocalJobs(tmp_path, jobs_python, 120, threads=1)
    plan = TrainingPlan(image_shape="3,8,8", epochs=2, mini_batch_size=20)
    seen: list[Epoch] = []

    @flow
    def run() -> tuple[int, int]:
        model = train_model(LocalTrainer(jobs), "train", data, plan, on_epoch=seen.append)
        found = predict_model(LocalPredictor(jobs), "predict", model.archive, data)
        return len(model.epochs), found.images

    assert run() == (2, data.test)
    assert [epoch.epoch for epoch in seen] == [1, 2]
