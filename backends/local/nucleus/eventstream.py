"""Event-stream frames, the byte layer under Greengrass IPC (vnd.amazon.eventstream), both ways.

    u32 total | u32 headers length | u32 CRC32(first 8 bytes) | headers | payload
    | u32 CRC32(everything before)

Everything is big-endian. A header is: u8 name length, name, u8 type, value.
"""

import asyncio
import struct
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

MAX_FRAME = 24 * 1024 * 1024
MAX_HEADERS = 1024
MAX_NAME = 255
MAX_VALUE = 32767
FRAME_SECONDS = 30.0
_PRELUDE = struct.Struct(">III")
_OVERHEAD = 16
_PIECE = 64 * 1024


class FrameError(Exception):
    """Bytes that are no event-stream frame; the connection cannot be read any further."""


class HeaderType(IntEnum):
    TRUE = 0
    FALSE = 1
    INT8 = 2
    INT16 = 3
    INT32 = 4
    INT64 = 5
    BYTES = 6
    STRING = 7
    TIMESTAMP = 8
    UUID = 9


_INTEGERS = {
    HeaderType.INT8: struct.Struct(">b"),
    HeaderType.INT16: struct.Struct(">h"),
    HeaderType.INT32: struct.Struct(">i"),
    HeaderType.INT64: struct.Struct(">q"),
    HeaderType.TIMESTAMP: struct.Struct(">q"),
}


@dataclass(frozen=True, slots=True)
class Header:
    """A typed value; timestamps are milliseconds since 1970."""

    type: HeaderType
    value: bool | int | bytes | str | uuid.UUID


@dataclass(frozen=True, slots=True)
class Frame:
    headers: Mapping[str, Header] = field(default_factory=dict)
    payload: bytes = b""


def text(value: str) -> Header:
    return Header(HeaderType.STRING, value)


def int32(value: int) -> Header:
    return Header(HeaderType.INT32, value)


def encode(frame: Frame, limit: int = MAX_FRAME) -> bytes:
    """The frame's bytes. Raises FrameError when a name, a value or the whole is too large."""
    if len(frame.headers) > MAX_HEADERS:
        raise FrameError(f"{len(frame.headers)} headers; at most {MAX_HEADERS} are allowed")
    headers = b"".join(_encode_header(name, header) for name, header in frame.headers.items())
    total = _OVERHEAD + len(headers) + len(frame.payload)
    if total > limit:
        raise FrameError(f"a frame of {total} bytes; at most {limit} are allowed")
    start = struct.pack(">II", total, len(headers))
    body = start + struct.pack(">I", zlib.crc32(start)) + headers + frame.payload
    return body + struct.pack(">I", zlib.crc32(body))


def _encode_header(name: str, header: Header) -> bytes:
    encoded = name.encode()
    if not 0 < len(encoded) <= MAX_NAME:
        raise FrameError(f"a header name of {len(encoded)} bytes; 1 to {MAX_NAME} are allowed")
    return bytes([len(encoded)]) + encoded + bytes([header.type]) + _encode_value(header)


def _encode_value(header: Header) -> bytes:
    value = header.value
    if header.type in (HeaderType.TRUE, HeaderType.FALSE):
        return b""
    if header.type in _INTEGERS and isinstance(value, int):
        return _INTEGERS[header.type].pack(value)
    if header.type is HeaderType.UUID and isinstance(value, uuid.UUID):
        return value.bytes
    data = value.encode() if isinstance(value, str) else value
    if not isinstance(data, bytes):
        raise FrameError(f"a header of type {header.type.name} cannot hold {value!r}")
    if len(data) > MAX_VALUE:
        raise FrameError(f"a header value of {len(data)} bytes; at most {MAX_VALUE} are allowed")
    return struct.pack(">H", len(data)) + data


def decode(data: bytes, limit: int = MAX_FRAME) -> Frame:
    """The frame in `data`, which must hold exactly one. Raises FrameError."""
    if len(data) < _OVERHEAD:
        raise FrameError(f"{len(data)} bytes are too few for a frame")
    total = _total(data[: _PRELUDE.size], limit)
    if total != len(data):
        raise FrameError(f"a frame of {total} bytes in {len(data)} bytes")
    return _decode_body(data)


