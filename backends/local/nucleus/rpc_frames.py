"""What the RPC layer's frames say: kinds of messages, flags, and the headers that each has."""

import json
from enum import IntEnum
from typing import Any

from backends.local.nucleus.eventstream import Frame, HeaderType


class MessageType(IntEnum):
    APPLICATION_MESSAGE = 0
    APPLICATION_ERROR = 1
    PING = 2
    PING_RESPONSE = 3
    CONNECT = 4
    CONNECT_ACK = 5
    PROTOCOL_ERROR = 6
    INTERNAL_ERROR = 7


CONNECTION_ACCEPTED = 1
TERMINATE_STREAM = 2


class ProtocolError(Exception):
    """The peer broke a rule of the RPC layer; the connection ends."""


def protocol_headers(frame: Frame) -> tuple[MessageType, int, int]:
    """(kind, flags, stream) of a frame. Raises ProtocolError."""
    values: list[int] = []
    for name in (":message-type", ":message-flags", ":stream-id"):
        header = frame.headers.get(name)
        if header is None or header.type is not HeaderType.INT32:
            raise ProtocolError(f"header {name} is missing or no int32")
        values.append(int(header.value))
    try:
        return MessageType(values[0]), values[1], values[2]
    except ValueError as error:
        raise ProtocolError(f"message type {values[0]} does not exist") from error


def string(frame: Frame, name: str) -> str:
    """A header's text; empty where there is none."""
    header = frame.headers.get(name)
    return header.value if header is not None and isinstance(header.value, str) else ""


def json_object(payload: bytes) -> dict[str, Any]:
    """A payload as an object; an empty one is an empty object. Raises ValueError."""
    value = json.loads(payload or b"{}")
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - as json.loads does
    return value
