"""What each setting of the AWS account changes, where nothing has to be asked of AWS."""

import json
import os
from pathlib import Path
from unittest import mock

from backends.aws.account import Account
from backends.aws.checking import check
from backends.aws.policy_files import rendered
from backends.errors import InvalidInputError
from backends.settings import AwsSettings
from flows.cloud_rules import RulesPlan
from tasks.cloud_rules import sightings_of
from tests.architecture.effects.effect import Effect

GOOD = {
    "region": "eu-west-1",
    "bucket": "hubs",
    "training_role": "arn:aws:iam::123456789012:role/training",
}
ROLES = ("arn:aws:iam::123456789012:role/one", "arn:aws:iam::123456789012:role/other")


def settings(**changed: object) -> AwsSettings:
    return AwsSettings.model_validate(GOOD | changed)


def policy(name: str, folder: Path, **changed: object) -> str:
    """What a role is allowed, as somebody who is not logged in sees it."""
    folder.mkdir(exist_ok=True)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_")
    } | {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
    }
    with mock.patch.dict(os.environ, environment, clear=True):
        return json.dumps(rendered(name, settings(**changed)))


def checked(**changed: object) -> str:
    """What is wrong with the settings; empty: nothing."""
    try:
        check(settings(**changed))
    except InvalidInputError as error:
        return error.reason
    return ""


def endpoint(service: str, **changed: object) -> object:
    return Account(settings(**changed)).client(service).meta.endpoint_url


EFFECTS: dict[str, Effect] = {
    "aws.region": lambda folder: (
        policy("pipeline", folder, region="eu-west-1"),
        policy("pipeline", folder, region="us-east-1"),
    ),
    "aws.bucket": lambda folder: (
        policy("device", folder, bucket="one"),
        policy("device", folder, bucket="other"),
    ),
    "aws.prefix": lambda folder: (
        policy("rules", folder, prefix="one"),
        policy("rules", folder, prefix="other"),
    ),
    "aws.training_role": lambda folder: (
        policy("pipeline", folder, training_role=ROLES[0]),
        policy("pipeline", folder, training_role=ROLES[1]),
    ),
    "aws.rule_role": lambda folder: (
        policy("pipeline", folder, rule_role=ROLES[0]),
        policy("pipeline", folder, rule_role=ROLES[1]),
    ),
    "aws.kms_key": lambda folder: (
        policy("device", folder, kms_key=""),
        policy("device", folder, kms_key="1234abcd-12ab-34cd-56ef-1234567890ab"),
    ),
    "aws.tags": lambda _folder: (
        Account(settings(tags={"team": "one"})).tags,
        Account(settings(tags={"team": "other"})).tags,
    ),
    "aws.spot": lambda _folder: (
        checked(spot=True, max_run_seconds=7200, max_wait_seconds=3600),
        checked(spot=False, max_run_seconds=7200, max_wait_seconds=3600),
    ),
    "aws.max_run_seconds": lambda _folder: (
        checked(max_run_seconds=3600, max_wait_seconds=3600),
        checked(max_run_seconds=7200, max_wait_seconds=3600),
    ),
    "aws.max_wait_seconds": lambda _folder: (
        checked(max_run_seconds=7200, max_wait_seconds=7200),
        checked(max_run_seconds=7200, max_wait_seconds=3600),
    ),
    "aws.subnets": lambda _folder: (checked(), checked(subnets=("subnet-01234567",))),
    "aws.security_groups": lambda _folder: (
        checked(subnets=("subnet-01234567",)),
        checked(subnets=("subnet-01234567",), security_groups=("sg-01234567",)),
    ),
    "aws.endpoint_url": lambda _folder: (
        endpoint("s3", endpoint_url="http://127.0.0.1:1"),
        endpoint("s3", endpoint_url="http://127.0.0.1:2"),
    ),
    "aws.endpoint_urls": lambda _folder: (
        endpoint("iot", endpoint_urls={"iot": "http://127.0.0.1:1"}),
        endpoint("iot", endpoint_urls={"iot": "http://127.0.0.1:2"}),
    ),
}
RULES: dict[str, Effect] = {
    "alerts": lambda _folder: (
        sightings_of(RulesPlan(alerts="example").rules),
        sightings_of(RulesPlan(alerts='[{"Name": "fox", "Labels": ["fox"]}]').rules),
    ),
}
