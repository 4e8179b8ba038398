"""Reads what topic rules stored in S3: one object a message, listed by date and thing.

Keys are `<prefix>/<table>/date=YYYY-MM-DD/thing=NAME/<milliseconds>-<uuid>.json`: the moment of
arrival is in the name. A page of the listing is held at a time, and few bodies. Messages of days
that are over may have become rows of `<prefix>/telemetry/<table>/date=…/thing=…/*.parquet`
(backends/aws/telemetry.py), each of which names the objects that it replaces: those are read last,
and of them only what was not seen as an object.
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
from backends.telemetry.athena import FOLDER
from backends.telemetry.flattening import window_of_payload, windows_table
from backends.telemetry.folders import read_compacted
from edge.contract import MessageError, parse_result

MAX_BYTES = 128 * 1024
"""What IoT Core takes as one message."""
_AT_ONCE = 8
_PAGE = 1000
_ROWS = 256


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
        self.root = f"{account.settings.prefix}/{table}/"
        self.compacted = f"{account.settings.prefix}/{FOLDER}/{table}/"

    def stored(self, thing: str, since: str) -> Iterator[StoredMessage | Unusable]:
        """Messages of the day `since` and later; an object that is no message is told of."""
        own, compacted = (set(self._folders(root, since)) for root in (self.root, self.compacted))
        with ThreadPoolExecutor(_AT_ONCE) as readers:
            for day in sorted(own | compacted):
                seen: set[str] = set()
                vanished = False
                for some in batched(self._objects(f"{self.root}{day}/thing={thing}/"), _AT_ONCE):
                    for found, messages in zip(some, readers.map(self.read, some), strict=True):
                        vanished = vanished or not messages
                        if messages:
                            seen.add(found.name)
                        yield from messages
                if vanished or day in compacted:
                    yield from self._compacted(f"{day}/thing={thing}/", seen)

    def windows(self, thing: str, since: str) -> Iterator[Any]:
        """The same as tables of WINDOWS."""
        for some in batched(self.stored(thing, since), _ROWS):
            yield from (one for one in some if isinstance(one, Unusable))
            rows = [
                window_of_payload(one.payload, thing, parse_moment(one.received_at))
                for one in some
                if isinstance(one, StoredMessage)
            ]
            if rows:
                yield windows_table(rows)

    def things(self, since: str) -> Sequence[str]:
        """Whose messages there are of the day `since` and later."""
        found = set()
        for day in self.days(since):
            for root in (self.root, self.compacted):
                for folder in self._folders(f"{root}{day}/"):
                    found.add(folder.removeprefix("thing="))
        return sorted(found)

    def days(self, since: str = "") -> list[str]:
        """The folders of the days, without what is in them."""
        days = {day for root in (self.root, self.compacted) for day in self._folders(root, since)}
        return sorted(days)

    def _folders(self, prefix: str, since: str = "") -> Iterator[str]:
        start = f"{prefix}date={since}" if since else ""
        for page in self._pages(prefix, Delimiter="/", StartAfter=start):
            for folder in page.get("CommonPrefixes", ()):
                yield folder["Prefix"].removeprefix(prefix).rstrip("/")

    def _compacted(self, folder: str, seen: set[str]) -> Iterator[StoredMessage | Unusable]:
        """What is left of a day in compacted objects; `seen` names what was read already."""
        for found in self._objects(f"{self.compacted}{folder}"):
            body = self._body(found)
            if body is None:
                continue
            try:
                rows, parts = read_compacted(body)
            except (OSError, ValueError, KeyError) as error:
                yield Unusable(f"{found.name} is no compacted file ({type(error).__name__})")
                continue
            for name, part in parts.items():
                if name not in seen:
                    seen.add(name)
                    for row in rows.slice(part.start, part.length).to_pylist():
                        yield StoredMessage(row["payload"], row["received_at"].isoformat())

    def own_folders(self, day: str) -> list[str]:
        """The things that have messages of a day which are objects of their own."""
        return list(self._folders(f"{self.root}{day}/"))

    def keys(self, prefix: str) -> Iterator[str]:
        """Of all that lies below a prefix."""
        return (found.key for found in self._objects(prefix))

    def objects(self, day: str, thing: str) -> list[_Found]:
        """The messages of a day and thing that are objects of their own."""
        return list(self._objects(f"{self.root}{day}/thing={thing}/"))

    def _objects(self, prefix: str) -> Iterator[_Found]:
        for page in self._pages(prefix):
            for entry in page.get("Contents", ()):
                yield _Found(entry["Key"], entry["Size"])

    def _pages(self, prefix: str, **more: str) -> Iterator[Any]:
        pages = self._account.client("s3").get_paginator("list_objects_v2")
        asked = {"Bucket": self._bucket, "Prefix": prefix, **{k: v for k, v in more.items() if v}}
        with told("s3", "ListBucket", f"s3://{self._bucket}/{prefix}"):
            yield from pages.paginate(**asked, PaginationConfig={"PageSize": _PAGE})

    def read(self, found: _Found) -> Sequence[StoredMessage | Unusable]:
        """The message; nothing where it was removed since it was listed."""
        arrival = _arrival(found.name)
        if not arrival or found.size > MAX_BYTES:
            return (Unusable(f"{found.name} is no message of a device"),)
        body = self._body(found)
        if body is None:
            return ()
        try:
            return (StoredMessage(body.decode(), arrival),)
        except UnicodeDecodeError:
            return (Unusable(f"{found.name} is no text"),)

    def _body(self, found: _Found) -> bytes | None:
        with told("s3", "GetObject", f"s3://{self._bucket}/{found.key}"):
            try:
                answer = self._account.client("s3").get_object(Bucket=self._bucket, Key=found.key)
            except ClientError as error:
                if missing(error):
                    return None
                raise
            body: bytes = answer["Body"].read()
        return body


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
