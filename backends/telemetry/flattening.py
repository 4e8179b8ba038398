"""A summary of a device as columns, and back: exactly, for both hold whole millionths."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from backends.telemetry.schema import MILLIONTHS, SUMMARY_COLUMNS, WINDOWS
from edge.contract import RESULTS_TOPIC, MessageError, parse_result
from edge.distinct import DistinctPictures
from edge.fields import read_instant
from edge.statistics import FEATURES, Distribution, Summary

MOST_PICTURES = 2**22
"""Of one window: 4 million. Sums of 100,000 such windows still fit a column's 64 bits."""
AHEAD = timedelta(days=1)
"""A window from so far in the future is no window: the device's clock is wrong."""
BEHIND = timedelta(days=400)
"""Nor is one that ended so long before it arrived: no device keeps a message as long."""

Row = dict[str, Any]


def flatten(summary: Summary) -> Row:
    """The columns of a summary. Raises ValueError for a figure that no window can have."""
    row: Row = {"count": summary.count, "unreadable": summary.unreadable}
    for name in FEATURES:
        bins, total, squares, low, high = summary.features[name].parts()
        if squares > (summary.count + 1) * 1_000_000:  # each is at most 1
            raise ValueError(f"features.{name}.sum_squares: does not fit count")
        row[f"{name}_bins"] = bins
        row[f"{name}_sum{MILLIONTHS}"] = total
        row[f"{name}_squares{MILLIONTHS}"] = squares
        row[f"{name}_low{MILLIONTHS}"] = low
        row[f"{name}_high{MILLIONTHS}"] = high
    row["latency_bins"] = list(summary.latency_bins)
    row["labels"] = sorted(summary.labels.items())
    row["seen_bits"] = summary.seen.bits()
    row["seen_unnamed"] = summary.seen.unnamed
    for name in ("count", "unreadable", "seen_unnamed"):
        if row[name] > MOST_PICTURES:
            raise ValueError(f"{name}: a window has at most {MOST_PICTURES} pictures")
    return row


def summary_of(row: Mapping[str, Any]) -> Summary:
    """What `flatten` was given, of a row of WINDOWS that has no problem."""
    summary = Summary(row["model_version"], row["window_start"], row["window_end"])
    summary.count, summary.unreadable = row["count"], row["unreadable"]
    for name in FEATURES:
        summary.features[name] = Distribution.of_parts(
            list(row[f"{name}_bins"]),
            row[f"{name}_sum{MILLIONTHS}"],
            row[f"{name}_squares{MILLIONTHS}"],
            row[f"{name}_low{MILLIONTHS}"],
            row[f"{name}_high{MILLIONTHS}"],
        )
    summary.latency_bins = list(row["latency_bins"])
    summary.labels = dict(row["labels"])
    summary.seen = DistinctPictures.of_bits(row["seen_bits"], row["seen_unnamed"])
    return summary


def window_columns(document: Any, received_at: datetime) -> Row:
    """Everything of WINDOWS but the message's own; `problem` says why it counts for nothing.

    `document` is the message without `thing` and `message_id`.
    """
    try:
        summary = Summary.from_dict(document)
        _check_clock(summary.end, received_at)
        row = flatten(summary)
    except ValueError as error:
        row = {**_named(document), "problem": str(error)}
    else:
        row |= {
            "model_version": summary.model_version,
            "window_start": summary.start,
            "window_end": summary.end,
            "problem": None,
        }
    return row


def window_of_payload(payload: str, thing: str, received_at: datetime) -> Row:
    """A row of WINDOWS, of a message as it was stored: of a file without these columns."""
    base = {"received_at": received_at, "message_id": _identifier(payload)}
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return {**base, "problem": "payload: is not JSON"}
    if not isinstance(document, dict):
        return {**base, "problem": "payload: is not a JSON object"}
    if document.get("thing", thing) != thing:
        return {**base, "problem": "thing: is not the thing that it was stored for"}
    body = {key: value for key, value in document.items() if key not in ("thing", "message_id")}
    return {**window_columns(body, received_at), **base}


def result_of_payload(payload: str, _thing: str, received_at: datetime) -> Row:
    """A row of `results`, of a message as it was stored; of another's, the message alone."""
    base: Row = {"received_at": received_at, "message_id": _identifier(payload)}
    try:
        result = parse_result(payload.encode())
    except (MessageError, RecursionError):
        return base
    told = ("image_id", "label", "score", "latency_ms", "model_version", "taken_at")
    return {**base, "topic": RESULTS_TOPIC, **{name: getattr(result, name) for name in told}}


def windows_table(rows: Sequence[Row]) -> Any:
    """Rows of WINDOWS as an Arrow table."""
    return pa.Table.from_pylist(list(rows), schema=WINDOWS)


def summary_names() -> tuple[str, ...]:
    """The names of what a summary becomes."""
    return tuple(column.name for column in SUMMARY_COLUMNS)


def _check_clock(end: str, received_at: datetime) -> None:
    late = received_at - datetime.fromisoformat(end)
    if late < -AHEAD:
        raise ValueError("window.end: a day or more after its arrival: the clock is ahead")
    if late > BEHIND:
        raise ValueError(f"window.end: over {BEHIND.days} days before its arrival: a wrong clock")


def _identifier(payload: str) -> str:
    """A message's own id, or a digest where it has none."""
    try:
        own = json.loads(payload)["message_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        own = None
    return own if isinstance(own, str) else hashlib.sha256(payload.encode()).hexdigest()[:32]


def _named(document: Any) -> Row:
    """What a broken message still says: which model, and when."""
    known = document if isinstance(document, dict) else {}
    window = known.get("window")
    window = window if isinstance(window, dict) else {}
    return {
        "model_version": _text(known.get("model_version")),
        "window_start": _text(window.get("start")),
        "window_end": _text(window.get("end")),
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def moment(text: object) -> datetime | None:
    """An instant of a device or an old file; None: it is none."""
    if isinstance(text, datetime):
        return text if text.tzinfo else text.replace(tzinfo=UTC)
    try:
        return datetime.fromisoformat(read_instant(text, "moment"))
    except ValueError:
        return None
