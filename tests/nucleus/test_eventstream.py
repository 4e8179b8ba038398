"""Frames are the wire: one wrong byte and no component can talk to the device."""

import asyncio
import struct
import uuid
import zlib

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.local.nucleus.eventstream import (
    Frame,
    FrameError,
    FrameReader,
    Header,
    HeaderType,
    decode,
    encode,
    int32,
    text,
)

CONNECT = bytes.fromhex(
    "0000006c0000004841e78c87083a76657273696f6e070005302e312e300d3a6d6573736167652d74797065040000"
    "00040e3a6d6573736167652d666c61677304000000000a3a73747265616d2d696404000000007b2261757468546f"
    "6b656e223a2022544f4b227d18fbe912"
)
CONNECT_ACK = bytes.fromhex(
    "0000004700000037374cfe3f0d3a6d6573736167652d7479706504000000050e3a6d6573736167652d666c616773"
    "04000000010a3a73747265616d2d69640400000000e237e27d"
)


def protocol(kind: int, flags: int, stream: int) -> dict[str, Header]:
    return {
        ":message-type": int32(kind),
        ":message-flags": int32(flags),
        ":stream-id": int32(stream),
    }


def test_the_connect_frame_of_the_aws_client_is_encoded_byte_for_byte() -> None:
    frame = Frame({":version": text("0.1.0"), **protocol(4, 0, 0)}, b'{"authToken": "TOK"}')

    assert encode(frame) == CONNECT
    assert decode(CONNECT) == frame


def test_the_connect_ack_frame_is_encoded_byte_for_byte() -> None:
    frame = Frame(protocol(5, 1, 0))

    assert encode(frame) == CONNECT_ACK
    assert decode(CONNECT_ACK) == frame


def integers(kind: HeaderType, bits: int) -> st.SearchStrategy[Header]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).map(lambda n: Header(kind, n))


HEADERS = st.one_of(
    st.just(Header(HeaderType.TRUE, True)),
    st.just(Header(HeaderType.FALSE, False)),
    integers(HeaderType.INT8, 8),
    integers(HeaderType.INT16, 16),
    integers(HeaderType.INT32, 32),
    integers(HeaderType.INT64, 64),
    integers(HeaderType.TIMESTAMP, 64),
    st.binary(max_size=300).map(lambda b: Header(HeaderType.BYTES, b)),
    st.text(max_size=80).map(lambda t: Header(HeaderType.STRING, t)),
    st.uuids().map(lambda u: Header(HeaderType.UUID, u)),
)
FRAMES = st.builds(
    Frame,
    st.dictionaries(st.text(min_size=1, max_size=40), HEADERS, max_size=6),
    st.binary(max_size=500),
)


@given(FRAMES)
@settings(deadline=None)
def test_any_frame_survives_the_wire_and_botocore_reads_the_same(frame: Frame) -> None:
    data = encode(frame)

    assert decode(data) == frame
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    (message,) = list(buffer)
    assert message.payload == frame.payload
    expected = {
        name: header.value.bytes if isinstance(header.value, uuid.UUID) else header.value
        for name, header in frame.headers.items()
    }
    assert message.headers == expected


@given(FRAMES, st.data())
@settings(deadline=None)
def test_a_damaged_frame_is_refused_and_never_misread(frame: Frame, data: st.DataObject) -> None:
    good = bytearray(encode(frame))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] ^= data.draw(st.integers(1, 255))

    with pytest.raises(FrameError):
        decode(bytes(good))


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_noise_is_refused_with_a_frame_error(noise: bytes) -> None:
    with pytest.raises(FrameError):
        decode(noise)


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_noise_as_headers_with_right_checksums_is_refused_or_read_never_a_crash(
    headers: bytes,
) -> None:
    start = struct.pack(">II", 16 + len(headers), len(headers))
    body = start + struct.pack(">I", zlib.crc32(start)) + headers
    data = body + struct.pack(">I", zlib.crc32(body))

    try:
        frame = decode(data)
    except FrameError:
        return
    assert frame.payload == b""


def test_a_frame_that_claims_to_be_huge_is_refused_before_it_is_read() -> None:
    start = struct.pack(">II", 2**32 - 1, 0)

    with pytest.raises(FrameError, match="4294967295 bytes"):
        asyncio.run(read_from(start + struct.pack(">I", zlib.crc32(start))))


def test_a_stream_that_ends_within_a_frame_is_told_from_one_that_ends_after_it() -> None:
    with pytest.raises(FrameError, match="ended within"):
        asyncio.run(read_from(CONNECT[:50]))

    assert asyncio.run(read_from(CONNECT)) == [decode(CONNECT)]


@pytest.mark.parametrize(
    "frame",
    [
        Frame({"n" * 256: text("")}),
        Frame({"": text("")}),
        Frame({"n": text("v" * 32768)}),
        Frame({str(n): text("") for n in range(1025)}),
        Frame({}, b"p" * (24 * 1024 * 1024)),
    ],
    ids=["long name", "no name", "long value", "many headers", "large payload"],
)
def test_what_the_peer_would_refuse_is_not_sent(frame: Frame) -> None:
    with pytest.raises(FrameError):
        encode(frame)


async def read_from(data: bytes) -> list[Frame]:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    frames = []
    source = FrameReader(reader)
    while (frame := await source.next()) is not None:
        frames.append(frame)
    return frames
