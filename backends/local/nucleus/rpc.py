"""One IPC connection: the RPC layer over event-stream frames (handshake, streams, errors).

Operations live in operations.py; this module knows only that they take a JSON object and answer
with one, or raise OperationError.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from backends.local.nucleus.eventstream import (
    FRAME_SECONDS,
    Frame,
    FrameError,
    FrameReader,
    Header,
    encode,
    int32,
    text,
)
from backends.local.nucleus.kind import Nucleus
from backends.local.nucleus.rpc_frames import (
    CONNECTION_ACCEPTED,
    TERMINATE_STREAM,
    MessageType,
    ProtocolError,
    json_object,
    protocol_headers,
    string,
)

logger = logging.getLogger(__name__)

VERSION = "0.1.0"
CONNECT_BYTES = 64 * 1024
"""Of the first frame: nobody knows yet who sends it."""
PREFIX = "aws.greengrass#"
REFUSAL_SECONDS = 2.0
_LAST_STREAM = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may hold of the device; whoever wants more is refused or disconnected."""

    handshake_seconds: float = 10.0
    frame_seconds: float = FRAME_SECONDS
    """Within which a frame that has begun must be whole."""
    streams: int = 1000
    """Open at once on one connection; nearly all are subscriptions."""
    waiting: int = 100
    """Requests of one connection that are not answered yet; further ones are not read."""
    unread: int = 32 * 1024 * 1024
    """Bytes that a client leaves unread."""
    connections: int = 500
    strangers: int = 100
    """Connections that have not said who they are; the longest silent one makes room."""


