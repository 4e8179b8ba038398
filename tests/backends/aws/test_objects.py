"""The account's bucket: what is uploaded, how often, and what a cut-off leaves."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from backends.aws import objects as s3_objects
from backends.aws.account import Account, Call
from backends.aws.objects import S3Objects
from backends.errors import BackendBlockedError, BackendUnavailableError, InvalidInputError
from backends.settings import AwsSettings
from tests.backends.aws.conftest import BUCKET, failing
from tests.fakes.aws_server import AwsServer

LARGE = s3_objects.PART_BYTES * 2 + 12345


@pytest.fixture
def objects(account: Account) -> S3Objects:
    return S3Objects(account)


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that goes up in three parts."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    path.write_bytes(os.urandom(LARGE))
    return path


def stored(account: Account) -> list[str]:
    """Keys of all that is in the bucket."""
    listed = account.client("s3").list_objects_v2(Bucket=BUCKET)
    return [entry["Key"] for entry in listed.get("Contents", [])]


def asked(calls: list[Call]) -> list[str]:
    names = [call.operation for call in calls]
    calls.clear()
    return names


def test_an_object_comes_back_as_it_went(objects: S3Objects, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"model")

    uri = objects.put(tmp_path / "model", "models/model")
    back = objects.get(uri, tmp_path / "deep" / "back")

    assert uri == f"s3://{BUCKET}/edgeward/models/model"
    assert back.read_bytes() == b"model"
    assert [path.name for path in back.parent.iterdir()] == ["back"]


@pytest.mark.parametrize("size", [5, LARGE], ids=["small", "in-parts"])
def test_what_is_there_already_is_not_uploaded_again(
    objects: S3Objects, calls: list[Call], large: Path, tmp_path: Path, size: int
) -> None:
    """Packed pictures are gigabytes: a second run must not pay for the same ones."""
    file = large if size == LARGE else tmp_path / "small"
    if size != LARGE:
        file.write_bytes(b"small")
    objects.put(file, "data/file")
    first = asked(calls)

    objects.put(file, "data/file")

    assert asked(calls) == ["HeadObject"]
    assert ("UploadPart" in first) == (size == LARGE)


def test_other_bytes_of_the_same_size_are_uploaded(objects: S3Objects, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    objects.put(file, "data/file")
    file.write_bytes(b"two")

    uri = objects.put(file, "data/file")

    assert objects.get(uri, tmp_path / "back").read_bytes() == b"two"


def test_objects_are_encrypted_checked_and_tagged(
    account: Account, objects: S3Objects, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    objects.put(tmp_path / "file", "data/file")

    where = {"Bucket": BUCKET, "Key": "edgeward/data/file"}
    head = account.client("s3").head_object(**where, ChecksumMode="ENABLED")
    tags = account.client("s3").get_object_tagging(**where)["TagSet"]

    assert head["ServerSideEncryption"] == "AES256"
    assert head["ChecksumSHA256"] == "J3CJ2RwL308uaGK6fkoHYFEZQx9dE/cm3TUrBvGyBqk="
    assert tags == [{"Key": "edgeward", "Value": "edgeward"}]


def test_a_key_of_ones_own_encrypts(aws_settings: AwsSettings, tmp_path: Path) -> None:
    settings = aws_settings.model_copy(update={"kms_key": "alias/ours"})
    account = Account(settings)
    (tmp_path / "file").write_bytes(b"bytes")
    S3Objects(account).put(tmp_path / "file", "file")

    head = account.client("s3").head_object(Bucket=BUCKET, Key="edgeward/file")

    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/ours")


def test_an_upload_that_is_cut_off_leaves_no_object_and_no_parts(
    account: Account, objects: S3Objects, calls: list[Call], large: Path
) -> None:
    """The parts of half an upload are invisible, and they are paid for every month."""
    s3 = account.client("s3")
    parts: list[int] = []

    def cut(params: Mapping[str, Any], **_: object) -> None:
        parts.append(params["PartNumber"])
        if len(parts) > 1:
            raise ClientError(
                failing("RequestTimeout", 400, "the connection was cut"), "UploadPart"
            )

    s3.meta.events.register("provide-client-params.s3.UploadPart", cut)
    with pytest.raises(InvalidInputError, match=r"s3:PutObject .*data/large.*was cut"):
        objects.put(large, "data/large")

    assert "AbortMultipartUpload" in asked(calls)
    assert s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
    assert stored(account) == []


def test_what_came_damaged_is_not_taken(
    account: Account, objects: S3Objects, tmp_path: Path
) -> None:
    """A model that lost a byte on the way must not be compiled and shipped."""
    account.client("s3").put_object(
        Bucket=BUCKET, Key="edgeward/file", Body=b"other", Metadata={"sha256": "00" * 32}
    )

    with pytest.raises(BackendUnavailableError, match="another SHA-256"):
        objects.get(objects.uri("file"), tmp_path / "into" / "file")

    assert list((tmp_path / "into").iterdir()) == []


def test_a_missing_object_is_named(objects: S3Objects, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="edgeward/none: there is no such object"):
        objects.get(objects.uri("none"), tmp_path / "into")


@pytest.mark.parametrize("uri", ["https://b/key", "s3://b", "s3:///key", "s3://b/../../etc/passwd"])
def test_what_is_no_uri_of_an_object_is_refused(
    objects: S3Objects, tmp_path: Path, uri: str
) -> None:
    with pytest.raises(InvalidInputError, match="is not s3://<bucket>/<key>"):
        objects.get(uri, tmp_path / "into")


def test_without_a_bucket_the_setting_is_named(credentials: None, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="EDGEWARD_AWS__BUCKET"):
        S3Objects(Account(AwsSettings(region="eu-west-1"))).put(tmp_path, "key")


def test_the_bucket_is_looked_at_once_before_the_first_upload(
    account: Account, objects: S3Objects, calls: list[Call], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    asked_for: list[object] = []
    account.client("s3").meta.events.register(
        "provide-client-params.s3.HeadBucket", lambda params, **_: asked_for.append(dict(params))
    )

    objects.put(tmp_path / "file", "one")
    objects.put(tmp_path / "file", "other")

    names = asked(calls)
    assert names.count("HeadBucket") == names.count("GetPublicAccessBlock") == 1
    assert asked_for == [{"Bucket": BUCKET, "ExpectedBucketOwner": "123456789012"}]


def test_nothing_goes_into_a_bucket_that_the_world_may_read(
    account: Account, objects: S3Objects, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"a picture of a driveway")
    account.client("s3").delete_public_access_block(Bucket=BUCKET)

    with pytest.raises(BackendBlockedError, match="aws s3api put-public-access-block"):
        objects.put(tmp_path / "file", "one")

    assert stored(account) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"bucket": "nobodys"}, "does not exist.*aws s3 mb s3://nobodys", id="none"),
        pytest.param({"region": "us-west-2"}, "is in eu-west-1, and jobs in us-west-2", id="far"),
    ],
)
def test_a_bucket_that_is_not_there_or_elsewhere_is_refused_with_the_remedy(
    aws_settings: AwsSettings, tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    objects = S3Objects(Account(aws_settings.model_copy(update=changed)))

    with pytest.raises(BackendBlockedError, match=said):
        objects.put(tmp_path / "file", "one")


def test_a_missing_permission_is_named_with_the_object(
    aws_server: AwsServer,
    account: Account,
    aws_settings: AwsSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """moto holds a user without any policy to IAM."""
    (tmp_path / "file").write_bytes(b"bytes")
    iam = account.client("iam")
    iam.create_user(UserName="stranger")
    key = iam.create_access_key(UserName="stranger")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    objects = S3Objects(Account(aws_settings))

    with (
        aws_server.policies(),
        pytest.raises(BackendBlockedError, match=r"s3:GetObject .*edgeward/x.*Allow s3:GetObject"),
    ):
        objects.get(objects.uri("x"), tmp_path / "into")
