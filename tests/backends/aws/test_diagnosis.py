"""`edgeward doctor` says what an account lacks, each with its remedy, and guesses nothing."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from backends.aws import diagnosis
from backends.aws.account import Account
from backends.aws.diagnosis import diagnose_account
from backends.doctor.finding import Finding
from backends.settings import AwsSettings
from tests.backends.aws.conftest import BUCKET, REGION, failing
from tests.fakes import aws_additions
from tests.fakes.greengrass_server import GreengrassServer

SUBJECTS = (
    "AWS identity", "S3 bucket", "S3 access", "S3 public access", "S3 encryption",
    "IAM training role", "IAM rule role", "SageMaker quota", "IoT endpoint",
    "Greengrass core device",
)  # fmt: skip


@pytest.fixture
def greengrass(aws_settings: AwsSettings) -> Iterator[GreengrassServer]:
    with GreengrassServer(lambda: Account(aws_settings).client("s3")) as server:
        server.cloud.register_device("hub-1")
        yield server


@pytest.fixture
def ready(aws_settings: AwsSettings, greengrass: GreengrassServer) -> AwsSettings:
    """An account in which nothing is missing."""
    urls = {"greengrassv2": greengrass.url}
    settings = aws_settings.model_copy(update={"endpoint_urls": urls})
    account = Account(settings)
    account.client("s3").put_public_access_block(
        Bucket=BUCKET,
        PublicAccessBlockConfiguration=dict.fromkeys(diagnosis._BLOCKS, True),
    )
    encrypt(account, {"SSEAlgorithm": "AES256"})
    make_role(account, "edgeward-training", "sagemaker.amazonaws.com")
    make_role(account, "edgeward-rules", "iot.amazonaws.com")
    aws_additions.QUOTAS.update({f"ml.a{n}.large for training job usage": 0 for n in range(5)})
    aws_additions.QUOTAS["ml.g4dn.xlarge for spot training job usage"] = 1
    return settings


def encrypt(account: Account, default: dict[str, str]) -> None:
    account.client("s3").put_bucket_encryption(
        Bucket=BUCKET,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": default}]
        },
    )


def make_role(account: Account, name: str, service: str) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    account.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)


def diagnosed(settings: AwsSettings, thing: str = "hub-1") -> dict[str, Finding]:
    return {finding.subject: finding for finding in diagnose_account(settings, thing)}


def test_an_account_that_has_all_is_found_healthy_and_left_as_it_was(ready: AwsSettings) -> None:
    found = diagnosed(ready)

    assert tuple(found) == SUBJECTS
    assert [finding for finding in found.values() if not finding.healthy] == []
    assert "123456789012" in found["AWS identity"].found
    assert "Contents" not in Account(ready).client("s3").list_objects_v2(Bucket=BUCKET)


def test_wrong_settings_are_the_only_finding(ready: AwsSettings) -> None:
    found = diagnosed(ready.model_copy(update={"bucket": "", "training_role": ""}))

    assert tuple(found) == ("AWS settings",)
    assert "BUCKET: is missing; EDGEWARD_AWS__TRAINING_ROLE" in found["AWS settings"].found


def test_without_a_login_nothing_else_is_asked(
    ready: AwsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    found = diagnosed(ready)

    assert tuple(found) == ("AWS identity",)
    assert "aws sso login" in found["AWS identity"].remedy


def test_a_bucket_that_does_not_exist_is_told_with_the_command_that_makes_it(
    ready: AwsSettings,
) -> None:
    found = diagnosed(ready.model_copy(update={"bucket": "not-made-yet"}))

    assert found["S3 bucket"].found == "not-made-yet does not exist"
    assert found["S3 bucket"].remedy == f"Make it: aws s3 mb s3://not-made-yet --region {REGION}"
    assert not found["S3 access"].healthy


def test_a_bucket_in_another_region_is_refused(ready: AwsSettings) -> None:
    there = Account(ready.model_copy(update={"region": "us-west-2"})).client("s3")
    place = {"LocationConstraint": "us-west-2"}
    there.create_bucket(Bucket="far-away", CreateBucketConfiguration=place)

    found = diagnosed(ready.model_copy(update={"bucket": "far-away"}))["S3 bucket"]

    assert (found.healthy, found.found) == (False, "far-away is in us-west-2")
    assert "EDGEWARD_AWS__REGION=us-west-2" in found.remedy


def test_a_bucket_that_may_be_made_public_is_told_with_the_command(ready: AwsSettings) -> None:
    Account(ready).client("s3").delete_public_access_block(Bucket=BUCKET)

    found = diagnosed(ready)["S3 public access"]

    assert not found.healthy
    assert "put-public-access-block --bucket edgeward-tests" in found.remedy


def test_a_bucket_that_encrypts_with_another_key_is_told(ready: AwsSettings) -> None:
    key = "1234abcd-12ab-34cd-56ef-1234567890ab"
    with_key = ready.model_copy(update={"kms_key": key})
    encrypt(Account(ready), {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "another"})
    other = diagnosed(with_key)["S3 encryption"]
    encrypt(Account(ready), {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": f"arn:x:key/{key}"})

    assert (other.healthy, other.found) == (False, "aws:kms another")
    assert diagnosed(with_key)["S3 encryption"].healthy


def test_a_role_that_trusts_another_service_is_told_with_its_trust_policy(
    ready: AwsSettings,
) -> None:
    make_role(Account(ready), "wrong", "ec2.amazonaws.com")
    arn = "arn:aws:iam::123456789012:role/wrong"

    found = diagnosed(ready.model_copy(update={"training_role": arn, "rule_role": f"{arn}-none"}))

    training, rule = found["IAM training role"], found["IAM rule role"]
    assert (training.healthy, rule.healthy) == (False, False)
    assert training.found == "wrong does not trust sagemaker.amazonaws.com"
    assert "policies --print sagemaker-trust" in training.remedy
    assert rule.found == f"{arn}-none does not exist"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"instance_type": "ml.a1.large", "spot": False}, "usage: 0", id="none"),
        pytest.param({"instance_type": "ml.x9.large"}, "could not be checked", id="unknown"),
    ],
)
def test_an_instance_type_that_the_account_may_not_run_is_told(
    ready: AwsSettings, changed: dict[str, Any], said: str
) -> None:
    found = diagnosed(ready.model_copy(update=changed))["SageMaker quota"]

    assert not found.healthy
    assert said in found.found


def test_a_thing_that_is_no_core_device_is_told(
    ready: AwsSettings, greengrass: GreengrassServer
) -> None:
    greengrass.cloud.devices["hub-1"].status = "UNHEALTHY"

    assert (
        diagnosed(ready, "hub-9")["Greengrass core device"].found == "hub-9 is no core device here"
    )
    assert "UNHEALTHY" in diagnosed(ready)["Greengrass core device"].found


def test_what_may_not_be_looked_at_is_unknown_and_never_well(
    ready: AwsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(**_: object) -> None:
        raise ClientError(failing("AccessDenied", 403), "GetRole")

    class Denied(Account):
        def client(self, service: str) -> Any:
            client = super().client(service)
            if service == "iam":
                client.meta.events.register("before-call.iam.GetRole", deny)
            return client

    monkeypatch.setattr(diagnosis, "Account", Denied)

    found = diagnosed(ready)["IAM training role"]

    assert not found.healthy
    assert found.found.startswith("could not be checked: access is denied")
    assert "Allow iam:GetRole" in found.remedy
