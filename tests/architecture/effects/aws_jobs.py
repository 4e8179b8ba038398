"""What the settings of jobs in an account change: what SageMaker is asked for, and its price."""

from backends.aws.account import Account
from backends.aws.neo import target_of
from backends.aws.objects import S3Objects
from backends.aws.training_request import Inputs, training_image, training_request
from backends.cost import estimate
from backends.settings import AwsSettings
from tests.architecture.effects.effect import Effect

USUAL = AwsSettings(region="eu-west-1", bucket="ours", training_role="arn:aws:iam::1:role/one")


def requested(**changed: object) -> str:
    """All that CreateTrainingJob is given."""
    account = Account(USUAL.model_copy(update=changed))
    inputs = Inputs(training_image(account), {"epochs": "1"}, {"train": "s3://ours/train/"}, {})
    return repr(training_request(account, S3Objects(account), inputs, "job", "job"))


def endpoint(**changed: object) -> str:
    """Where SageMaker is asked."""
    account = Account(USUAL.model_copy(update=changed))
    return str(account.client("sagemaker").meta.endpoint_url)


def most(**changed: object) -> float:
    """Dollars that a run is reckoned to cost at most."""
    return estimate(USUAL.model_copy(update=changed)).usd


def asking(name: str, one: object, other: object) -> Effect:
    """The effect of a setting on what is asked for."""
    return lambda _folder: (requested(**{name: one}), requested(**{name: other}))


EFFECTS: dict[str, Effect] = {
    "aws.region": asking("region", "eu-west-1", "us-east-1"),
    "aws.bucket": asking("bucket", "ours", "theirs"),
    "aws.prefix": asking("prefix", "one", "other"),
    "aws.training_role": asking("training_role", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b"),
    "aws.training_image": asking("training_image", "", "1.dkr.ecr.eu-west-1.amazonaws.com/own:1"),
    "aws.instance_type": asking("instance_type", "ml.g4dn.xlarge", "ml.c5.xlarge"),
    "aws.volume_gb": asking("volume_gb", 30, 60),
    "aws.max_run_seconds": asking("max_run_seconds", 3600, 1800),
    "aws.spot": asking("spot", True, False),
    "aws.max_wait_seconds": asking("max_wait_seconds", 7200, 3600),
    "aws.kms_key": asking("kms_key", "", "alias/ours"),
    "aws.subnets": asking("subnets", ("subnet-1",), ("subnet-2",)),
    "aws.security_groups": lambda _folder: (
        requested(subnets=("subnet-1",), security_groups=("sg-1",)),
        requested(subnets=("subnet-1",), security_groups=("sg-2",)),
    ),
    "aws.tags": asking("tags", {}, {"team": "hubs"}),
    "aws.endpoint_url": lambda _folder: (
        endpoint(endpoint_url="http://127.0.0.1:1"),
        endpoint(endpoint_url="http://127.0.0.1:2"),
    ),
    "aws.endpoint_urls": lambda _folder: (
        endpoint(endpoint_urls={"sagemaker": "http://127.0.0.1:1"}),
        endpoint(endpoint_urls={"sagemaker": "http://127.0.0.1:2"}),
    ),
    "aws.compile_device": lambda _folder: (
        target_of("linux-armv7l", ""),
        target_of("linux-armv7l", "rasp4b"),
    ),
    "aws.usd_per_hour": lambda _folder: (most(usd_per_hour=1), most(usd_per_hour=2)),
    "aws.spot_share": lambda _folder: (most(spot_share=0.5), most(spot_share=1)),
}
