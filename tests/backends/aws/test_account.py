"""Who we are in AWS, what is recorded of our calls, and what is made of AWS's refusals."""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from backends.aws.account import Account, Call
from backends.aws.faults import missing, told
from backends.errors import (
    BackendBlockedError,
    BackendUnavailableError,
    EdgewardError,
    InvalidInputError,
)
from backends.settings import AwsSettings
from tests.backends.aws.conftest import BUCKET, REGION, failing


def test_the_account_says_who_it_is(account: Account) -> None:
    assert account.identity["Account"] == "123456789012"
    assert (account.region, account.partition) == (REGION, "aws")


def test_every_call_is_told_with_its_target_and_without_secrets(
    account: Account, calls: list[Call]
) -> None:
    account.client("s3").put_object(Bucket=BUCKET, Key="edgeward/x", Body=b"private content")
    with pytest.raises(ClientError):
        account.client("s3").get_object(Bucket=BUCKET, Key="edgeward/none")

    told_of = [(call.service, call.operation, call.target, call.status) for call in calls]
    assert told_of == [
        ("s3", "PutObject", f"s3://{BUCKET}/edgeward/x", 200),
        ("s3", "GetObject", f"s3://{BUCKET}/edgeward/none", 404),
    ]
    assert "private" not in repr(calls)
    assert "secret" not in repr(calls)


def test_a_call_without_an_answer_is_told_too(calls: list[Call], credentials: None) -> None:
    settings = AwsSettings(region=REGION, endpoint_url="http://127.0.0.1:9")
    client = Account(settings, calls.append).client("sts")
    client.meta.config.retries["total_max_attempts"] = 1

    with pytest.raises(EndpointConnectionError):
        client.get_caller_identity()

    assert [(call.operation, call.status) for call in calls][-1] == ("GetCallerIdentity", 0)


def test_one_service_may_have_an_endpoint_of_its_own(credentials: None) -> None:
    settings = AwsSettings(
        region=REGION,
        endpoint_url="http://127.0.0.1:1",
        endpoint_urls={"greengrassv2": "http://127.0.0.1:2"},
    )
    account = Account(settings)

    assert account.client("s3").meta.endpoint_url == "http://127.0.0.1:1"
    assert account.client("greengrassv2").meta.endpoint_url == "http://127.0.0.1:2"


def test_without_credentials_the_remedy_is_to_log_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, aws_settings: AwsSettings
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(BackendBlockedError, match=r"no credentials.*aws sso login"):
        _ = Account(aws_settings).identity


@pytest.mark.parametrize(
    ("code", "status", "kind", "said"),
    [
        pytest.param(
            "ExpiredToken", 400, BackendBlockedError, "login has expired.*Log in", id="expired"
        ),
        pytest.param(
            "InvalidClientTokenId", 403, BackendBlockedError, "does not know", id="unknown-key"
        ),
        pytest.param(
            "AccessDenied", 403, BackendBlockedError, "Allow s3:PutObject to the", id="denied"
        ),
        pytest.param("ResourceLimitExceeded", 400, BackendBlockedError, "higher quota", id="quota"),
        pytest.param("SlowDown", 503, BackendUnavailableError, "throttles", id="throttled"),
        pytest.param("Internal", 500, BackendUnavailableError, "answered 500", id="their-fault"),
        pytest.param("ValidationException", 400, InvalidInputError, "so it is", id="our-fault"),
    ],
)
def test_a_refusal_says_what_to_do(
    code: str, status: int, kind: type[EdgewardError], said: str
) -> None:
    with pytest.raises(kind, match=said) as refused, told("s3", "PutObject", "s3://bucket/key"):
        raise ClientError(failing(code, status), "PutObject")

    assert type(refused.value) is kind  # blocked is never retried, unavailable is
    assert "s3://bucket/key" in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "is_missing"),
    [
        pytest.param(failing("NoSuchKey", 404), True, id="s3"),
        pytest.param(
            failing("ValidationException", 400, "Requested resource not found."),
            True,
            id="sagemaker",
        ),
        pytest.param(
            failing("ValidationException", 400, "Could not find model"), True, id="by-another-word"
        ),
        pytest.param(failing("ValidationException", 400, "bad role"), False, id="another"),
        pytest.param(failing("AccessDenied", 403), False, id="denied"),
    ],
)
def test_what_is_not_there_is_told_from_what_is_wrong(
    answer: dict[str, object], is_missing: bool
) -> None:
    assert missing(ClientError(answer, "Any")) is is_missing
