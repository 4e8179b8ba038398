"""Are the AWS settings complete and possible? Looked at before anything is begun.

Everything that is missing or malformed is listed at once, and nothing is asked of AWS: what only
the account can say (does the role exist?) is for `edgeward doctor`.
"""

import re
from collections.abc import Iterator, Mapping

from backends.errors import InvalidInputError
from backends.settings import AwsSettings

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}")
_BUCKET = re.compile(r"(?!xn--|sthree-|.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_IP_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_KMS_KEY = re.compile(r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/)?[0-9a-zA-Z-]{8,}")
_SUBNET = re.compile(r"subnet-[0-9a-f]{8,17}")
_SECURITY_GROUP = re.compile(r"sg-[0-9a-f]{8,17}")
_THING_GROUP = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
_IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[\w./-]+([:@][\w.:-]+)?")
_INSTANCE_TYPE = re.compile(r"ml\.[a-z0-9-]+\.(\d*xlarge|large|medium|metal)")
_TAG_TEXT = re.compile(r"[\w\s.:/=+@-]*")
_URL = re.compile(r"https?://\S+")
_SERVICE = re.compile(r"[a-z0-9-]+")
OWN_TAG = "edgeward"
_MAX_OBJECT_TAGS = 9
"""S3 takes 10 on an object, other services 50; one is ours."""
_MAX_TAG_KEY = 128
_MAX_TAG_VALUE = 256

Problem = tuple[str, str]
"""The variable, and what is wrong with it."""


def check(settings: AwsSettings, *, training: bool = True, rules: bool = False) -> None:
    """Raises InvalidInputError that lists all that is missing or malformed.

    `training`: jobs are to run, which needs a role; `rules`: likewise topic rules.
    """
    problems = [
        *_account(settings),
        *_roles(settings, training, rules),
        *_training(settings),
        *_tags(settings.tags),
        *_endpoints(settings),
    ]
    if problems:
        said = "; ".join(f"{variable}: {reason}" for variable, reason in problems)
        remedy = "Set these variables (docs/reference/settings.md; docs/how-to/aws.md shows how)."
        raise InvalidInputError("the settings for AWS", said, remedy)


def _account(settings: AwsSettings) -> Iterator[Problem]:
    if not settings.region and not _region_of_the_chain():
        yield "EDGEWARD_AWS__REGION", "is missing, and AWS's own configuration names none either"
    elif settings.region and not _REGION.fullmatch(settings.region):
        yield "EDGEWARD_AWS__REGION", f"{settings.region!r} is no region, as eu-west-1 is"
    if not settings.bucket:
        yield "EDGEWARD_AWS__BUCKET", "is missing"
    elif not _BUCKET.fullmatch(settings.bucket) or _IP_ADDRESS.fullmatch(settings.bucket):
        yield "EDGEWARD_AWS__BUCKET", f"{settings.bucket!r} is no bucket's name"
    if settings.kms_key and not _KMS_KEY.fullmatch(settings.kms_key):
        yield "EDGEWARD_AWS__KMS_KEY", f"{settings.kms_key!r} is no key's ARN or id"
    if settings.thing_group and not _THING_GROUP.fullmatch(settings.thing_group):
        yield "EDGEWARD_AWS__THING_GROUP", f"{settings.thing_group!r} is no thing group's name"


def _region_of_the_chain() -> str:
    import boto3
    from botocore.exceptions import ProfileNotFound

    try:
        return boto3.Session().region_name or ""
    except ProfileNotFound:  # the first call says so, with the remedy
        return ""


def _roles(settings: AwsSettings, training: bool, rules: bool) -> Iterator[Problem]:
    for key, arn, needed in (
        ("TRAINING_ROLE", settings.training_role, training),
        ("RULE_ROLE", settings.rule_role, rules),
    ):
        variable = f"EDGEWARD_AWS__{key}"
        if not arn and needed:
            yield variable, "is missing"
        elif arn and not _ROLE.fullmatch(arn):
            yield variable, f"{arn!r} is no role's ARN, as arn:aws:iam::123456789012:role/NAME is"


def _training(settings: AwsSettings) -> Iterator[Problem]:
    if settings.training_image and not _IMAGE.fullmatch(settings.training_image):
        yield "EDGEWARD_AWS__TRAINING_IMAGE", f"{settings.training_image!r} is no image in ECR"
    if not _INSTANCE_TYPE.fullmatch(settings.instance_type):
        reason = f"{settings.instance_type!r} is no instance type, as ml.g4dn.xlarge is"
        yield "EDGEWARD_AWS__INSTANCE_TYPE", reason
    if settings.spot and settings.max_wait_seconds < settings.max_run_seconds:
        yield (
            "EDGEWARD_AWS__MAX_WAIT_SECONDS",
            f"{settings.max_wait_seconds} is less than EDGEWARD_AWS__MAX_RUN_SECONDS,"
            f" {settings.max_run_seconds}: waiting for spot capacity and training count together",
        )
    if settings.subnets and not settings.security_groups:
        yield "EDGEWARD_AWS__SECURITY_GROUPS", "is missing, while EDGEWARD_AWS__SUBNETS is set"
    if settings.security_groups and not settings.subnets:
        yield "EDGEWARD_AWS__SUBNETS", "is missing, while EDGEWARD_AWS__SECURITY_GROUPS is set"
    for variable, names, shape, most in (
        ("EDGEWARD_AWS__SUBNETS", settings.subnets, _SUBNET, 16),
        ("EDGEWARD_AWS__SECURITY_GROUPS", settings.security_groups, _SECURITY_GROUP, 5),
    ):
        for name in names:
            if not shape.fullmatch(name):
                yield variable, f"{name!r} is no id of that kind"
        if len(names) > most:
            yield variable, f"names {len(names)}, and SageMaker takes {most}"


def _tags(tags: Mapping[str, str]) -> Iterator[Problem]:
    variable = "EDGEWARD_AWS__TAGS"
    if len(tags) > _MAX_OBJECT_TAGS:
        yield (
            variable,
            f"has {len(tags)} tags; an object in S3 takes {_MAX_OBJECT_TAGS} beside ours",
        )
    for key, value in tags.items():
        if not 1 <= len(key) <= _MAX_TAG_KEY or len(value) > _MAX_TAG_VALUE:
            yield variable, f"{key!r}: a key has 1 to {_MAX_TAG_KEY} characters, a value up to 256"
        elif key.lower().startswith("aws:") or key == OWN_TAG:
            yield variable, f"{key!r} is not free: aws:… is AWS's, {OWN_TAG} is ours"
        elif not _TAG_TEXT.fullmatch(key + value):
            allowed = "letters, digits, spaces and _.:/=+@-"
            yield variable, f"{key!r}: only {allowed} are possible in a tag"


def _endpoints(settings: AwsSettings) -> Iterator[Problem]:
    if settings.endpoint_url and not _URL.fullmatch(settings.endpoint_url):
        yield "EDGEWARD_AWS__ENDPOINT_URL", f"{settings.endpoint_url!r} is no URL"
    for service, url in settings.endpoint_urls.items():
        if not _SERVICE.fullmatch(service) or not _URL.fullmatch(url):
            yield "EDGEWARD_AWS__ENDPOINT_URLS", f"{service!r}: {url!r} is no URL of a service"
