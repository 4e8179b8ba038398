"""From packed pictures to a verified package, trained on SageMaker and compiled by Neo."""

from pathlib import Path

import pytest

from backends.aws.account import Account
from backends.aws.neo import NeoCompiler
from backends.aws.objects import S3Objects
from backends.aws.trainer import SageMakerTrainer
from backends.local.jobs import LocalJobs
from backends.local.predictor import LocalPredictor
from backends.local.verifier import LocalVerifier
from backends.settings import PROJECT, AwsSettings
from tasks.packaging import package_model
from tests.fakes.sagemaker_player import SageMakerPlayer
from tests.fakes.tiny_pictures import CLASSES, held_out, pack

HYPERPARAMETERS = {
    "num_classes": "3",
    "num_training_samples": "60",
    "num_layers": "20",
    "image_shape": "3,8,8",
    "epochs": "3",
    "mini_batch_size": "20",
}


@pytest.fixture
def account(aws_settings: AwsSettings, sagemaker: SageMakerPlayer) -> Account:
    endpoints = {"endpoint_urls": {"sagemaker": sagemaker.url}}
    return Account(aws_settings.model_copy(update=endpoints))


@pytest.mark.slow
@pytest.mark.jobs
@pytest.mark.device
def test_a_model_of_the_account_answers_on_the_device_as_it_was_trained(
    account: Account, jobs_python: Path, device_python: Path, tmp_path: Path
) -> None:
    home, objects, quiet = tmp_path / "home", S3Objects(account), lambda _line: None
    packed = pack(jobs_python, tmp_path / "pictures")

    trained = SageMakerTrainer(account, objects, home, 0.1).train(
        "train-1", packed, HYPERPARAMETERS, None, quiet
    )
    compiled = NeoCompiler(account, objects, home, poll=0.1).compile(
        "compile-1", trained, "linux-x86_64", quiet
    )
    package = package_model(compiled, tmp_path)
    expected = LocalPredictor(LocalJobs(home, jobs_python, 300)).predict(
        "predict-1", trained.archive, packed, quiet
    )
    pictures = held_out(tmp_path / "pictures", packed)
    verifier = LocalVerifier(device_python, PROJECT, home / "jobs")
    verified = verifier.verify("verify-1", package, "linux-x86_64", pictures, expected)

    assert trained.classes == CLASSES
    assert verified.images == packed.test
    assert (verified.max_abs_diff or 0) < 1e-4
    assert verified.top1_agreement == 1.0
