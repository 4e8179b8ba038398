"""Clients that break the rules, or hold what they can: none may cost the others their device."""

import asyncio
import contextlib
import json
import struct
import threading
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from backends.local.nucleus.eventstream import Frame, FrameReader, encode, int32, text
from backends.local.nucleus.ipc import IpcServer, Tokens
from backends.local.nucleus.rpc import Call, Limits, Operation
from tests.fakes.core_device import CoreDevice
from tests.nucleus.test_golden_frames import GET
from tests.nucleus.test_ipc import COMPONENT, CONFIGURATION, RawClient, client_of, kind_of

PROTOCOL_ERROR = 6
SUBSCRIBE_TO_TOPIC = "aws.greengrass#SubscribeToTopic"


def with_checksums(headers: bytes, payload: bytes = b"{}") -> bytes:
    start = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = start + struct.pack(">I", zlib.crc32(start)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def header(name: bytes, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name + bytes([kind]) + value


PROTOCOL = b"".join(
    header(name, 4, struct.pack(">i", value))
    for name, value in ((b":message-type", 0), (b":message-flags", 0), (b":stream-id", 1))
)
MALFORMED = {
    "wrong checksum of the prelude": GET[:8] + b"\0\0\0\0" + GET[12:],
    "wrong checksum of the message": GET[:-1] + bytes([GET[-1] ^ 1]),
    "claims 4 GB": (huge := struct.pack(">II", 2**32 - 1, 0)) + struct.pack(">I", zlib.crc32(huge)),
    "smaller than a frame": (tiny := struct.pack(">II", 15, 0))
    + struct.pack(">I", zlib.crc32(tiny)),
    "1025 headers": with_checksums(
        PROTOCOL + b"".join(header(b"h%d" % n, 0, b"") for n in range(1022))
    ),
    "one header 1025 times": with_checksums(PROTOCOL + header(b"h", 0, b"") * 1022),
    "a header without a name": with_checksums(PROTOCOL + header(b"", 0, b"")),
    "a value of 32768 bytes": with_checksums(
        PROTOCOL + header(b"h", 7, struct.pack(">H", 32768) + b"v" * 32768)
    ),
    "a value beyond the headers": with_checksums(
        PROTOCOL + header(b"h", 7, struct.pack(">H", 100) + b"v")
    ),
    "a header of no type": with_checksums(PROTOCOL + header(b"h", 10, b"")),
    "a name that is no text": with_checksums(PROTOCOL + header(b"\xff", 0, b"")),
    "no protocol headers": with_checksums(b""),
    "a stream id of another type": with_checksums(
        PROTOCOL.replace(b":stream-id\x04\0\0\0\x01", b":stream-id\x02\x01")
    ),
}


@pytest.mark.parametrize("bytes_", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_frame_ends_its_own_connection_and_no_other(
    bytes_: bytes, tmp_path: Path
) -> None:
    with CoreDevice(tmp_path, COMPONENT, CONFIGURATION) as device:
        other = client_of(device)
        with RawClient(device) as raw:
            raw.connect()
            raw.socket.sendall(bytes_)

            assert kind_of(raw.read()) == PROTOCOL_ERROR
            assert raw.closed()
        assert other.get_configuration(key_path=["InferenceInterval"]).value
        other.close()


@pytest.mark.parametrize("payload", [b"[" * 100_000, b'{"a": NaN}', b"\xff", b'{"keyPath": 1}'])
def test_a_payload_that_no_request_has_is_an_invalid_argument(
    payload: bytes, tmp_path: Path
) -> None:
    with CoreDevice(tmp_path, COMPONENT, CONFIGURATION) as device, RawClient(device) as raw:
        raw.connect()
        raw.send(0, 0, 1, payload, operation="aws.greengrass#GetConfiguration")

        assert json.loads(raw.read().payload)["_errorCode"] == "InvalidArgumentsError"


def test_a_handshake_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    with CoreDevice(tmp_path, COMPONENT, CONFIGURATION) as device, RawClient(device) as raw:
        raw.send(4, 0, 0, b"[" * 100_000, _version="0.1.0")

        assert raw.read().headers[":message-flags"].value == 0


HASTY = Limits(handshake_seconds=0.3, frame_seconds=0.3)


def test_whoever_connects_and_says_nothing_is_disconnected(tmp_path: Path) -> None:
    with (
        CoreDevice(tmp_path, COMPONENT, CONFIGURATION, limits=HASTY) as device,
        RawClient(device) as silent,
        RawClient(device) as half,
    ):
        half.socket.sendall(GET[:20])

        assert silent.closed()
        assert half.closed()


def test_whoever_stops_within_a_frame_is_disconnected_and_the_idle_are_not(tmp_path: Path) -> None:
    with (
        CoreDevice(tmp_path, COMPONENT, CONFIGURATION, limits=HASTY) as device,
        RawClient(device) as idle,
        RawClient(device) as stuck,
        RawClient(device) as slow,
    ):
        for client in (idle, stuck, slow):
            client.connect()
        stuck.socket.sendall(GET[:-1])
        trickle = threading.Thread(target=_trickle, args=(slow, GET))
        trickle.start()

        assert kind_of(stuck.read()) == PROTOCOL_ERROR
        assert kind_of(slow.read()) == PROTOCOL_ERROR
        trickle.join()
        idle.socket.sendall(GET)
        assert kind_of(idle.read()) == 1  # the key is not there, the connection is


def _trickle(client: RawClient, data: bytes) -> None:
    """A byte at a time, without end: progress is no excuse."""
    with contextlib.suppress(OSError):
        for byte in data:
            client.socket.sendall(bytes([byte]))
            time.sleep(0.02)


def test_a_flood_of_subscriptions_is_refused_and_the_first_ones_work_on(tmp_path: Path) -> None:
    limits = Limits(streams=50)
    with (
        CoreDevice(tmp_path, COMPONENT, CONFIGURATION, limits=limits) as device,
        RawClient(device) as raw,
    ):
        raw.connect()
        for number in range(1, 81):
            raw.send(0, 0, number, b'{"topic": "local/a"}', operation=SUBSCRIBE_TO_TOPIC)
        answers = [raw.read() for _ in range(80)]
        raw.send(0, 2, 1)
        raw.send(0, 0, 81, b'{"topic": "local/a"}', operation=SUBSCRIBE_TO_TOPIC)
        again = raw.read()

    refused = [json.loads(a.payload)["_errorCode"] for a in answers if kind_of(a) == 1]
    assert refused == ["ServiceError"] * 30
    assert kind_of(again) == 0


def test_requests_that_wait_are_bounded_and_all_are_answered_in_the_end(tmp_path: Path) -> None:
    started: list[int] = []
    release = asyncio.Event()

    async def slow(call: Call) -> Mapping[str, Any]:
        started.append(int(call.body["number"]))
        await release.wait()
        return {}

    async def play() -> tuple[list[int], list[Any]]:
        tokens = Tokens()
        operations = {"aws.greengrass#Slow": Operation(slow)}
        server = IpcServer(tmp_path, tokens, operations, limits=Limits(waiting=5))
        await server.start()
        reader, writer = await asyncio.open_unix_connection(server.path)
        frames = FrameReader(reader)
        token = {"authToken": tokens.issue("app")}
        writer.write(request(4, 0, token, **{":version": "0.1.0"}))
        await frames.next()
        for number in range(1, 41):
            writer.write(request(0, number, {"number": number}, operation="aws.greengrass#Slow"))
        async with asyncio.timeout(10):
            while len(started) < 5:
                await asyncio.sleep(0)
        for _ in range(100):  # whatever could still happen, happens
            await asyncio.sleep(0)
        before = list(started)
        release.set()
        answers = [await frames.next() for _ in range(40)]
        answered = [frame.headers[":stream-id"].value for frame in answers if frame]
        writer.close()
        await server.stop()
        return before, answered

    before, answered = asyncio.run(play())

    assert before == [1, 2, 3, 4, 5]
    assert answered == list(range(1, 41))


def request(kind: int, stream: int, body: object, **headers: str) -> bytes:
    given = {name: text(value) for name, value in headers.items()}
    given |= {":message-type": int32(kind), ":message-flags": int32(0)}
    return encode(Frame(given | {":stream-id": int32(stream)}, json.dumps(body).encode()))


def test_whoever_never_reads_is_disconnected_before_it_fills_the_memory(tmp_path: Path) -> None:
    limits = Limits(unread=1_000_000)
    with (
        CoreDevice(tmp_path, COMPONENT, CONFIGURATION, limits=limits) as device,
        RawClient(device) as deaf,
        RawClient(device) as talker,
    ):
        for client in (deaf, talker):
            client.connect()
        deaf.send(0, 0, 1, b'{"topic": "local/a"}', operation=SUBSCRIBE_TO_TOPIC)
        deaf.read()
        message = {"jsonMessage": {"message": {"text": "x" * 100_000}}}
        body = json.dumps({"topic": "local/a", "publishMessage": message}).encode()
        for number in range(1, 31):
            talker.send(0, 0, number, body, operation="aws.greengrass#PublishToTopic")
            assert kind_of(talker.read()) == 0

        received = 0
        with contextlib.suppress(ConnectionError):
            while piece := deaf.socket.recv(1 << 20):
                received += len(piece)
        assert received < 2_500_000  # of three million, and what the socket itself holds


def test_more_clients_than_the_device_serves_are_turned_away_and_the_others_served(
    tmp_path: Path,
) -> None:
    limits = Limits(connections=3)
    with (
        CoreDevice(tmp_path, COMPONENT, CONFIGURATION, limits=limits) as device,
        RawClient(device) as one,
        RawClient(device) as two,
        RawClient(device) as three,
    ):
        for client in (one, two, three):
            client.connect()
        with RawClient(device) as fourth:
            assert fourth.closed()
        three.send(2, 0, 0, b"still there?")
        assert three.read().payload == b"still there?"


def connect_frame(payload: bytes) -> bytes:
    given = {":message-type": int32(4), ":message-flags": int32(0), ":stream-id": int32(0)}
    return encode(Frame({**given, ":version": text("0.1.0")}, payload))


def test_before_it_has_said_who_it_is_a_client_may_send_little(tmp_path: Path) -> None:
    with CoreDevice(tmp_path, COMPONENT, CONFIGURATION) as device, RawClient(device) as raw:
        token = f'"authToken": "{device.environment["SVCUID"]}"'
        raw.socket.sendall(connect_frame(f'{{{token}, "x": "{"x" * 70_000}"}}'.encode())[:66_000])

        assert kind_of(raw.read()) == PROTOCOL_ERROR
        assert raw.closed()

        with RawClient(device) as known:
            known.connect()
            known.send(2, 0, 0, b"x" * 200_000)
            assert len(known.read().payload) == 200_000


def test_strangers_make_room_for_each_other_and_never_for_components(tmp_path: Path) -> None:
    limits = Limits(strangers=3)
    with (
        CoreDevice(tmp_path, COMPONENT, CONFIGURATION, limits=limits) as device,
        contextlib.ExitStack() as clients,
    ):
        known = clients.enter_context(RawClient(device))
        known.connect()
        silent = [clients.enter_context(RawClient(device)) for _ in range(5)]

        assert [client.closed() for client in silent[:2]] == [True, True]
        late = clients.enter_context(RawClient(device))
        assert late.connect().headers[":message-flags"].value == 1
        known.send(2, 0, 0, b"still there?")
        assert known.read().payload == b"still there?"


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5])
def test_a_stream_that_does_not_begin_with_a_request_is_a_protocol_error(
    kind: int, tmp_path: Path
) -> None:
    with CoreDevice(tmp_path, COMPONENT, CONFIGURATION) as device, RawClient(device) as raw:
        raw.connect()
        raw.send(kind, 0, 1, b"{}", operation="aws.greengrass#GetConfiguration")

        assert kind_of(raw.read()) == PROTOCOL_ERROR
        assert raw.closed()


def test_a_subscription_that_is_ended_before_it_is_answered_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    ended: list[str] = []
    begin = asyncio.Event()

    async def subscribe(call: Call) -> Mapping[str, Any]:
        await begin.wait()
        call.stream.on_close(lambda: ended.append("ended"))
        call.stream.event("aws.greengrass#Event", {})
        return {}

    async def play() -> list[Frame | None]:
        tokens = Tokens()
        operations = {"aws.greengrass#Subscribe": Operation(subscribe, subscribes=True)}
        server = IpcServer(tmp_path, tokens, operations)
        await server.start()
        reader, writer = await asyncio.open_unix_connection(server.path)
        frames = FrameReader(reader)
        writer.write(request(4, 0, {"authToken": tokens.issue("app")}, **{":version": "0.1.0"}))
        await frames.next()
        writer.write(request(0, 1, {}, operation="aws.greengrass#Subscribe"))
        terminate = {":message-type": int32(0), ":message-flags": int32(2)}
        writer.write(encode(Frame(terminate | {":stream-id": int32(1)})))
        writer.write(request(2, 0, {}))
        answers = [await frames.next()]  # of the ping: the stream is closed by now
        begin.set()
        writer.write(request(2, 0, {}))
        answers.append(await frames.next())
        writer.close()
        await server.stop()
        return answers

    answers = asyncio.run(play())

    assert [kind_of(frame) for frame in answers if frame] == [3, 3]
    assert ended == ["ended"]


def test_what_the_device_cannot_say_in_json_is_an_error_of_that_request(tmp_path: Path) -> None:
    with CoreDevice(tmp_path, COMPONENT, CONFIGURATION) as device, RawClient(device) as raw:
        device.merge({"share": float("nan")})  # as a state of an earlier version may hold
        raw.connect()
        raw.send(0, 0, 1, b"{}", operation="aws.greengrass#GetConfiguration")

        assert json.loads(raw.read().payload)["_errorCode"] == "ServiceError"


def test_a_component_that_was_stopped_is_cut_off_and_its_successor_is_not(tmp_path: Path) -> None:
    with (
        CoreDevice(tmp_path, COMPONENT, CONFIGURATION) as device,
        RawClient(device) as old,
        RawClient(device) as other,
    ):
        device.tokens.issue("other")
        old.connect()
        device.call(_issue(device, "other"))
        old.send(2, 0, 0, b"still there?")
        assert old.read().payload == b"still there?"

        token = device.call(_issue(device, COMPONENT))

        assert old.closed()
        assert other.connect().headers[":message-flags"].value == 0
        with RawClient(device) as successor:
            successor.token = token
            assert successor.connect().headers[":message-flags"].value == 1


async def _issue(device: CoreDevice, component: str) -> str:
    return device.tokens.issue(component)
