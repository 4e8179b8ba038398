"""Keeps what topic rules stored in S3 small: the messages of a day and thing become one object.

`<prefix>/<table>/date=…/thing=…/*.json` become rows of
`<prefix>/telemetry/<table>/date=…/thing=…/compacted-….parquet`, which Athena reads, and which names
the objects that it replaces. Only when it is stored do those go: killed in between, a reader passes
over what it has read, and the next night finishes the work.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import batched
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from backends.artifacts import Compacted, StoredMessage
from backends.aws.account import Account
from backends.aws.faults import told
from backends.aws.objects import S3Objects
from backends.aws.results_store import StoredMessages
from backends.errors import BackendUnavailableError
from backends.moments import parse_moment
from backends.telemetry.athena import FOLDER, STORED
from backends.telemetry.flattening import result_of_payload, window_of_payload
from backends.telemetry.folders import COMPACTED, PARTS
from backends.telemetry.schema import SCHEMAS, in_file

_DELETED_AT_ONCE = 1000
MOST_MESSAGES = 20_000
"""Of one object: some 60 MB of messages. A thing that says more in a day gets several."""


class S3Keeper:
    """As the port TelemetryKeeper has it. Folders are `<table>/date=…/thing=…`."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._objects = S3Objects(account)
        self._tables = {table: StoredMessages(account, table) for table in STORED}

    def due(self, today: date) -> Sequence[str]:
        found = []
        for table, messages in self._tables.items():
            for day in messages.days():
                if day < f"date={today}":
                    found += [f"{table}/{day}/{thing}" for thing in messages.own_folders(day)]
        return found

    def compact(self, folder: str) -> Compacted:
        table, day, named = folder.split("/")
        thing = named.removeprefix("thing=")
        messages = self._tables[table]
        files = rows = 0
        for some in batched(messages.objects(day, thing), MOST_MESSAGES):
            kept = [(one.name, said) for one in some for said in messages.read(one)]
            good = [(name, said) for name, said in kept if isinstance(said, StoredMessage)]
            if not good:
                continue
            self._store(table, folder, thing, good)
            self._delete([f"{messages.root}{day}/{named}/{name}" for name, _ in good])
            files, rows = files + len(good), rows + len(good)
        return Compacted(folder, files, rows, 0)

    def remove_old(self, keep_days: Mapping[str, int], today: date) -> Sequence[str]:
        removed = []
        for table, messages in self._tables.items():
            first_kept = f"date={today - timedelta(days=keep_days[table])}"
            for day in messages.days():
                if day < first_kept:
                    for root in (messages.root, messages.compacted):
                        self._delete(messages.keys(f"{root}{day}/"))
                    removed.append(f"{table}/{day.removeprefix('date=')}")
        return removed

    def _store(
        self, table: str, folder: str, thing: str, messages: Sequence[tuple[str, StoredMessage]]
    ) -> None:
        read = window_of_payload if table == "statistics" else result_of_payload
        rows = [
            {
                **read(said.payload, thing, parse_moment(said.received_at)),
                "payload": said.payload,
                "received_at": parse_moment(said.received_at),
            }
            for _, said in messages
        ]
        parts = [[name, number, 1] for number, (name, _) in enumerate(messages)]
        digest = hashlib.sha256("\n".join(name for name, _ in messages).encode()).hexdigest()[:16]
        name = f"{COMPACTED}{digest}.parquet"
        schema = in_file(SCHEMAS[table])
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch, name)
            with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                writer.add_key_value_metadata({PARTS.decode(): json.dumps(parts)})
            self._objects.put(file, f"{FOLDER}/{folder}/{name}")

    def _delete(self, keys: Iterator[str] | Sequence[str]) -> None:
        bucket = self._account.settings.bucket
        for some in batched(keys, _DELETED_AT_ONCE):
            wanted: dict[str, Any] = {"Objects": [{"Key": key} for key in some], "Quiet": True}
            with told("s3", "DeleteObject", f"s3://{bucket}/{some[0]}"):
                answer = self._account.client("s3").delete_objects(Bucket=bucket, Delete=wanted)
            if refused := answer.get("Errors"):
                reason = f"{len(refused)} objects were not deleted: {refused[0].get('Message')}"
                raise BackendUnavailableError("S3", reason)
