"""The messages a device sends: built and read in one place. Standard library only.

The result message is the one of AWS's public component `aws.greengrass.DLRImageClassification`
(keys, order and formats), followed by fields of our own.
"""

from __future__ import annotations

import contextlib
import json
import math
import struct
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Dict, Mapping, Optional


class MessageError(ValueError):
    """A message is not what the contract says; `field` is the one that is wrong."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


@dataclass(frozen=True)
class Result:
    """A result message as read. `taken_at` is UTC, ISO 8601; `payload` the whole message."""

    thing: str
    model_version: str
    label: str
    score: float
    image_id: str
    latency_ms: float
    taken_at: str
    message_id: str
    payload: Dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Statistics:
    """A statistics message as read."""

    thing: str
    message_id: str
    summary: Dict[str, Any]


def new_message_id() -> str:
    """A new id, by which a receiver recognises a message that was sent twice."""
    return uuid.uuid4().hex


def utc_text(moment: datetime) -> str:
    """`moment` (aware) in UTC as ISO 8601 with microseconds, e.g. 2026-11-22T18:33:54.000000Z."""
    utc = moment.astimezone(timezone.utc).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds") + "Z"


def result_message(
    *,
    thing: str,
    model_version: str,
    scores: Mapping[str, float],
    score_threshold: float,
    max_results: int,
    image_id: str,
    latency_ms: float,
    taken_at: datetime,
    message_id: Optional[str] = None,
    variant: str = "champion",
    shadow: Optional[Mapping[str, Any]] = None,
) -> Dict[str, Any]:
    """The message for one classified picture; the first four keys are AWS's, in AWS's order.

    `scores` holds the probability of every label. `inference-results` has the `max_results` best
    that reach `score_threshold`; `label` and `score` are the best one, whatever it reached.
    `taken_at` must be aware; AWS's `timestamp` is the same moment in naive local time.
    `variant` says which of two models answered, `shadow` what the other says to the same picture.
    """
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    label, score = ranked[0]
    message: Dict[str, Any] = {
        "timestamp": str(taken_at.astimezone().replace(tzinfo=None)),
        "inference-type": "image-classification",
        "inference-description": (
            f"Top {max_results} predictions with score {score_threshold} or above "
        ),
        "inference-results": [
            {"Label": name, "Score": _float32_text(value)}
            for name, value in ranked[:max_results]
            if value >= score_threshold
        ],
        "thing": thing,
        "model_version": model_version,
        "label": label,
        "score": float(_float32_text(score)),
        "image_id": image_id,
        "latency_ms": round(latency_ms, 3),
        "taken_at": utc_text(taken_at),
        "message_id": message_id or new_message_id(),
        "variant": variant,
    }
    if shadow is not None:
        message["shadow"] = dict(shadow)
    return message


def encode(message: Mapping[str, Any]) -> bytes:
    """The bytes that are published: JSON as `json.dumps` writes it by default, UTF-8."""
    return json.dumps(message).encode()


def parse_result(payload: bytes) -> Result:
    """Read a result message; keys that we do not know are kept, numbers may be texts.

    Raises MessageError (a ValueError) that names the field which is missing or wrong.
    """
    message = _object(payload)
    if not isinstance(message.get("inference-results"), list):
        raise MessageError("inference-results", "must be a list")
    return Result(
        thing=_text(message, "thing"),
        model_version=_text(message, "model_version"),
        label=_text(message, "label"),
        score=_number(message, "score"),
        image_id=_text(message, "image_id"),
        latency_ms=_number(message, "latency_ms"),
        taken_at=_moment(message, "taken_at"),
        message_id=_text(message, "message_id"),
        payload=message,
    )


def statistics_message(
    thing: str, summary: Mapping[str, Any], message_id: Optional[str] = None
) -> Dict[str, Any]:
    """The message for one window: `summary` is what `edge.statistics.Summary.to_dict` gives."""
    return {"thing": thing, "message_id": message_id or new_message_id(), **summary}


def parse_statistics(payload: bytes) -> Statistics:
    """Read a statistics message; its `summary` is for `edge.statistics.Summary.from_dict`.

    Raises MessageError (a ValueError) that names the field which is missing or wrong.
    """
    summary = _object(payload)
    thing, message_id = _text(summary, "thing"), _text(summary, "message_id")
    del summary["thing"], summary["message_id"]
    return Statistics(thing, message_id, summary)


def _object(payload: bytes) -> Dict[str, Any]:
    try:
        message = json.loads(payload)
    except ValueError as error:
        raise MessageError("message", f"is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise MessageError("message", "is not a JSON object")
    return message


def _text(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str) or not value:
        raise MessageError(name, f"must be a text, not {value!r}")
    return value


def _number(message: Mapping[str, Any], name: str) -> float:
    value = message.get(name)
    number = math.nan
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            number = float(value)
    if not math.isfinite(number):
        raise MessageError(name, f"must be a finite number, not {value!r}")
    return number


def _moment(message: Mapping[str, Any], name: str) -> str:
    value = _text(message, name)
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise MessageError(name, f"must be a time in ISO 8601, not {value!r}") from None
    if moment.tzinfo is None:
        raise MessageError(name, f"must say its zone, as {value!r} does not")
    return value


def _float32_text(value: float) -> str:
    """The shortest decimal that names the same float32: what `str(numpy.float32(value))` gives."""
    single = struct.pack("f", value)
    for digits in range(1, 10):
        text = format(value, f".{digits}g")
        if struct.pack("f", float(text)) == single:
            return repr(float(text))
    return repr(value)
