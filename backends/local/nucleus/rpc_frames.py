"""What the RPC layer's frames say: kinds of messages, flags, and the headers that each has.

Names of headers are compared whatever their case, as the client does.
"""

from enum import IntEnum
from typing import Any

from backends.json_text import parse_json
from backends.local.nucleus.eventstream import Frame, Header, HeaderType


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
        header = _header(frame, name)
        if header is None or header.type is not HeaderType.INT32:
            raise ProtocolError(f"header {name} is missing or no int32")
        values.append(int(header.value))
    try:
        return MessageType(values[0]), values[1], values[2]
    except ValueError as error:
        raise ProtocolError(f"message type {values[0]} does not exist") from error


def string(frame: Frame, name: str) -> str:
    """A header's text; empty where there is none."""
    header = _header(frame, name)
    return header.value if header is not None and isinstance(header.value, str) else ""


def json_object(payload: bytes) -> dict[str, Any]:
    """A payload as an object; an empty one is an empty object. Raises ValueError."""
    value = parse_json(payload or b"{}")
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - as json.loads does
    return value


def _header(frame: Frame, name: str) -> Header | None:
    found = frame.headers.get(name)
    if found is not None:
        return found
    return next((held for other, held in frame.headers.items() if other.lower() == name), None)
