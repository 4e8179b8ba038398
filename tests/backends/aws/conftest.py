"""An AWS of our own for the tests: moto's server over HTTP on loopback."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from backends.aws.account import Account, Call
from backends.aws.bucket import BLOCKS
from backends.settings import AwsSettings
from tests.fakes.aws_server import AwsServer
from tests.fakes.greengrass_server import GreengrassServer
from tests.fakes.sagemaker_player import SageMakerPlayer

REGION = "eu-west-1"
BUCKET = "edgeward-tests"


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsServer]:
    with AwsServer() as server:
        yield server


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Somebody's, from the environment, and nobody's files."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-no-record-may-hold")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def aws_settings(aws_server: AwsServer, credentials: None) -> AwsSettings:
    """Settings of a fresh account with one bucket."""
    aws_server.reset()
    settings = AwsSettings(
        region=REGION,
        bucket=BUCKET,
        training_role="arn:aws:iam::123456789012:role/edgeward-training",
        rule_role="arn:aws:iam::123456789012:role/edgeward-rules",
        endpoint_url=aws_server.url,
    )
    location = {"LocationConstraint": REGION}
    s3 = Account(settings).client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
    s3.put_public_access_block(
        Bucket=BUCKET, PublicAccessBlockConfiguration=dict.fromkeys(BLOCKS, True)
    )
    return settings


@pytest.fixture
def calls() -> list[Call]:
    """What `account` asked of AWS."""
    return []


@pytest.fixture
def account(aws_settings: AwsSettings, calls: list[Call]) -> Account:
    return Account(aws_settings, calls.append)


def failing(code: str, status: int = 400, message: str = "so it is") -> dict[str, Any]:
    """An answer of AWS that refuses."""
    return {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "1", "RetryAttempts": 0},
    }


@pytest.fixture
def greengrass(aws_server: AwsServer, credentials: None) -> Iterator[GreengrassServer]:
    """Greengrass v2 with one healthy core device, `hub-1`; its artifacts are in moto's S3."""
    with GreengrassServer(lambda: boto3.client("s3", endpoint_url=aws_server.url)) as server:
        server.cloud.register_device("hub-1")
        yield server


@pytest.fixture
def fleet_account(
    aws_settings: AwsSettings, greengrass: GreengrassServer, calls: list[Call]
) -> Account:
    """`account`, with Greengrass."""
    endpoints = {"greengrassv2": greengrass.url}
    return Account(aws_settings.model_copy(update={"endpoint_urls": endpoints}), calls.append)


@pytest.fixture
def sagemaker(
    aws_server: AwsServer, credentials: None, jobs_python: Path
) -> Iterator[SageMakerPlayer]:
    """SageMaker and Neo, which really run our jobs; their data is in moto's S3."""
    with SageMakerPlayer(aws_server.url, jobs_python) as player:
        yield player
