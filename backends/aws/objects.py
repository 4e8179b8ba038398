"""What lies in the account's bucket: uploaded once, whole or not at all, encrypted, and checked.

Every object that we write carries its SHA-256 twice: as the checksum that S3 itself computed on
the way in, and as metadata, since S3's checksum of an object of many parts is not that of its
bytes. Source: Amazon S3 User Guide, "Checking object integrity".
"""

import base64
import hashlib
import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlencode

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from backends.aws.account import Account
from backends.aws.bucket import check_bucket
from backends.aws.faults import missing, told
from backends.errors import BackendUnavailableError, InvalidInputError

PART_BYTES = 16 * 1024**2
"""Larger files go up in parts of this size, each of which is repeated on its own."""

AT_ONCE = 4  # parts under way; each is held in memory
DIGEST = "sha256"
_SCHEME = "s3://"
_TRANSFER = TransferConfig(
    multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=AT_ONCE
)


class S3Objects:
    """Objects of the settings' bucket. Keys that we write lie below the settings' prefix.

    Every method raises InvalidInputError, BackendUnavailableError or BackendBlockedError, and may
    be repeated.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._may_write = False

    @property
    def bucket(self) -> str:
        """Raises InvalidInputError where none is set."""
        if not self._account.settings.bucket:
            raise InvalidInputError(
                "EDGEWARD_AWS__BUCKET", "no bucket is set", "Name one that exists."
            )
        return self._account.settings.bucket

    def uri(self, key: str) -> str:
        """Where `key`, which lies below the prefix, is or will be."""
        return f"{_SCHEME}{self.bucket}/{self._account.settings.prefix}/{key}"

    def put(self, file: Path, key: str) -> str:
        """Store `file` under `key`, unless the same bytes lie there already; its URI.

        An upload that is cut off leaves nothing: its parts are given up. Before the first one, the
        bucket is looked at (backends/aws/bucket.py).
        """
        uri = self.uri(key)
        self._check_bucket()
        bucket, full_key = _parts_of(uri)
        digest = sha256_of(file)
        if self._holds(uri, digest, file.stat().st_size):
            return uri
        with told("s3", "PutObject", uri), file.open("rb") as content:
            self._s3.upload_fileobj(
                content, bucket, full_key, ExtraArgs=self._extra(digest), Config=_TRANSFER
            )
        return uri

    def get(self, uri: str, into: Path) -> Path:
        """Fetch the object `uri` into the file `into`, which appears whole or not at all.

        Where the digest of the object is known, it is compared. A repeated call starts anew.
        """
        bucket, key = _parts_of(uri)
        head = self._head(uri)
        if head is None:
            raise InvalidInputError(uri, "there is no such object", "Check the key and the bucket.")
        into.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{into.name}-", dir=into.parent)
        unfinished = Path(name)
        try:
            with told("s3", "GetObject", uri), os.fdopen(handle, "wb") as target:
                self._s3.download_fileobj(bucket, key, target, Config=_TRANSFER)
            _compare(unfinished, head, uri)
            unfinished.chmod(0o644)  # mkstemp's 0600 would lock others out
            unfinished.replace(into)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        return into

    def exists(self, uri: str) -> bool:
        return self._head(uri) is not None

    def _check_bucket(self) -> None:
        with self._lock:
            if not self._may_write:
                check_bucket(self._account, self.bucket)
                self._may_write = True

    @property
    def _s3(self) -> Any:
        return self._account.client("s3")

    def _extra(self, digest: str) -> dict[str, Any]:
        """What an upload says beside the bytes."""
        kms_key = self._account.settings.kms_key
        encryption = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key}
            if kms_key
            else {"ServerSideEncryption": "AES256"}
        )
        return {
            "ChecksumAlgorithm": "SHA256",
            "Metadata": {DIGEST: digest},
            "Tagging": urlencode(self._account.tags),
            **encryption,
        }

    def _head(self, uri: str) -> Mapping[str, Any] | None:
        bucket, key = _parts_of(uri)
        with told("s3", "GetObject", uri):
            try:
                head: Mapping[str, Any] = self._s3.head_object(
                    Bucket=bucket, Key=key, ChecksumMode="ENABLED"
                )
            except ClientError as error:
                if missing(error):
                    return None
                raise
        return head

    def _holds(self, uri: str, digest: str, size: int) -> bool:
        head = self._head(uri)
        return head is not None and head["ContentLength"] == size and _digest_of(head) == digest


def _parts_of(uri: str) -> tuple[str, str]:
    """Bucket and key. Raises InvalidInputError for anything but s3://bucket/key."""
    bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
    wrong = not uri.startswith(_SCHEME) or not bucket or not key
    if wrong or ".." in PurePosixPath(key).parts:
        raise InvalidInputError(uri, "is not s3://<bucket>/<key>", "Check the URI.")
    return bucket, key


def _digest_of(head: Mapping[str, Any]) -> str | None:
    """SHA-256 (hex) of an object's bytes, as far as it is known."""
    if digest := (head.get("Metadata") or {}).get(DIGEST):
        return str(digest)
    checksum = str(head.get("ChecksumSHA256", ""))
    in_parts = "-" in checksum or "-" in str(head.get("ETag", ""))  # a checksum of checksums
    return base64.b64decode(checksum).hex() if checksum and not in_parts else None


def _compare(file: Path, head: Mapping[str, Any], uri: str) -> None:
    expected = _digest_of(head)
    if file.stat().st_size != head["ContentLength"]:
        reason = f"{file.stat().st_size} bytes came, and it has {head['ContentLength']}"
    elif expected is not None and sha256_of(file) != expected:
        reason = f"what came has another SHA-256 than {expected}"
    else:
        return
    raise BackendUnavailableError(uri, reason, "Try again; if it stays so, upload it again.")


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