class FrameReader:
    """Frames from a stream, each of `limit` bytes at most.

    One that has begun must be whole within `seconds`.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        limit: int = MAX_FRAME,
        seconds: float = FRAME_SECONDS,
    ) -> None:
        self._reader = reader
        self.limit = limit
        self._seconds = seconds
        self._held = bytearray()

    async def next(self) -> Frame | None:
        """None at a clean end of the stream. Raises FrameError, also when it is cut off."""
        frame = self._take()
        if frame is not None:
            return frame
        if not self._held and not await self._read():
            return None
        try:
            async with asyncio.timeout(self._seconds):
                while (frame := self._take()) is None:
                    if not await self._read():
                        raise FrameError("the stream ended within a frame")
        except TimeoutError as error:
            raise FrameError(f"a frame was not whole after {self._seconds:g} s") from error
        return frame

    async def _read(self) -> bool:
        piece = await self._reader.read(_PIECE)
        self._held += piece
        return bool(piece)

    def _take(self) -> Frame | None:
        """The first frame of what is held, if it is whole."""
        if len(self._held) < _PRELUDE.size:
            return None
        total = _total(self._held[: _PRELUDE.size], self.limit)
        if len(self._held) < total:
            return None
        data = bytes(self._held[:total])
        del self._held[:total]
        return _decode_body(data)


def _total(prelude: bytes | bytearray, limit: int) -> int:
    """Checks the first twelve bytes before anything is read or allocated on their word."""
    total, headers, checksum = _PRELUDE.unpack(prelude)
    if zlib.crc32(prelude[:8]) != checksum:
        raise FrameError("the checksum of the prelude is wrong")
    if not _OVERHEAD <= total <= limit:
        raise FrameError(f"a frame of {total} bytes; {_OVERHEAD} to {limit} are allowed")
    if headers > total - _OVERHEAD:
        raise FrameError(f"{headers} bytes of headers in a frame of {total} bytes")
    return int(total)


def _decode_body(data: bytes) -> Frame:
    (checksum,) = struct.unpack(">I", data[-4:])
    if zlib.crc32(data[:-4]) != checksum:
        raise FrameError("the checksum of the message is wrong")
    (length,) = struct.unpack(">I", data[4:8])
    end = _PRELUDE.size + length
    return Frame(_decode_headers(data[_PRELUDE.size : end]), data[end:-4])


def _decode_headers(data: bytes) -> dict[str, Header]:
    headers: dict[str, Header] = {}
    at = count = 0
    try:
        while at < len(data):
            name, header, at = _decode_header(data, at)
            headers[name] = header
            count += 1  # also those that come again
            if count > MAX_HEADERS:
                raise FrameError(f"more than {MAX_HEADERS} headers")
    except (IndexError, struct.error, ValueError) as error:
        raise FrameError(f"a header is malformed: {error}") from error
    return headers


def _decode_header(data: bytes, at: int) -> tuple[str, Header, int]:
    length = data[at]
    if not length:
        raise FrameError("a header without a name")
    name = _take(data, at + 1, length).decode()
    at += 1 + length
    kind = HeaderType(data[at])
    at += 1
    if kind in (HeaderType.TRUE, HeaderType.FALSE):
        return name, Header(kind, kind is HeaderType.TRUE), at
    if kind in _INTEGERS:
        (number,) = _INTEGERS[kind].unpack_from(data, at)
        return name, Header(kind, number), at + _INTEGERS[kind].size
    if kind is HeaderType.UUID:
        return name, Header(kind, uuid.UUID(bytes=_take(data, at, 16))), at + 16
    (size,) = struct.unpack_from(">H", data, at)
    if size > MAX_VALUE:
        raise FrameError(f"a header value of {size} bytes; at most {MAX_VALUE} are allowed")
    value = _take(data, at + 2, size)
    at += 2 + size
    return name, Header(kind, value.decode() if kind is HeaderType.STRING else value), at


def _take(data: bytes, at: int, size: int) -> bytes:
    piece = data[at : at + size]
    if len(piece) != size:
        raise FrameError("a header reaches beyond the headers")
    return piece
