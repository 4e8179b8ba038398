"""Training on SageMaker: what is asked for, joined, stopped, told and brought back."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backends.artifacts import PackedData, TrainedModel
from backends.aws.account import Account, Call
from backends.aws.objects import S3Objects
from backends.aws.trainer import SageMakerTrainer
from backends.errors import (
    BackendBlockedError,
    BackendUnavailableError,
    InvalidInputError,
    JobError,
)
from backends.settings import AwsSettings
from tests.backends.aws.conftest import BUCKET
from tests.fakes.sagemaker_player import Fate, SageMakerPlayer
from tests.fakes.tiny_pictures import CLASSES, pack

HYPERPARAMETERS = {
    "num_classes": "3",
    "num_training_samples": "60",
    "num_layers": "20",
    "image_shape": "3,8,8",
    "epochs": "2",
    "mini_batch_size": "20",
    "learning_rate": "0.05",
    "seed": "3",
}
POLL = 0.1
BOTO3_TRIES = 6


@dataclass
class Site:
    """A trainer, and the SageMaker that it talks to."""

    player: SageMakerPlayer
    settings: AwsSettings
    packed: PackedData
    home: Path
    calls: list[Call]
    lines: list[str]
    poll: float = POLL

    def trainer(self, **changed: object) -> SageMakerTrainer:
        settings = self.settings.model_copy(update=changed)
        account = Account(settings, self.calls.append)
        return SageMakerTrainer(account, S3Objects(account), self.home, self.poll)

    def train(
        self,
        on_line: Callable[[str], None] | None = None,
        earlier: Path | None = None,
        hyperparameters: dict[str, str] = HYPERPARAMETERS,
        **changed: Any,
    ) -> TrainedModel:
        def take(line: str) -> None:
            self.lines.append(line)
            if on_line:
                on_line(line)

        trainer = self.trainer(**changed)
        return trainer.train("train-1234", self.packed, hyperparameters, earlier, take)

    def requested(self, **changed: Any) -> dict[str, Any]:
        """What CreateTrainingJob is asked for; the job does nothing and is stopped."""

        def leave(line: str) -> None:
            if line.endswith("started"):
                raise KeyboardInterrupt

        self.player.next_job(Fate(hangs=True))
        with pytest.raises(KeyboardInterrupt):
            self.train(leave, **changed)
        *_, job = self.player.trainings.values()
        return dict(job.request)

    def said(self, words: str) -> bool:
        return any(words in line for line in self.lines)

    def asked(self, operation: str) -> int:
        return sum(call.operation == operation for call in self.calls)


@pytest.fixture(scope="session")
def packed(jobs_python: Path, tmp_path_factory: pytest.TempPathFactory) -> PackedData:
    return pack(jobs_python, tmp_path_factory.mktemp("packed"))


@pytest.fixture
def site(
    aws_settings: AwsSettings,
    sagemaker: SageMakerPlayer,
    packed: PackedData,
    calls: list[Call],
    tmp_path: Path,
) -> Site:
    settings = aws_settings.model_copy(update={"endpoint_urls": {"sagemaker": sagemaker.url}})
    return Site(sagemaker, settings, packed, tmp_path / "home", calls, [])


@pytest.mark.slow
@pytest.mark.jobs
def test_a_training_gives_its_model_its_epochs_and_its_price(site: Site) -> None:
    trained = site.train()

    assert trained.classes == CLASSES
    assert [epoch.epoch for epoch in trained.epochs] == [1, 2]
    assert all(epoch.validation_accuracy is not None for epoch in trained.epochs)
    assert trained.archive == site.home / "jobs/train-1234/output/model.tar.gz"
    assert trained.hyperparameters["seed"] == "3"
    assert trained.images_per_second > 0
    assert 0 < (trained.billable_seconds or 0) <= trained.seconds
    assert site.said("Downloading: Downloading input data")
    assert site.said("Epoch[1] Validation-accuracy=")


@pytest.mark.slow
@pytest.mark.jobs
def test_the_same_training_again_is_joined_and_not_paid_for_twice(site: Site) -> None:
    first = site.train()
    site.calls.clear()
    site.lines.clear()

    again = site.train()

    assert again == first
    assert site.said("joined")
    assert site.asked("CreateTrainingJob") == site.asked("PutObject") == 0
    assert len(site.player.trainings) == 1


@pytest.mark.slow
@pytest.mark.jobs
def test_a_job_that_aws_does_not_find_at_once_is_joined_all_the_same(site: Site) -> None:
    """What was just created may not be found for a moment, and its name is taken already."""
    first = site.train()
    unknown = ("ValidationException", "Requested resource not found.")
    site.player.refuse("DescribeTrainingJob", *unknown, times=1)

    again = site.train()

    assert again == first
    assert (site.asked("CreateTrainingJob"), len(site.player.trainings)) == (2, 1)


@pytest.mark.slow
@pytest.mark.jobs
def test_a_model_that_is_gone_is_trained_again(site: Site) -> None:
    first = site.train()
    model = f"edgeward/training/{next(iter(site.player.trainings))}/output/model.tar.gz"
    Account(site.settings).client("s3").delete_object(Bucket=BUCKET, Key=model)

    again = site.train()

    assert again.archive.is_file()
    assert len(again.epochs) == len(first.epochs)
    assert len(site.player.trainings) == 2


@pytest.mark.slow
@pytest.mark.jobs
def test_a_damaged_model_is_refused(site: Site) -> None:
    site.train()
    s3 = Account(site.settings).client("s3")
    (name,) = site.player.trainings
    s3.put_object(Bucket=BUCKET, Key=f"edgeward/training/{name}/output/model.tar.gz", Body=b"half")

    with pytest.raises(JobError, match=r"model\.tar\.gz cannot be unpacked"):
        site.train()


@pytest.mark.slow
@pytest.mark.jobs
def test_a_failed_job_says_why_and_the_next_try_is_another_job(site: Site) -> None:
    wrong = {**HYPERPARAMETERS, "num_training_samples": "61"}
    with pytest.raises(JobError, match=r"failed: AlgorithmError: .*num_training_samples is 61"):
        site.train(hyperparameters=wrong)

    with pytest.raises(JobError, match="failed: AlgorithmError"):
        site.train(hyperparameters=wrong)

    first, second = site.player.trainings
    assert second == f"{first}-2"


@pytest.mark.slow
@pytest.mark.jobs
def test_a_broken_off_wait_stops_the_job_and_the_next_one_goes_on_from_there(site: Site) -> None:
    """Ctrl-C and a cancelled flow must not leave an instance that is paid for by the second."""

    def interrupt(line: str) -> None:
        if "Epoch[1] Validation" in line:
            raise KeyboardInterrupt

    long = {**HYPERPARAMETERS, "epochs": "12"}
    with pytest.raises(KeyboardInterrupt):
        site.train(interrupt, hyperparameters=long)
    (stopped,) = site.player.trainings.values()
    trained = site.train(hyperparameters=long)

    assert site.asked("StopTrainingJob") == 1
    assert stopped.status == "Stopped"
    assert site.said("Resuming at Epoch[")
    assert trained.archive.is_file()


def test_ctrl_c_ends_the_wait_at_once_and_stops_the_job(site: Site) -> None:
    """Prefect cancels a flow by a signal as well; it must not wait for the next look."""

    def press(line: str) -> None:
        if "Starting the training job" in line:  # what follows is the sleep until the next look
            keyboard.start()

    keyboard = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    site.poll = 60
    site.player.next_job(Fate(hangs=True))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        site.train(press)

    (job,) = site.player.trainings.values()
    assert job.stopping.is_set()
    assert time.monotonic() - began < 50


@pytest.mark.slow
@pytest.mark.jobs
def test_a_spot_interruption_costs_time_and_no_epoch(site: Site) -> None:
    site.player.next_job(Fate(interrupted=True))

    trained = site.train(hyperparameters={**HYPERPARAMETERS, "epochs": "4"})

    assert site.said("Interrupted")
    assert site.said("Resuming at Epoch[")
    assert [epoch.epoch for epoch in trained.epochs] == [1, 2, 3, 4]
    assert (trained.billable_seconds or 0) < trained.seconds


@pytest.mark.slow
@pytest.mark.jobs
def test_a_training_goes_on_from_an_earlier_model(site: Site) -> None:
    first = site.train()
    weights = {**HYPERPARAMETERS, "use_pretrained_model": "1", "epochs": "1"}

    trained = site.train(earlier=first.archive, hyperparameters=weights)

    *_, job = site.player.trainings.values()
    channels = {one["ChannelName"]: one["ContentType"] for one in job.request["InputDataConfig"]}
    assert channels["model"] == "application/x-sagemaker-model"
    assert job.request["HyperParameters"]["use_pretrained_model"] == "0"  # not AWS's own weights
    assert trained.hyperparameters["use_pretrained_model"] == "1"


@pytest.mark.slow
@pytest.mark.jobs
def test_an_image_of_ones_own_runs_our_job_with_our_seed_and_no_network(site: Site) -> None:
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/edgeward-training:1"

    trained = site.train(training_image=image, spot=False, instance_type="ml.c5.xlarge")

    (job,) = site.player.trainings.values()
    assert job.request["AlgorithmSpecification"]["TrainingImage"] == image
    assert job.request["HyperParameters"]["seed"] == "3"
    assert job.request["EnableNetworkIsolation"] is True
    assert trained.billable_seconds == trained.seconds
    assert len(trained.epochs) == 2


def test_what_is_asked_for_is_what_the_built_in_algorithm_knows(site: Site) -> None:
    request = site.requested()

    assert request["AlgorithmSpecification"]["TrainingImage"].endswith("/image-classification:1")
    assert [one["Name"] for one in request["AlgorithmSpecification"]["MetricDefinitions"]] == [
        "train:accuracy",
        "validation:accuracy",
    ]
    assert "seed" not in request["HyperParameters"]
    assert request["HyperParameters"]["num_layers"] == "20"
    sources = {
        one["ChannelName"]: (one["ContentType"], one["DataSource"]["S3DataSource"]["S3Uri"])
        for one in request["InputDataConfig"]
    }
    root = f"s3://{BUCKET}/edgeward/packed/packed"
    assert sources == {
        "train": ("application/x-recordio", f"{root}/train/"),
        "validation": ("application/x-recordio", f"{root}/validation/"),
    }
    assert request["Tags"] == [{"Key": "edgeward", "Value": "edgeward"}]
    assert request["EnableManagedSpotTraining"] is True
    assert request["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 3600,
        "MaxWaitTimeInSeconds": 7200,
    }
    name = request["TrainingJobName"]
    assert request["CheckpointConfig"]["S3Uri"] == f"s3://{BUCKET}/edgeward/checkpoints/{name}/"


def test_a_network_of_ones_own_and_a_key_of_ones_own_are_asked_for(site: Site) -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/ours"

    request = site.requested(
        kms_key=key,
        subnets=("subnet-1",),
        security_groups=("sg-1",),
        instance_type="ml.c5.xlarge",
        spot=False,
        tags={"owner": "vision"},
    )
    with_disk = site.requested(kms_key=key)  # the default instance has a disk of its own

    assert request["OutputDataConfig"]["KmsKeyId"] == key
    assert request["ResourceConfig"]["VolumeKmsKeyId"] == key
    assert request["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    assert {"Key": "owner", "Value": "vision"} in request["Tags"]
    assert "CheckpointConfig" not in request
    assert with_disk["OutputDataConfig"]["KmsKeyId"] == key
    assert "VolumeKmsKeyId" not in with_disk["ResourceConfig"]


def test_no_capacity_is_worth_another_try_and_names_the_setting(site: Site) -> None:
    site.player.next_job(Fate(fails="CapacityError: Unable to provision requested capacity."))

    with pytest.raises(BackendUnavailableError, match="EDGEWARD_AWS__INSTANCE_TYPE"):
        site.train()


def test_a_job_that_somebody_else_stops_gives_no_result(site: Site) -> None:
    def stop(line: str) -> None:
        if line.endswith("started"):
            next(iter(site.player.trainings.values())).stop()

    site.player.next_job(Fate(hangs=True))
    with pytest.raises(JobError, match="stopped: Stopped: Training job stopped"):
        site.train(stop)


def test_a_missing_permission_is_named_and_no_job_is_begun(site: Site) -> None:
    denied = "User: ann is not authorized to perform: sagemaker:CreateTrainingJob"
    site.player.refuse("CreateTrainingJob", "AccessDeniedException", denied, times=1)

    with pytest.raises(BackendBlockedError, match=r"Allow sagemaker:CreateTrainingJob"):
        site.train()

    assert site.player.trainings == {}


@pytest.mark.slow
@pytest.mark.jobs
def test_a_throttled_look_is_repeated_and_a_longer_outage_lets_the_job_go_on(site: Site) -> None:
    """Nobody may pay for a second job because the first could not be seen for a while."""
    throttled = ("ThrottlingException", "Rate exceeded")
    site.player.refuse("DescribeTrainingJob", *throttled, times=2)

    def outage(line: str) -> None:
        if "Starting the training job" in line:
            site.player.refuse("DescribeTrainingJob", *throttled, times=BOTO3_TRIES)

    with pytest.raises(BackendUnavailableError, match="throttles: Rate exceeded"):
        site.train(outage)
    trained = site.train()

    assert site.asked("StopTrainingJob") == 0
    assert len(site.player.trainings) == 1
    assert [epoch.epoch for epoch in trained.epochs] == [1, 2]


@pytest.mark.parametrize(
    ("changed", "settings", "named"),
    [
        pytest.param({}, {"training_role": ""}, "EDGEWARD_AWS__TRAINING_ROLE", id="role"),
        pytest.param({}, {"subnets": ("s-1",)}, "EDGEWARD_AWS__SECURITY_GROUPS", id="vpc"),
        pytest.param({}, {"region": "xx-nowhere-1"}, "EDGEWARD_AWS__REGION", id="region"),
        pytest.param({"multi_label": "1"}, {}, "multi_label", id="labels"),
        pytest.param({"kv_store": "dist_sync"}, {}, "kv_store", id="hosts"),
        pytest.param(
            {"precision_dtype": "float16"}, {"training_image": "own"}, "precision_dtype", id="cpu"
        ),
        pytest.param(
            {"use_pretrained_model": "1"},
            {"training_image": "own"},
            "use_pretrained_model",
            id="weights",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_uploaded(
    site: Site, changed: dict[str, str], settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidInputError, match=named):
        site.train(hyperparameters={**HYPERPARAMETERS, **changed}, **settings)

    assert site.calls == []
