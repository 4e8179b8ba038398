"""What devices report is stored once, as it arrived, and a bad message harms nobody."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyarrow import parquet

from backends.local.cloud.quarantine import Quarantine
from backends.local.cloud.rules import MalformedError, apply
from backends.local.cloud.tables import Tables, read_file
from backends.local.results import ResultReader
from backends.telemetry.schema import SCHEMAS
from edge.contract import encode, result_message, statistics_message, statistics_topic
from edge.statistics import Summary

TOPIC = "ml/dlr/image-classification"
NOW = datetime(2026, 11, 22, 18, 0, 0, 123456, tzinfo=UTC)
EVENTS = {"heartbeats": "heartbeat", "alerts": "alerts"}


def result(thing: str = "hub", **changes: Any) -> bytes:
    message = result_message(
        thing=thing,
        model_version="1.0.3",
        scores={"cat": 0.9, "dog": 0.1},
        score_threshold=0.3,
        max_results=5,
        image_id="0" * 64,
        latency_ms=1.5,
        taken_at=NOW,
    )
    return encode({**message, **changes})


def message(table: str, thing: str) -> tuple[str, bytes]:
    """Topic and payload of what becomes a row of `table`."""
    if table == "results":
        return TOPIC, result(thing)
    if table == "statistics":
        summary = Summary("1", "2026-11-22T10:00:00+00:00", "2026-11-22T10:05:00+00:00")
        return statistics_topic(thing), encode(statistics_message(thing, summary.to_dict()))
    return f"edgeward/{thing}/{EVENTS[table]}", b"{}"


def rows(folder: Path, table: str = "results") -> list[dict[str, Any]]:
    files = sorted((folder / table).glob("date=*/thing=*/*.parquet"))
    return [row for path in files for row in read_file(path).to_pylist()]


def test_a_result_is_stored_by_day_and_thing_with_all_its_columns(tmp_path: Path) -> None:
    tables = Tables(tmp_path)

    tables.add(apply(TOPIC, result(message_id="m1"), NOW))
    assert tables.flush() == 1

    (path,) = (tmp_path / "results/date=2026-11-22/thing=hub").glob("*.parquet")
    (row,) = read_file(path).to_pylist()
    assert set(row) == set(SCHEMAS["results"].names)
    payload = json.loads(row.pop("payload"))
    assert row == {
        "thing": "hub", "topic": TOPIC, "received_at": NOW, "image_id": "0" * 64, "label": "cat",
        "score": 0.9, "latency_ms": 1.5, "model_version": "1.0.3",
        "taken_at": "2026-11-22T18:00:00.123456Z", "message_id": "m1",
    }  # fmt: skip
    assert payload["inference-results"] == [{"Label": "cat", "Score": "0.9"}]
    tables.close()


@pytest.mark.parametrize("table", list(SCHEMAS))
def test_a_folder_is_read_as_one_table_with_day_and_thing(tmp_path: Path, table: str) -> None:
    tables = Tables(tmp_path)
    days = (NOW, NOW.replace(day=23))
    for thing, day in (("hub", days[0]), ("hub", days[1]), ("porch:2", days[1])):
        tables.add(apply(*message(table, thing), day))
    tables.close()

    found = pd.read_parquet(tmp_path / table)

    assert set(found) == {*SCHEMAS[table].names, "date"}
    assert sorted(zip(found["thing"], found["date"], found["received_at"], strict=True)) == [
        ("hub", "2026-11-22", days[0]),
        ("hub", "2026-11-23", days[1]),
        ("porch:2", "2026-11-23", days[1]),
    ]


def test_files_that_name_the_thing_themselves_are_read_as_well(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.add(apply(TOPIC, result(message_id="m1"), NOW))
    tables.close()
    (path,) = (tmp_path / "results").glob("*/thing=hub/*.parquet")
    parquet.write_table(read_file(path), path)  # as they were once written

    assert "thing" in parquet.read_schema(path).names
    (found,) = ResultReader(tmp_path / "results", "hub", "2026-11-22T00:00:00Z").wait(1, timeout=0)
    assert (found.thing, found.label) == ("hub", "cat")
    again = Tables(tmp_path)
    assert not again.add(apply(TOPIC, result(message_id="m1"), NOW))
    again.close()


def test_a_message_that_is_sent_twice_is_stored_once_also_across_a_restart(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    assert tables.add(apply(TOPIC, result(message_id="m1"), NOW))
    assert not tables.add(apply(TOPIC, result(message_id="m1"), NOW))
    assert tables.add(apply(TOPIC, result(thing="other", message_id="m1"), NOW))
    tables.close()

    again = Tables(tmp_path)
    assert not again.add(apply(TOPIC, result(message_id="m1"), NOW))
    again.close()

    assert len(rows(tmp_path)) == 2


def test_a_message_that_arrived_just_before_a_kill_is_not_lost(tmp_path: Path) -> None:
    killed = Tables(tmp_path)
    killed.add(apply(TOPIC, result(message_id="m1"), NOW))
    killed._writer.write('["results", {"thing": "cut o')
    killed._writer.close()  # as the kernel does; nothing was flushed to the tables

    again = Tables(tmp_path)
    again.add(apply(TOPIC, result(message_id="m2"), NOW))
    again.close()

    assert [row["message_id"] for row in rows(tmp_path)] == ["m1", "m2"]
    assert (tmp_path / "journal.jsonl").read_text() == ""


def test_a_disk_that_cannot_be_written_keeps_the_rows_for_later(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    (tmp_path / "results").write_text("in the way")
    tables.add(apply(TOPIC, result(), NOW))
    with pytest.raises(OSError, match="results"):
        tables.flush()

    (tmp_path / "results").unlink()
    assert tables.flush() == 1
    tables.close()
    assert len(rows(tmp_path)) == 1


def test_statistics_heartbeats_and_alerts_have_tables_of_their_own(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    window = Summary("1", "2026-11-22T10:00:00+00:00", "2026-11-22T10:05:00+00:00")

    tables.add(
        apply(statistics_topic("hub"), encode(statistics_message("hub", window.to_dict())), NOW)
    )
    tables.add(apply("edgeward/hub/heartbeat", b'{"uptime": 1}', NOW))
    tables.add(apply("edgeward/hub/alerts", b'{"label": "child"}', NOW))
    tables.close()

    (statistics,) = rows(tmp_path, "statistics")
    assert statistics["model_version"] == "1"
    assert (statistics["window_start"], statistics["window_end"]) == (window.start, window.end)
    assert rows(tmp_path, "heartbeats")[0]["thing"] == "hub"
    assert rows(tmp_path, "alerts")[0]["payload"] == '{"label": "child"}'


def test_a_message_of_the_public_component_is_kept_though_it_names_no_thing(tmp_path: Path) -> None:
    payload = encode({"inference-results": [{"Label": "macaw", "Score": "9.598218"}]})

    stored = apply(TOPIC, payload, NOW)

    assert (stored.row["thing"], stored.row["label"]) == ("unknown", "macaw")
    assert stored.row["score"] == 9.598218


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        (TOPIC, b"not json", "not JSON"),
        (TOPIC, b"[1]", "not a JSON object"),
        (TOPIC, b"\xff\xfe", "not JSON"),
        (TOPIC, result(score="high"), "score"),
        (TOPIC, result(thing="../../etc"), "no thing's name"),
        (TOPIC, result(**{"inference-results": "none"}), "inference-results"),
        (TOPIC, encode({"inference-results": [{"Label": "a", "Score": "x"}]}), "Score"),
        (TOPIC, b"{" + b" " * 1024 * 1024 + b"}", "bytes"),
        (TOPIC, b"[" * 100_000, "recursion"),
        ("edgeward/hub/statistics", b'{"thing": "other", "message_id": "m"}', "publishes as"),
        ("edgeward/hub/other", b"{}", "no rule"),
    ],
    ids=[
        "text", "list", "bytes", "score", "thing", "results", "public score", "size", "depth",
        "another's name", "topic",
    ],
)  # fmt: skip
def test_a_malformed_message_is_refused_with_its_reason(
    topic: str, payload: bytes, reason: str
) -> None:
    with pytest.raises(MalformedError, match=reason):
        apply(topic, payload, NOW)


def test_what_is_set_aside_says_why_and_stays_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.local.cloud.quarantine.MAX_BYTES", 1000)
    quarantine = Quarantine(tmp_path)

    for _ in range(50):
        quarantine.add(TOPIC, b"\xff" * 100, "not JSON", NOW)

    entry = json.loads((tmp_path / "2026-11-22.jsonl").read_text().splitlines()[0])
    assert (entry["topic"], entry["reason"], entry["bytes"]) == (TOPIC, "not JSON", 100)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 4000


def test_results_are_read_since_a_moment_in_the_order_of_arrival(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    for second in (3, 1, 2):
        tables.add(apply(TOPIC, result(message_id=str(second)), NOW.replace(second=second)))
        tables.flush()
    tables.add(apply(TOPIC, result(thing="other", message_id="x"), NOW.replace(second=5)))
    tables.close()

    since = NOW.replace(second=1).isoformat()
    found = ResultReader(tmp_path / "results", "hub", since).wait(5, timeout=0)

    assert [r.payload["message_id"] for r in found] == ["2", "3"]
