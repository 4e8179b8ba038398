"""Reads what topic rules stored in S3: one object a message, listed by date and thing.

Keys are `<prefix>/<table>/date=YYYY-MM-DD/thing=NAME/<milliseconds>-<uuid>.json`: the moment of
arrival is in the name. A page of the listing is held at a time, and few bodies.
"""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched
from typing import Any

from botocore.exceptions import ClientError

from backends.artifacts import DeviceResult, StoredMessage, Unusable
from backends.aws.account import Account
from backends.aws.faults import missing, told
from backends.moments import parse_moment
from backends.results import as_told
from edge.contract import MessageError, parse_result

MAX_BYTES = 128 * 1024
"""What IoT Core takes as one message."""
_AT_ONCE = 8
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class _Found:
    key: str
    size: int

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]


class StoredMessages:
    """Messages of one table, as `statistics`. Raises BackendUnavailableError."""

    def __init__(self, account: Account, table: str) -> None:
        self._account = account
        self._bucket = account.settings.bucket
        self._root = f"{account.settings.prefix}/{table}/"

    def stored(self, thing: str, since: str) -> Iterator[StoredMessage | Unusable]:
        """Messages of the day `since` and later; an object that is no message is told of."""
        with ThreadPoolExecutor(_AT_ONCE) as readers:
            for day in self._days(since):
                for some in batched(self._objects(f"{day}thing={thing}/"), _AT_ONCE):
                    for messages in readers.map(self._read, some):
                        yield from messages

    def _days(self, since: str) -> Iterator[str]:
        """The folders of the days, without what is in them."""
        start = f"{self._root}date={since}" if since else ""
        for page in self._pages(self._root, Delimiter="/", StartAfter=start):
            for folder in page.get("CommonPrefixes", ()):
                yield folder["Prefix"]

    def _objects(self, prefix: str) -> Iterator[_Found]:
        for page in self._pages(prefix):
            for entry in page.get("Contents", ()):
                yield _Found(entry["Key"], entry["Size"])

    def _pages(self, prefix: str, **more: str) -> Iterator[Any]:
        pages = self._account.client("s3").get_paginator("list_objects_v2")
        asked = {"Bucket": self._bucket, "Prefix": prefix, **{k: v for k, v in more.items() if v}}
        with told("s3", "ListBucket", f"s3://{self._bucket}/{prefix}"):
            yield from pages.paginate(**asked, PaginationConfig={"PageSize": _PAGE})

    def _read(self, found: _Found) -> Sequence[StoredMessage | Unusable]:
        """The message; nothing where it was removed since it was listed."""
        arrival = _arrival(found.name)
        if not arrival or found.size > MAX_BYTES:
            return (Unusable(f"{found.name} is no message of a device"),)
        with told("s3", "GetObject", f"s3://{self._bucket}/{found.key}"):
            try:
                answer = self._account.client("s3").get_object(Bucket=self._bucket, Key=found.key)
            except ClientError as error:
                if missing(error):
                    return ()
                raise
            body: bytes = answer["Body"].read()
        try:
            return (StoredMessage(body.decode(), arrival),)
        except UnicodeDecodeError:
            return (Unusable(f"{found.name} is no text"),)


class StoredResults:
    """What devices said, from the bucket. Raises BackendUnavailableError."""

    def __init__(self, account: Account) -> None:
        self._messages = StoredMessages(account, "results")

    def results(self, thing: str, since: str, count: int, timeout: float) -> Sequence[DeviceResult]:
        """As the port Fleet has it, of what is stored by now: nobody waits for `timeout`."""
        moment = parse_moment(since)
        day = moment.astimezone(UTC).date().isoformat()
        found = []
        for message in self._messages.stored(thing, day):
            if isinstance(message, Unusable) or parse_moment(message.received_at) <= moment:
                continue
            with contextlib.suppress(MessageError):  # another's: no message of our component
                found.append(as_told(parse_result(message.payload.encode())))
            if len(found) == count:
                break
        return found


def _arrival(name: str) -> str:
    """ISO 8601, from the milliseconds that a name begins with; empty, where it does not."""
    milliseconds, _, rest = name.partition("-")
    if not (milliseconds.isdecimal() and rest.endswith(".json")):
        return ""
    try:
        return datetime.fromtimestamp(int(milliseconds) / 1000, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return ""