class OperationError(Exception):
    """An operation's modelled error; `code` is the shape's name, e.g. UnauthorizedError."""

    def __init__(self, code: str, message: str, **members: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.members = members


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who asks, for what, and the stream to send events on."""

    component: str
    operation: str
    body: Mapping[str, Any]
    stream: "Stream"


@dataclass(frozen=True, slots=True)
class Operation:
    """`run` answers a call; with `subscribes`, the stream stays open for events."""

    run: Callable[[Call], Awaitable[Mapping[str, Any]]]
    subscribes: bool = False


Authenticate = Callable[[str], str | None]


async def _not_implemented(call: Call) -> Mapping[str, Any]:
    raise OperationError("ServiceError", f"operation {call.operation} is not implemented")


_UNKNOWN = Operation(_not_implemented)


class Stream:
    """The server's half of one stream. Events wait until the response has gone out."""

    def __init__(self, connection: "Connection", number: int) -> None:
        self._connection = connection
        self._number = number
        self._waiting: list[tuple[str, Mapping[str, Any]]] | None = []
        self._on_close: list[Callable[[], None]] = []
        self.closed = False

    def on_close(self, callback: Callable[[], None]) -> None:
        """Called once, when the client closes the stream or goes away; at once where it has."""
        if self.closed:
            callback()
        else:
            self._on_close.append(callback)

    def event(self, shape: str, body: Mapping[str, Any]) -> None:
        if self.closed:
            return
        if self._waiting is not None:
            self._waiting.append((shape, body))
            return
        self._connection.send_json(self._number, shape, body)

    def respond(self, shape: str, body: Mapping[str, Any], *, last: bool) -> None:
        if self.closed:
            return
        flags = TERMINATE_STREAM if last else 0
        self._connection.send_json(self._number, shape, body, flags=flags)
        waiting, self._waiting = self._waiting or [], None
        for event_shape, event_body in waiting:
            self.event(event_shape, event_body)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            for callback in self._on_close:
                callback()


class Connection:
    """Serves one client until it leaves, breaks a rule, or reads too slowly."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        authenticate: Authenticate,
        operations: Mapping[str, Operation],
        nucleus: Nucleus,
        limits: Limits,
    ) -> None:
        self._reader = reader
        first = min(CONNECT_BYTES, nucleus.frame_limit)
        self._frames = FrameReader(reader, first, limits.frame_seconds)
        self._writer = writer
        self._authenticate = authenticate
        self._operations = operations
        self._nucleus = nucleus
        self._limits = limits
        self._streams: dict[int, Stream] = {}
        self._last_stream = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.component = ""

    async def serve(self) -> None:
        try:
            if await self._handshake():
                while (frame := await self._frames.next()) and not self._writer.is_closing():
                    self._receive(frame)
                    await self._writer.drain()
                    await self._catch_up()
        except (FrameError, ProtocolError) as error:
            logger.warning("%s: IPC connection ended: %s", self.component or "unknown", error)
            self._send_control(MessageType.PROTOCOL_ERROR, payload=str(error).encode())
        except (ConnectionError, TimeoutError):
            logger.debug("%s: IPC connection lost", self.component or "unknown")
        finally:
            self._close()

    def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for stream in list(self._streams.values()):
            stream.close()
        self._streams.clear()
        self._writer.close()

    async def _catch_up(self) -> None:
        """Reads no further while too many requests wait: a flood then waits in its own socket."""
        while len(self._tasks) >= self._limits.waiting:
            await asyncio.wait(self._tasks, return_when="FIRST_COMPLETED")

    def abort(self) -> None:
        self._writer.transport.abort()

    def cut_off(self) -> None:
        """Ends it, and what it has asked for."""
        for task in self._tasks:
            task.cancel()
        self.abort()

    async def _handshake(self) -> bool:
        async with asyncio.timeout(self._limits.handshake_seconds):
            frame = await self._frames.next()
        if frame is None:
            return False
        kind, _, stream = protocol_headers(frame)
        if kind is not MessageType.CONNECT or stream != 0:
            raise ProtocolError("the first message must be CONNECT on stream 0")
        component = self._who(frame)
        if component is None:
            self._send_control(MessageType.CONNECT_ACK)
            await self._let_the_client_leave()
            return False
        self.component = component
        self._frames.limit = self._nucleus.frame_limit
        self._send_control(MessageType.CONNECT_ACK, flags=CONNECTION_ACCEPTED)
        return True

    async def _let_the_client_leave(self) -> None:
        """A close right behind the refusal would reach the client before the refusal does."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(REFUSAL_SECONDS):
                await self._reader.read(1)

    def _who(self, frame: Frame) -> str | None:
        if string(frame, ":version") != VERSION:
            return None
        try:
            token = json_object(frame.payload).get("authToken")
        except ValueError:
            return None
        return self._authenticate(token) if isinstance(token, str) and token else None

    def _receive(self, frame: Frame) -> None:
        kind, flags, number = protocol_headers(frame)
        if number == 0:
            self._control(kind, frame)
        elif kind not in (MessageType.APPLICATION_MESSAGE, MessageType.APPLICATION_ERROR):
            raise ProtocolError(f"{kind.name} on stream {number}")
        elif number in self._streams:
            if flags & TERMINATE_STREAM:
                self._streams.pop(number).close()
        elif number == self._last_stream + 1 and number <= _LAST_STREAM:
            if kind is not MessageType.APPLICATION_MESSAGE:
                raise ProtocolError(f"stream {number} begins with {kind.name}")
            self._open(number, frame)
        elif not (0 < number <= self._last_stream and flags & TERMINATE_STREAM):
            raise ProtocolError(
                f"stream {number} is not open; the next new one is {self._last_stream + 1}"
            )

    def _control(self, kind: MessageType, frame: Frame) -> None:
        if kind is MessageType.PING:
            echoed = {name: value for name, value in frame.headers.items() if name[:1] != ":"}
            self._send_control(MessageType.PING_RESPONSE, payload=frame.payload, extra=echoed)
        elif kind in (MessageType.PROTOCOL_ERROR, MessageType.INTERNAL_ERROR):
            logger.warning("%s reports %s: %r", self.component, kind.name, frame.payload[:200])
        elif kind is not MessageType.PING_RESPONSE:
            raise ProtocolError(f"{kind.name} on stream 0")

    def _open(self, number: int, frame: Frame) -> None:
        name = string(frame, "operation")
        if not name:
            raise ProtocolError(f"stream {number} begins without an operation")
        self._last_stream = number
        if len(self._streams) >= self._limits.streams:
            reason = f"{len(self._streams)} streams are open; close some of them"
            self._fail(number, OperationError("ServiceError", reason))
            return
        stream = self._streams[number] = Stream(self, number)
        answer = self._answer(number, stream, name, frame.payload)
        # at once, as far as it goes without waiting: most requests are done then, and in order
        task = asyncio.Task(answer, loop=asyncio.get_running_loop(), eager_start=True)
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, number: int, stream: Stream, name: str, payload: bytes) -> None:
        try:
            operation = self._operations.get(name, _UNKNOWN)
            body = await operation.run(Call(self.component, name, _request(payload), stream))
            stream.respond(f"{name}Response", body, last=not operation.subscribes)
        except OperationError as error:
            self._fail(number, error, stream)
        except Exception as error:  # a fault of ours must not take the connection along
            logger.exception("%s: %s failed", self.component, name)
            self._fail(number, OperationError("ServiceError", str(error)), stream)
        else:
            if not operation.subscribes:
                self._forget(number)

    def _fail(self, number: int, error: OperationError, stream: Stream | None = None) -> None:
        if stream is not None and stream.closed:
            return
        message = error.message if self._nucleus.explains_errors else ""
        members = error.members if self._nucleus.explains_errors else {}
        body = {
            "_service": f"{PREFIX}GreengrassCoreIPC",
            "_message": message,
            "_errorCode": error.code,
            "message": message,
            **members,
        }
        self.send_json(
            number, PREFIX + error.code, body, MessageType.APPLICATION_ERROR, TERMINATE_STREAM
        )
        self._forget(number)

    def _forget(self, number: int) -> None:
        if stream := self._streams.pop(number, None):
            stream.close()

    def send_json(
        self,
        number: int,
        shape: str,
        body: Mapping[str, Any],
        kind: MessageType = MessageType.APPLICATION_MESSAGE,
        flags: int = 0,
    ) -> None:
        headers = {":content-type": text("application/json"), "service-model-type": text(shape)}
        self._send(kind, flags, number, headers, json.dumps(body, allow_nan=False).encode())

    def _send_control(
        self,
        kind: MessageType,
        flags: int = 0,
        payload: bytes = b"",
        extra: Mapping[str, Header] | None = None,
    ) -> None:
        self._send(kind, flags, 0, extra or {}, payload)

    def _send(
        self,
        kind: MessageType,
        flags: int,
        number: int,
        extra: Mapping[str, Header],
        payload: bytes,
    ) -> None:
        if self._writer.is_closing():
            return
        headers = {
            ":message-type": int32(kind),
            ":message-flags": int32(flags),
            ":stream-id": int32(number),
            **extra,
        }
        try:
            self._writer.write(encode(Frame(headers, payload), self._nucleus.frame_limit))
        except FrameError as error:
            logger.warning("%s is disconnected, a message to it: %s", self.component, error)
            self.abort()
            return
        if self._writer.transport.get_write_buffer_size() > self._limits.unread:
            logger.warning("%s does not read its messages; disconnected", self.component)
            self.abort()


def _request(payload: bytes) -> dict[str, Any]:
    try:
        return json_object(payload)
    except ValueError as error:
        raise OperationError(
            "InvalidArgumentsError", f"the request is no JSON object: {error}"
        ) from error
