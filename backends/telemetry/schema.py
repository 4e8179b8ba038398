"""The tables of what devices report: every column, its type and what it means.

Rows lie in `<table>/date=YYYY-MM-DD/thing=NAME/*.parquet`. `thing` is in the folder's name alone,
so that a folder can be read as one table: a column of a file and a part of its path must not have
the same name.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from edge.distinct import BITS
from edge.statistics import BINS, FEATURES, LATENCY_BOUNDS_MS

THING = "thing"
DATE = "date"
MILLIONTHS = "_e6"
"""Ends the names of whole millionths: sums of them are exact, in whatever order."""

_TIME = pa.timestamp("us", tz="UTC")
_COUNT = pa.int64()
_BINS = pa.list_(pa.int32(), BINS)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, and what it means."""

    name: str
    type: Any
    meaning: str


def _text(name: str, meaning: str) -> Column:
    return Column(name, pa.string(), meaning)


_THING = _text(THING, "the device; in the folder's name")
_TOPIC = _text("topic", "of the message")
_ENDS = (
    Column("received_at", _TIME, "when it arrived"),
    _text("message_id", "the device's own name of the message; null: it has none"),
    _text("payload", "the message as it came (JSON)"),
)


def _of_feature(name: str) -> tuple[Column, ...]:
    return (
        Column(f"{name}_bins", _BINS, f"pictures by {name}: {BINS} equal bins over 0 to 1"),
        Column(f"{name}_sum{MILLIONTHS}", _COUNT, f"sum of {name}, in millionths"),
        Column(f"{name}_squares{MILLIONTHS}", _COUNT, "sum of its squares, in millionths"),
        Column(f"{name}_low{MILLIONTHS}", _COUNT, "its least value; null: no picture"),
        Column(f"{name}_high{MILLIONTHS}", _COUNT, "its greatest value; null: no picture"),
    )


SUMMARY_COLUMNS = (
    Column("count", _COUNT, "pictures of the window"),
    Column("unreadable", _COUNT, "pictures that could not be decoded"),
    *(column for name in FEATURES for column in _of_feature(name)),
    Column(
        "latency_bins",
        pa.list_(pa.int32(), len(LATENCY_BOUNDS_MS) + 1),
        f"answers by time: {len(LATENCY_BOUNDS_MS) + 1} bins, a factor of 1.78 each, from 0.1 ms",
    ),
    Column("labels", pa.map_(pa.string(), pa.int32()), "how often each label was the best"),
    Column("seen_bits", pa.binary(BITS // 8), "sketch of the different pictures' names"),
    Column("seen_unnamed", _COUNT, "pictures without a name"),
)
"""What a summary of edge.statistics becomes; null in a row that has a `problem`."""

TABLES: dict[str, tuple[Column, ...]] = {
    "results": (
        _THING,
        _TOPIC,
        _text("image_id", "SHA-256 of the picture"),
        _text("label", "best label"),
        _text("model_version", "of the model that answered"),
        _text("taken_at", "when the device took the picture, by its clock"),
        Column("score", pa.float64(), "of the best label, 0 to 1"),
        Column("latency_ms", pa.float64(), "how long the model took"),
        *_ENDS,
    ),
    "statistics": (
        _THING,
        _text("model_version", "of the model that answered"),
        _text("window_start", "by the device's clock, UTC"),
        _text("window_end", "by the device's clock, UTC"),
        _text("problem", "why the message counts for nothing; null: it counts"),
        *SUMMARY_COLUMNS,
        *_ENDS,
    ),
    "heartbeats": (_THING, _TOPIC, *_ENDS),
    "alerts": (_THING, _TOPIC, *_ENDS),
}

SCHEMAS: dict[str, Any] = {
    table: pa.schema([(column.name, column.type) for column in columns])
    for table, columns in TABLES.items()
}

WINDOWS = pa.schema(
    [field for field in SCHEMAS["statistics"] if field.name not in {THING, "payload"}]
)
"""What the monitor reads of `statistics`: columns, and no JSON."""


def in_file(schema: Any) -> Any:
    """A table's schema as its files have it."""
    return schema.remove(schema.get_field_index(THING))
