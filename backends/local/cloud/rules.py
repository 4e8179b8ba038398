"""The topic rules: which message becomes a row of which table, and which is set aside, and why."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backends.local.topics import matches
from backends.telemetry.flattening import window_columns
from edge.contract import THING_NAME, MessageError, parse_result, parse_statistics

UNKNOWN_THING = "unknown"
MAX_PAYLOAD = 1024 * 1024

Row = dict[str, Any]


class MalformedError(ValueError):
    """A message that no rule can make a row of; says why. `kind` is what it is counted as."""

    def __init__(self, reason: str, kind: str = "malformed") -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Rule:
    """Messages that match `topic_filter` become rows of `table`."""

    table: str
    topic_filter: str
    read: Callable[[str, bytes, datetime], Row]


@dataclass(frozen=True, slots=True)
class Stored:
    """A row and where it belongs. `key` recognises a message sent twice; "": nothing does."""

    table: str
    row: Row
    key: str


def apply(topic: str, payload: bytes, received_at: datetime) -> Stored:
    """Raises MalformedError."""
    rule = next((rule for rule in RULES if matches(rule.topic_filter, topic)), None)
    if rule is None:
        raise MalformedError("no rule is for this topic", "no rule")
    if len(payload) > MAX_PAYLOAD:
        raise MalformedError(f"the message has {len(payload)} bytes; {MAX_PAYLOAD} are allowed")
    try:
        row = rule.read(topic, payload, received_at)
    except (MessageError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(str(error)) from error
    if not re.fullmatch(THING_NAME, row["thing"]):
        raise MalformedError(f"{row['thing']!r} is no thing's name", "wrong thing")
    row["received_at"] = received_at
    identifier = row.get("message_id") or ""
    key = f"{rule.table}/{row['thing']}/{identifier}" if identifier else ""
    return Stored(rule.table, row, key)


def publisher(topic: str) -> str:
    """Whose topic it is, where it says so."""
    if matches("edgeward/+/#", topic) and re.fullmatch(THING_NAME, _thing_of(topic)):
        return _thing_of(topic)
    return UNKNOWN_THING


def _result(topic: str, payload: bytes, _received_at: datetime) -> Row:
    message = _object(payload)
    if "thing" not in message:
        return _public_result(topic, message, payload)
    result = parse_result(payload)
    return {
        "thing": result.thing,
        "topic": topic,
        "image_id": result.image_id,
        "label": result.label,
        "score": result.score,
        "latency_ms": result.latency_ms,
        "model_version": result.model_version,
        "taken_at": result.taken_at,
        "message_id": result.message_id,
        "payload": payload.decode(),
    }


def _public_result(topic: str, message: Mapping[str, Any], payload: bytes) -> Row:
    """A message of AWS's own inference component: four keys, and nothing says from which thing."""
    results = message.get("inference-results")
    if not isinstance(results, list):
        raise MalformedError("inference-results: must be a list")
    best = results[0] if results and isinstance(results[0], dict) else {}
    try:
        score = float(best["Score"]) if "Score" in best else None
    except (TypeError, ValueError) as error:
        raise MalformedError(f"inference-results: Score: {error}") from error
    return {
        "thing": UNKNOWN_THING,
        "topic": topic,
        "label": str(best["Label"]) if "Label" in best else None,
        "score": score,
        "payload": payload.decode(),
    }


def _statistics(topic: str, payload: bytes, received_at: datetime) -> Row:
    message = parse_statistics(payload)
    thing = _thing_of(topic)
    if message.thing != thing:
        raise MalformedError(f"thing: {message.thing!r} publishes as {thing!r}", "wrong thing")
    return {
        **window_columns(message.summary, received_at),
        "thing": thing,
        "message_id": message.message_id,
        "payload": payload.decode(),
    }


def _event(topic: str, payload: bytes, _received_at: datetime) -> Row:
    message = _object(payload)
    return {
        "thing": _thing_of(topic),
        "topic": topic,
        "message_id": _text(message, "message_id"),
        "payload": payload.decode(),
    }


def _thing_of(topic: str) -> str:
    return topic.split("/")[1]


def _text(message: Mapping[str, Any], key: str) -> str | None:
    value = message.get(key)
    return value if isinstance(value, str) else None


def _object(payload: bytes) -> dict[str, Any]:
    try:
        message = json.loads(payload)
    except ValueError as error:
        raise MalformedError(f"is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise MalformedError("is not a JSON object")
    return message


RULES = (
    Rule("results", "ml/#", _result),
    Rule("statistics", "edgeward/+/statistics", _statistics),
    Rule("heartbeats", "edgeward/+/heartbeat", _event),
    Rule("alerts", "edgeward/+/alerts", _event),
)
