"""What AWS answers when it refuses, in the project's errors: what failed, why, and what to do.

boto3 has by then repeated what is safe to repeat (throttling, timeouts, 5xx). What is raised here
as BackendUnavailableError may be tried again by the task; BackendBlockedError may not: no retry
mends an expired login or a missing permission.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from backends.errors import (
    BackendBlockedError,
    BackendUnavailableError,
    EdgewardError,
    InvalidInputError,
)

MISSING = frozenset({
    "404", "NoSuchKey", "NoSuchBucket", "ResourceNotFound", "ResourceNotFoundException",
    "NotFoundException", "NotFound", "NoSuchEntity",
})  # fmt: skip
# What only a person can mend: codes, what they mean, and what to do about it.
_BLOCKED = (
    (
        {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"},
        "the login has expired",
        "Log in to AWS again.",
    ),
    (
        {
            "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId",
            "SignatureDoesNotMatch", "AuthFailure", "InvalidSignatureException",
        },
        "AWS does not know the caller",
        "Check the profile and the access key (`aws sts get-caller-identity`).",
    ),
    (
        {
            "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden", "403",
            "UnauthorizedException",
        },
        "access is denied",
        "Allow {action} to the caller (docs/how-to/aws.md, policies), then `edgeward doctor`.",
    ),
    (
        {"ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException"},
        "a quota is used up",
        "Ask for a higher quota (Service Quotas console), or choose another instance type.",
    ),
)  # fmt: skip
_THROTTLED = frozenset({
    "Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded",
    "TooManyRequestsException", "SlowDown", "RequestThrottled", "RequestThrottledException",
    "ProvisionedThroughputExceededException",
})  # fmt: skip
_SERVER_FAULT = 500
_LOGIN = (
    NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError,
    SSOError, ProfileNotFound,
)  # fmt: skip
_UNREACHABLE = (EndpointConnectionError, ConnectionError, HTTPClientError)


@contextmanager
def told(service: str, operation: str, target: str = "") -> Iterator[None]:
    """Raises what AWS answers as InvalidInputError, BackendUnavailableError or BackendBlockedError.

    `service` as in IAM's actions ("s3", "sagemaker"), `operation` as IAM's action ("PutObject").
    """
    try:
        yield
    except ClientError as error:
        raise _refusal(error, service, operation, target) from error
    except BotoCoreError as error:
        raise _failure(error, f"{service}:{operation}", target) from error


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def missing(error: ClientError) -> bool:
    """Whether it says that there is no such thing; SageMaker says so in words only."""
    message = str(error.response.get("Error", {}).get("Message", ""))
    in_words = re.search(r"not (be )?f(ou|i)nd|does not exist", message, re.IGNORECASE)
    code = code_of(error)
    return code in MISSING or (code == "ValidationException" and in_words is not None)


def _refusal(error: ClientError, service: str, operation: str, target: str) -> EdgewardError:
    code = code_of(error)
    reason = _sentence(str(error.response.get("Error", {}).get("Message", "")) or code)
    action = f"{service}:{operation}"
    what = f"{action} ({target})" if target else action
    for codes, meaning, remedy in _BLOCKED:
        if code in codes:
            return BackendBlockedError(what, f"{meaning}: {reason}", remedy.format(action=action))
    if code in _THROTTLED:
        return BackendUnavailableError(what, f"AWS throttles: {reason}", "Try again in a minute.")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status >= _SERVER_FAULT:
        return BackendUnavailableError(what, f"AWS answered {status} {code}: {reason}")
    remedy = "See docs/how-to/aws.md, or check with `edgeward doctor`."
    return InvalidInputError(what, f"{code}: {reason}", remedy)


def _failure(error: BotoCoreError, action: str, target: str) -> EdgewardError:
    what = f"{action} ({target})" if target else action
    reason = _sentence(str(error))
    if isinstance(error, _LOGIN):
        remedy = "Log in (`aws configure`, `aws sso login`), or set AWS_PROFILE."
        return BackendBlockedError(what, f"there are no credentials: {reason}", remedy)
    if isinstance(error, NoRegionError):
        return BackendBlockedError(what, "no region is set", "Set EDGEWARD_AWS__REGION.")
    if isinstance(error, _UNREACHABLE):
        return BackendUnavailableError(what, reason, "Check the network and the endpoint.")
    return InvalidInputError(what, reason, "See docs/how-to/aws.md.")


def _sentence(text: str) -> str:
    return text.strip().rstrip(".")
