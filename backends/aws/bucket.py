"""May our data go into the bucket? It must be there, ours, in the jobs' region, and not public."""

from botocore.exceptions import ClientError

from backends.aws.account import Account
from backends.aws.faults import code_of, missing, told
from backends.errors import BackendBlockedError

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_NOT_SET = "NoSuchPublicAccessBlockConfiguration"
_MOVED = {"301", "PermanentRedirect", "AuthorizationHeaderMalformed"}


def check_bucket(account: Account, bucket: str) -> None:
    """Raises BackendBlockedError with what a person has to do, and the errors of `told`.

    Only this account's bucket counts: somebody may have taken the name before.
    """
    _check_whose(account, bucket)
    _check_that_nobody_else_reads(account, bucket)


def _check_whose(account: Account, bucket: str) -> None:
    with told("s3", "ListBucket", f"s3://{bucket}"):
        try:
            answer = account.client("s3").head_bucket(
                Bucket=bucket, ExpectedBucketOwner=account.identity["Account"]
            )
        except ClientError as error:
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            if code_of(error) in _MOVED:
                elsewhere = headers.get("x-amz-bucket-region", "another region")
                raise _not_here(account, bucket, elsewhere) from error
            if missing(error):
                remedy = f"Make it: aws s3 mb s3://{bucket} --region {account.region}"
                raise BackendBlockedError(f"s3://{bucket}", "does not exist", remedy) from error
            raise
    region = str(answer.get("BucketRegion") or account.region)
    if region != account.region:
        raise _not_here(account, bucket, region)


def _check_that_nobody_else_reads(account: Account, bucket: str) -> None:
    with told("s3", "GetBucketPublicAccessBlock", f"s3://{bucket}"):
        try:
            answer = account.client("s3").get_public_access_block(Bucket=bucket)
        except ClientError as error:
            if code_of(error) != _NOT_SET:
                raise
            answer = {"PublicAccessBlockConfiguration": {}}
    blocks = answer["PublicAccessBlockConfiguration"]
    if lacking := [name for name in BLOCKS if not blocks.get(name)]:
        all_on = ",".join(f"{name}=true" for name in BLOCKS)
        raise BackendBlockedError(
            f"s3://{bucket}",
            f"public access to it is not blocked ({', '.join(lacking)})",
            f"aws s3api put-public-access-block --bucket {bucket} "
            f"--public-access-block-configuration {all_on}",
        )


def _not_here(account: Account, bucket: str, region: str) -> BackendBlockedError:
    return BackendBlockedError(
        f"s3://{bucket}",
        f"it is in {region}, and jobs in {account.region} take no data from there",
        f"Take a bucket in {account.region}, or set EDGEWARD_AWS__REGION.",
    )
