"""What an account stored becomes few objects, and is read the same before, meanwhile and after."""

import json
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pyarrow import parquet

from backends.artifacts import StoredMessage
from backends.aws.account import Account
from backends.aws.results_store import StoredMessages
from backends.aws.telemetry import S3Keeper
from backends.telemetry.flattening import summary_of
from edge.contract import encode, result_message, statistics_message
from tasks.statistics_store import read_new_windows
from tests.backends.aws.conftest import BUCKET
from tests.tasks.windows import NOON, seen

TODAY = date(2026, 11, 25)
DAY = f"date={NOON:%Y-%m-%d}"
WINDOWS = [seen(5, number, hour=number) for number in range(3)]


def put(account: Account, table: str, name: str, body: bytes, day: str = DAY) -> None:
    key = f"edgeward/{table}/{day}/thing=hub-1/{name}"
    account.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)


def keys(account: Account) -> list[str]:
    answer = account.client("s3").list_objects_v2(Bucket=BUCKET)
    return sorted(entry["Key"] for entry in answer.get("Contents", ()))


@pytest.fixture
def store(account: Account) -> StoredMessages:
    """Three windows, and something that is no message."""
    for number, window in enumerate(WINDOWS):
        at = int((NOON + timedelta(seconds=number)).timestamp() * 1000)
        message = encode(statistics_message("hub-1", window.to_dict()))
        put(account, "statistics", f"{at}-a.json", message)
    put(account, "statistics", "notes.txt", b"mine")
    return StoredMessages(account, "statistics")


def told(store: StoredMessages) -> list[StoredMessage]:
    return [one for one in store.stored("hub-1", "") if isinstance(one, StoredMessage)]


def compact(account: Account) -> int:
    keeper = S3Keeper(account)
    return sum(keeper.compact(folder).rows for folder in keeper.due(TODAY))


def test_a_past_day_becomes_one_object_with_the_columns_and_reads_the_same(
    account: Account, store: StoredMessages, tmp_path: Path
) -> None:
    before = told(store)

    assert S3Keeper(account).due(NOON.date()) == []
    assert compact(account) == 3

    notes, compacted = keys(account)
    assert notes.endswith("notes.txt")
    assert compacted.startswith(f"edgeward/telemetry/statistics/{DAY}/thing=hub-1/compacted-")
    body = account.client("s3").get_object(Bucket=BUCKET, Key=compacted)["Body"].read()
    rows = parquet.ParquetFile(BytesIO(body)).read().to_pylist()
    assert [summary_of(row) for row in rows] == WINDOWS
    assert told(store) == before
    assert list(store.things("")) == ["hub-1"]
    found = read_new_windows(store, tmp_path, "hub-1")
    assert [window.summary for window in found.windows] == WINDOWS


def test_a_keeper_that_is_stopped_before_it_deletes_doubles_nothing(
    account: Account, store: StoredMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_keeper: S3Keeper, _keys: object) -> None:
        raise KeyboardInterrupt

    before = told(store)
    with monkeypatch.context() as once:
        once.setattr(S3Keeper, "_delete", killed)
        with pytest.raises(KeyboardInterrupt):
            compact(account)

    assert told(store) == before
    assert compact(account) == 3
    assert told(store) == before
    assert len(keys(account)) == 2


def test_messages_that_vanish_under_a_reader_are_found_in_the_compacted_object(
    account: Account, store: StoredMessages
) -> None:
    before = told(store)
    reading = store.stored("hub-1", "")
    first = next(reading)
    compact(account)

    assert [first, *(one for one in reading if isinstance(one, StoredMessage))] == before


def test_results_get_their_columns_too(account: Account) -> None:
    message = result_message(
        thing="hub-1", model_version="1.0.3", scores={"cat": 0.9}, score_threshold=0.3,
        max_results=5, image_id="0" * 64, latency_ms=1.5, taken_at=NOON,
    )  # fmt: skip
    put(account, "results", "1763812800000-a.json", encode(message))
    put(account, "results", "1763812800001-b.json", b'{"inference-results": []}')

    assert compact(account) == 2

    (key,) = keys(account)
    body = account.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    rows = parquet.ParquetFile(BytesIO(body)).read().to_pylist()
    assert [(row["label"], row["score"]) for row in rows] == [("cat", 0.9), (None, None)]
    assert json.loads(rows[1]["payload"]) == {"inference-results": []}


def test_old_days_go_and_no_newer_one(account: Account, store: StoredMessages) -> None:
    old = f"date={TODAY - timedelta(days=401)}"
    put(account, "statistics", "1-a.json", b"{}", old)
    keeper = S3Keeper(account)

    removed = keeper.remove_old({"statistics": 400, "results": 90}, TODAY)

    assert list(removed) == [f"statistics/{old.removeprefix('date=')}"]
    assert len(told(store)) == 3
    assert not any(old in key for key in keys(account))
