"""What `edgeward doctor` asks of an AWS account: is everything there that a run needs?

It changes nothing but for one small object in the bucket, which it writes, reads and removes. What
the caller may not look at is said to be unknown, never to be well.
"""

import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from backends.aws.account import Account
from backends.aws.checking import check
from backends.aws.faults import code_of, missing, told
from backends.doctor.finding import Finding
from backends.errors import BackendBlockedError, EdgewardError, InvalidInputError
from backends.settings import AwsSettings

_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_NOT_SET = {"NoSuchPublicAccessBlockConfiguration"}
_NOT_ENCRYPTED = {"ServerSideEncryptionConfigurationNotFoundError"}
_US_EAST_1 = "us-east-1"
"""S3 gives this region, its first, as none."""
_GUIDE = "See docs/how-to/aws.md."


def diagnose_account(settings: AwsSettings, thing: str) -> tuple[Finding, ...]:
    """Settings first; without them, or without a login, there is nothing else to ask."""
    try:
        check(settings)
    except InvalidInputError as error:
        return (Finding("AWS settings", False, error.reason, error.remedy),)
    account = Account(settings)
    doctor = _Doctor(account, thing)
    first = doctor.identity()
    if not first.healthy:
        return (first,)
    return (first, *doctor.others())


class _Doctor:
    def __init__(self, account: Account, thing: str) -> None:
        self._account = account
        self._settings = account.settings
        self._thing = thing

    def identity(self) -> Finding:
        try:
            who = self._account.identity
        except EdgewardError as error:
            return _refused("AWS identity", error)
        return Finding("AWS identity", True, f"{who['Arn']} in {self._account.region}", "")

    def others(self) -> Iterator[Finding]:
        for subject, look in self._looks():
            try:
                yield look(subject)
            except EdgewardError as error:
                yield _refused(subject, error)

    def _looks(self) -> Sequence[tuple[str, Callable[[str], Finding]]]:
        settings = self._settings
        roles = [("training role", settings.training_role, "sagemaker.amazonaws.com")]
        if settings.rule_role:
            roles.append(("rule role", settings.rule_role, "iot.amazonaws.com"))
        return (
            ("S3 bucket", self._bucket),
            ("S3 access", self._access),
            ("S3 public access", self._public_access),
            ("S3 encryption", self._encryption),
            *((f"IAM {name}", self._role(arn, service)) for name, arn, service in roles),
            ("SageMaker quota", self._quota),
            ("IoT endpoint", self._endpoint),
            ("Greengrass core device", self._core_device),
        )

    def _bucket(self, subject: str) -> Finding:
        """There, and in the region of the jobs: SageMaker takes no data from another."""
        name = self._settings.bucket
        with told("s3", "GetBucketLocation", name):
            try:
                answer = self._account.client("s3").get_bucket_location(Bucket=name)
            except ClientError as error:
                if not missing(error):
                    raise
                remedy = f"Make it: aws s3 mb s3://{name} --region {self._account.region}"
                return Finding(subject, False, f"{name} does not exist", remedy)
        region = answer.get("LocationConstraint") or _US_EAST_1
        return Finding(
            subject,
            region == self._account.region,
            f"{name} is in {region}",
            f"Take a bucket in {self._account.region}, or set EDGEWARD_AWS__REGION={region}.",
        )

    def _access(self, subject: str) -> Finding:
        """Writes, reads and removes a probe, as a run does with all it keeps."""
        s3, bucket = self._account.client("s3"), self._settings.bucket
        key = f"{self._settings.prefix}/doctor/{uuid.uuid4().hex}"
        where = f"s3://{bucket}/{key}"
        tags = urllib.parse.urlencode(self._account.tags)
        with told("s3", "PutObject", where):
            s3.put_object(Bucket=bucket, Key=key, Body=b"probe", Tagging=tags, **self._sealed())
        try:
            with told("s3", "GetObject", where):
                read = s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"probe"
        finally:
            with told("s3", "DeleteObject", where):
                s3.delete_object(Bucket=bucket, Key=key)
        return Finding(subject, read, "writes, reads and removes under the prefix", _GUIDE)

    def _sealed(self) -> dict[str, str]:
        """Encryption as every object of ours has it."""
        key = self._settings.kms_key
        if key:
            return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
        return {"ServerSideEncryption": "AES256"}

    def _public_access(self, subject: str) -> Finding:
        bucket = self._settings.bucket
        with told("s3", "GetBucketPublicAccessBlock", bucket):
            try:
                answer = self._account.client("s3").get_public_access_block(Bucket=bucket)
                blocks = answer["PublicAccessBlockConfiguration"]
            except ClientError as error:
                if code_of(error) not in _NOT_SET:
                    raise
                blocks = {}
        lacking = [name for name in _BLOCKS if not blocks.get(name)]
        all_on = ",".join(f"{name}=true" for name in _BLOCKS)
        return Finding(
            subject,
            not lacking,
            f"not blocked: {', '.join(lacking)}" if lacking else "is blocked",
            f"aws s3api put-public-access-block --bucket {bucket}"
            f" --public-access-block-configuration {all_on}",
        )

    def _encryption(self, subject: str) -> Finding:
        """The default counts for what the rules write: they name no key of their own."""
        bucket, key = self._settings.bucket, self._settings.kms_key
        with told("s3", "GetEncryptionConfiguration", bucket):
            try:
                answer = self._account.client("s3").get_bucket_encryption(Bucket=bucket)
                (rule, *_) = answer["ServerSideEncryptionConfiguration"]["Rules"]
            except ClientError as error:
                if code_of(error) not in _NOT_ENCRYPTED:
                    raise
                rule = {}
        default = rule.get("ApplyServerSideEncryptionByDefault", {})
        algorithm = default.get("SSEAlgorithm", "")
        theirs = str(default.get("KMSMasterKeyID", "")).rpartition("/")[2]
        good = bool(algorithm) and (not key or theirs == key.rpartition("/")[2])
        found = f"{algorithm} {theirs}".strip() or "no default encryption"
        remedy = "Set the bucket's default encryption (S3 console, Properties)"
        return Finding(subject, good, found, f"{remedy}{f' to the key {key}' if key else ''}.")

    def _role(self, arn: str, service: str) -> Callable[[str], Finding]:
        def look(subject: str) -> Finding:
            name = arn.rpartition("/")[2]
            with told("iam", "GetRole", name):
                try:
                    role = self._account.client("iam").get_role(RoleName=name)["Role"]
                except ClientError as error:
                    if not missing(error):
                        raise
                    return Finding(subject, False, f"{arn} does not exist", f"Make it. {_GUIDE}")
            trusted = _trusts(role["AssumeRolePolicyDocument"], service)
            found = f"{name} trusts {service}" if trusted else f"{name} does not trust {service}"
            policy = "sagemaker-trust" if service.startswith("sagemaker") else "rules-trust"
            remedy = f"Give it the trust policy that `edgeward policies --print {policy}` prints."
            return Finding(subject, trusted, found, remedy)

        return look

    def _quota(self, subject: str) -> Finding:
        """A new account may run no instance of a kind: its quota is 0 until one asks."""
        kind = "spot training" if self._settings.spot else "training"
        wanted = f"{self._settings.instance_type} for {kind} job usage"
        with told("servicequotas", "ListServiceQuotas", wanted):
            pages = self._account.client("service-quotas").get_paginator("list_service_quotas")
            for page in pages.paginate(ServiceCode="sagemaker"):
                for quota in page["Quotas"]:
                    if quota["QuotaName"] == wanted:
                        return Finding(
                            subject,
                            quota["Value"] >= 1,
                            f"{wanted}: {quota['Value']:g}",
                            f"Ask for {wanted!r} in the Service Quotas console (SageMaker),"
                            " or set EDGEWARD_AWS__INSTANCE_TYPE to another.",
                        )
        return _unknown(subject, f"no quota {wanted!r} is listed", "Check the instance type.")

    def _endpoint(self, subject: str) -> Finding:
        with told("iot", "DescribeEndpoint"):
            answer = self._account.client("iot").describe_endpoint(endpointType="iot:Data-ATS")
        return Finding(subject, True, answer["endpointAddress"], "")

    def _core_device(self, subject: str) -> Finding:
        """A device that is away is no fault: what is deployed waits for it."""
        thing = self._thing
        with told("greengrass", "GetCoreDevice", thing):
            try:
                device = self._account.client("greengrassv2").get_core_device(
                    coreDeviceThingName=thing
                )
            except ClientError as error:
                if not missing(error):
                    raise
                remedy = "Set the device up (docs/how-to/aws.md), or name another with --thing."
                return Finding(subject, False, f"{thing} is no core device here", remedy)
        healthy = device.get("status") == "HEALTHY"
        version = device.get("coreVersion", "")
        found = f"{thing} is {device.get('status', 'UNKNOWN')}, nucleus {version}"
        remedy = "Look at it: Greengrass console, core devices; or its greengrass.log."
        return Finding(subject, healthy, found, remedy)


def _trusts(document: Any, service: str) -> bool:
    """Whether a trust policy lets `service` take the role."""
    statements = document.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else []
        services = [services] if isinstance(services, str) else services
        if statement.get("Effect") == "Allow" and service in services:
            return True
    return False


def _refused(subject: str, error: EdgewardError) -> Finding:
    remedy = str(getattr(error, "remedy", _GUIDE))
    reason = str(getattr(error, "reason", error))
    if isinstance(error, BackendBlockedError) and subject != "AWS identity":
        return _unknown(subject, reason, remedy)
    return Finding(subject, False, reason, remedy)


def _unknown(subject: str, reason: str, remedy: str) -> Finding:
    return Finding(subject, False, f"could not be checked: {reason}", remedy)
