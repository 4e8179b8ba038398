"""Reads what a component's request says; what is missing or wrong is its InvalidArgumentsError."""

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from backends.local.nucleus.rpc import Call, OperationError
from backends.local.topics import is_topic

_UNITS = frozenset(
    ("BYTES", "BYTES_PER_SECOND", "COUNT", "COUNT_PER_SECOND", "MEGABYTES", "SECONDS")
)
_METRIC_NAME = 32


def invalid(message: str) -> OperationError:
    """The error that clients expect of a request that is wrong."""
    return OperationError("InvalidArgumentsError", message)


def read_text(call: Call, member: str, missing: str) -> str:
    value = call.body.get(member)
    if not isinstance(value, str) or not value:
        raise invalid(missing)
    return value


def read_qos(call: Call) -> int:
    qos = call.body.get("qos")
    if qos is None:
        raise invalid("QoS is required")
    if qos not in ("0", "1"):
        raise invalid(f"Invalid QoS value: {qos}")
    return int(qos)


def read_blob(holder: Mapping[str, Any], member: str, missing: str) -> bytes:
    value = holder.get(member)
    if not isinstance(value, str):
        raise invalid(missing)
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise invalid(f"{member} is not base64") from error


def read_retain(call: Call) -> bool:
    """Whether the message is to be retained; all optional members of a publish are checked.

    The others are MQTT 5's: they are taken, and MQTT 3.1.1 has no place for them.
    """
    body = call.body
    retain = body.get("retain") or False
    if not isinstance(retain, bool):
        raise invalid("retain must be true or false")
    properties = body.get("userProperties") or []
    if not isinstance(properties, list) or not all(map(_is_property, properties)):
        raise invalid("userProperties must be a list of key and value, both of them text")
    if not _is_count(body.get("messageExpiryIntervalSeconds") or 0):
        raise invalid("messageExpiryIntervalSeconds must be a whole number from 0")
    if body.get("correlationData") is not None:
        read_blob(body, "correlationData", "correlationData is not base64")
    response = body.get("responseTopic")
    if response is not None and not (isinstance(response, str) and is_topic(response)):
        raise invalid(f"responseTopic: {response!r} is no topic to publish to")
    if body.get("payloadFormat") not in (None, "0", "1"):
        raise invalid(f"Invalid payload format: {body['payloadFormat']}")
    if not isinstance(body.get("contentType") or "", str):
        raise invalid("contentType must be text")
    return retain


def _is_property(given: Any) -> bool:
    return (
        isinstance(given, dict)
        and isinstance(given.get("key"), str)
        and isinstance(given.get("value"), str)
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_number(value: Any) -> "TypeGuard[int | float]":
    """Whether it is a number, and a finite one; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_component(call: Call) -> str:
    """Whose configuration is meant: the caller's own, unless it names another."""
    name = call.body.get("componentName")
    if name is not None and not isinstance(name, str):
        raise invalid("componentName must be text")
    return name or call.component


def read_publish_message(call: Call) -> tuple[str, Any]:
    """The union's member and its message, checked."""
    message = call.body.get("publishMessage")
    if not isinstance(message, dict) or len(message) != 1:
        raise invalid("publishMessage must be either jsonMessage or binaryMessage")
    (kind, content), *_ = message.items()
    if kind == "binaryMessage" and isinstance(content, dict):
        read_blob(content, "message", "Message is required")
    elif kind != "jsonMessage" or not isinstance(content, dict) or "message" not in content:
        raise invalid("publishMessage must be either jsonMessage or binaryMessage")
    return kind, content["message"]


def read_key_path(call: Call) -> tuple[str, ...]:
    path = call.body.get("keyPath") or []
    if not isinstance(path, list) or not all(isinstance(key, str) for key in path):
        raise invalid("keyPath must be a list of strings")
    return tuple(path)


def check_metric(metric: Any) -> None:
    if not isinstance(metric, dict):
        raise invalid("a metric must be an object")
    name, unit, value = metric.get("name"), metric.get("unit"), metric.get("value")
    if not isinstance(name, str) or not 0 < len(name.encode()) <= _METRIC_NAME:
        raise invalid(f"Invalid metric name: {name}")
    if unit not in _UNITS:
        raise invalid(f"Invalid metric unit: {unit}")
    if not is_number(value) or value < 0:
        raise invalid(f"Invalid metric value: {value}")
