"""The messages: byte for byte what AWS's component sends, then our own fields."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from edge.contract import (
    MAX_MESSAGE_BYTES,
    MessageError,
    encode,
    parse_result,
    parse_statistics,
    result_message,
    statistics_message,
)
from edge.statistics import Summary
from edge.trimming import result_bytes, statistics_bytes

TAKEN = datetime(2026, 11, 22, 18, 33, 54, 33218, tzinfo=UTC)


@pytest.fixture(autouse=True)
def india(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A device whose local time is not UTC."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def message(**changed: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "thing": "porch",
        "model_version": "1.0.3",
        "scores": {"car": float(np.float32(0.2)), "dog": float(np.float32(0.7)), "cat": 0.1},
        "score_threshold": 0.15,
        "max_results": 5,
        "image_id": "ab" * 32,
        "latency_ms": 1.23456,
        "taken_at": TAKEN,
        "message_id": "m1",
    }
    return result_message(**{**values, **changed})


def test_a_result_is_byte_for_byte_the_public_message_and_our_fields() -> None:
    assert encode(message()) == (
        b'{"timestamp": "2026-11-23 00:03:54.033218", '
        b'"inference-type": "image-classification", '
        b'"inference-description": "Top 5 predictions with score 0.15 or above ", '
        b'"inference-results": [{"Label": "dog", "Score": "0.7"}, {"Label": "car", "Score": "0.2"}]'
        b', "thing": "porch", "model_version": "1.0.3", "label": "dog", "score": 0.7, '
        b'"image_id": "' + b"ab" * 32 + b'", "latency_ms": 1.235, '
        b'"taken_at": "2026-11-22T18:33:54.033218Z", "message_id": "m1", "variant": "champion"}'
    )


def test_the_timestamp_has_no_microseconds_where_there_are_none() -> None:
    whole = message(taken_at=TAKEN.replace(microsecond=0))

    assert whole["timestamp"] == "2026-11-23 00:03:54"
    assert whole["taken_at"] == "2026-11-22T18:33:54.000000Z"


def test_scores_are_written_as_numpy_writes_float32() -> None:
    values = np.random.default_rng(1).random(2000).astype(np.float32) + np.float32(1e-4)

    for value in [*values, np.float32(1), np.float32(0.3), np.float32(9.598218)]:
        made = message(scores={"x": float(value)}, score_threshold=0)
        assert made["inference-results"] == [{"Label": "x", "Score": str(value)}]


def test_a_picture_below_the_threshold_is_still_told_with_its_best_label() -> None:
    made = message(score_threshold=0.9)

    assert made["inference-results"] == []
    assert (made["label"], made["score"]) == ("dog", 0.7)


def test_at_most_so_many_results_are_told() -> None:
    assert len(message(max_results=1, score_threshold=0)["inference-results"]) == 1


def test_every_message_has_an_id_of_its_own() -> None:
    assert message(message_id=None)["message_id"] != message(message_id=None)["message_id"]


def test_a_message_reads_back_and_unknown_fields_do_not_matter() -> None:
    read = parse_result(encode({**message(), "variant": "shadow", "score": "0.7"}))

    assert (read.thing, read.label, read.score, read.latency_ms) == ("porch", "dog", 0.7, 1.235)
    assert read.payload["variant"] == "shadow"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("thing", None),
        ("thing", ""),
        ("model_version", 3),
        ("label", []),
        ("score", "high"),
        ("score", True),
        ("score", float("nan")),
        ("latency_ms", None),
        ("image_id", 0),
        ("taken_at", "yesterday"),
        ("taken_at", "2026-11-22T18:33:54"),
        ("message_id", None),
        ("inference-results", "none"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    with pytest.raises(MessageError, match=field) as caught:
        parse_result(json.dumps({**message(), field: value}).encode())

    assert caught.value.field == field


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"{"])
def test_what_is_no_message_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="JSON"):
        parse_result(payload)


def test_a_result_too_large_for_lite_loses_its_lowest_results_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scores = {f"label {n} {'x' * 80}": 1 / (n + 2) for n in range(200)}
    large = message(scores=scores, score_threshold=0, max_results=200)

    payload = result_bytes(large)

    kept = json.loads(payload)["inference-results"]
    assert len(payload) <= MAX_MESSAGE_BYTES
    assert kept == large["inference-results"][: len(kept)]
    assert len(kept) > 40
    assert f"the {200 - len(kept)} lowest results were cut" in caplog.text


def test_a_shadow_is_cut_before_any_result_of_the_model_that_answers() -> None:
    scores = {f"label {n} {'x' * 80}": 1 / (n + 2) for n in range(40)}
    shadow = {"model_version": "1.0.7", "label": "y" * 3000, "score": 0.5, "latency_ms": 1.0}
    large = message(scores=scores, score_threshold=0, max_results=40, shadow=shadow)

    sent = json.loads(result_bytes(large))

    assert len(json.dumps(large)) > MAX_MESSAGE_BYTES >= len(json.dumps(sent))
    assert "shadow" not in sent
    assert len(sent["inference-results"]) == 40


def test_a_shadow_stands_behind_everything_that_others_read() -> None:
    shadow = {"model_version": "1.0.7", "label": "dog", "score": 0.5, "latency_ms": 1.0}

    made = message(shadow=shadow)

    assert list(made)[-2:] == ["variant", "shadow"]
    assert parse_result(encode(made)).payload["shadow"] == shadow


def test_statistics_read_back_and_too_many_labels_are_added_up() -> None:
    summary = Summary("1.0.0", "2026-11-22T18:00:00Z")
    measured = dict.fromkeys(("brightness", "contrast", "saturation", "sharpness", "entropy"), 0.5)
    for n in range(600):
        summary.add(measured, f"label {n % 400:03d} of the garden", 0.9, 2.0)
    summary.close((datetime(2026, 11, 22, 18, tzinfo=UTC) + timedelta(minutes=5)).isoformat())

    payload = statistics_bytes(statistics_message("porch", summary.to_dict(), "m1"))

    read = parse_statistics(payload)
    labels = Summary.from_dict(read.summary).labels
    assert len(payload) <= MAX_MESSAGE_BYTES
    assert (read.thing, read.message_id) == ("porch", "m1")
    assert sum(labels.values()) == 600
    assert labels["(other)"] > 0
