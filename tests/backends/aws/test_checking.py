"""Settings for AWS that are missing or wrong are all said at once, before anything is asked."""

from pathlib import Path
from typing import Any

import pytest

from backends.aws.checking import check
from backends.errors import InvalidInputError
from backends.settings import AwsSettings

ROLE = "arn:aws:iam::123456789012:role/edgeward-training"
GOOD: dict[str, Any] = {"region": "eu-west-1", "bucket": "my-hubs", "training_role": ROLE}


@pytest.fixture(autouse=True)
def no_chain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """AWS's own chain names no region."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))


def settings(**changed: object) -> AwsSettings:
    return AwsSettings.model_validate(GOOD | changed)


def test_complete_settings_pass() -> None:
    check(settings())
    check(
        settings(
            rule_role="arn:aws-cn:iam::123456789012:role/path/edgeward",
            training_image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/edgeward/train:1.2",
            instance_type="ml.p3dn.24xlarge",
            kms_key="arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            subnets=("subnet-0123456789abcdef0",),
            security_groups=("sg-01234567",),
            tags={"team": "Hub @ home"},
            thing_group="porch:north",
            endpoint_url="http://127.0.0.1:5000",
        ),
        rules=True,
    )


def test_all_that_is_missing_or_wrong_is_said_at_once() -> None:
    wrong = AwsSettings(
        bucket="My_Bucket",
        rule_role="arn:aws:iam::12:role/x",
        instance_type="ml.big",
        max_run_seconds=7200,
        max_wait_seconds=3600,
        kms_key="a key",
        subnets=("subnet-01234567",),
        tags={"aws:team": "a"},
        thing_group="the porch",
        endpoint_urls={"s3": "localhost"},
    )

    with pytest.raises(InvalidInputError) as refused:
        check(wrong)

    said = refused.value.reason
    names = [
        problem.partition(":")[0].removeprefix("EDGEWARD_AWS__") for problem in said.split("; ")
    ]
    assert names == [
        "REGION",
        "BUCKET",
        "KMS_KEY",
        "THING_GROUP",
        "TRAINING_ROLE",
        "RULE_ROLE",
        "INSTANCE_TYPE",
        "MAX_WAIT_SECONDS",
        "SECURITY_GROUPS",
        "TAGS",
        "ENDPOINT_URLS",
    ]
    assert "docs/how-to/aws.md" in refused.value.remedy


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"bucket": "192.168.1.1"}, "no bucket's name", id="address"),
        pytest.param({"bucket": "a..b"}, "no bucket's name", id="dots"),
        pytest.param({"region": "europe"}, "no region", id="region"),
        pytest.param({"training_role": "edgeward-training"}, "no role's ARN", id="role"),
        pytest.param({"security_groups": ("sg-01234567",)}, "SUBNETS: is missing", id="groups"),
        pytest.param(
            {"subnets": ("vpc-01234567",), "security_groups": ("sg-01234567",)},
            "'vpc-01234567' is no id",
            id="subnet",
        ),
        pytest.param({"tags": {"edgeward": "x"}}, "is not free", id="our-tag"),
        pytest.param({"tags": {"a": "x" * 257}}, "up to 256", id="long-tag"),
        pytest.param({"tags": {f"t{n}": "" for n in range(10)}}, "takes 9", id="many-tags"),
        pytest.param({"tags": {"a": "b;c"}}, "are possible in a tag", id="tag-text"),
        pytest.param({"training_image": "mxnet"}, "no image in ECR", id="image"),
        pytest.param({"endpoint_url": "localhost:5000"}, "is no URL", id="url"),
    ],
)
def test_what_is_wrong_is_named(changed: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        check(settings(**changed))


def test_the_region_may_come_from_awss_own_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInputError, match="REGION: is missing"):
        check(settings(region=""))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")

    check(settings(region=""))


def test_without_spot_the_waiting_time_does_not_matter() -> None:
    times = {"max_run_seconds": 7200, "max_wait_seconds": 3600}

    check(settings(spot=False, **times))
    with pytest.raises(InvalidInputError, match="MAX_WAIT_SECONDS"):
        check(settings(spot=True, **times))


def test_a_role_is_missing_only_for_who_needs_it() -> None:
    check(settings(training_role=""), training=False)

    with pytest.raises(InvalidInputError, match="TRAINING_ROLE: is missing"):
        check(settings(training_role=""))
    with pytest.raises(InvalidInputError, match="RULE_ROLE: is missing"):
        check(settings(), rules=True)
