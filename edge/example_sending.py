"""Answers a request for hard examples: in parts that nucleus lite can carry, behind the results.

A part is handed to the delivery only while few messages wait, so that pictures never push results
out of the queue. Where pictures may not leave, the answer is why.
"""

from __future__ import annotations

import base64
import json
import logging
import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Deque, Dict, Iterator, Mapping, Optional, Tuple

from edge.contract import encode, examples_topic, new_message_id, utc_text
from edge.delivery import Delivery
from edge.hard_examples import Example, HardExamples

MAX_COUNT = 100
MAX_KNOWN = 400
MAX_REQUESTS = 4
SEND = "send-examples"

FIRST_PART_BYTES = 3000
PART_BYTES = 4500
"""Bytes of the picture in the first part, which has the result too, and in each further one."""

PAUSE = 0.1
AT_ONCE = 4
"""Messages in each pause: about 180 kB of pictures a second leave room for results, also on a
nucleus that takes everything at once and keeps it in a small queue of its own."""

_RESULT_BYTES = 2000
_FEW = 8

log = logging.getLogger(__name__)


class CommandError(ValueError):
    """A command that cannot be followed; says why."""


@dataclass(frozen=True)
class Request:
    """`known`: beginnings of image ids that the asker has already."""

    request_id: str
    count: int
    known: Tuple[str, ...] = ()


def parse_command(payload: bytes) -> Request:
    """Read a command; `send-examples` is the only one. Raises CommandError."""
    try:
        command = json.loads(payload)
    except ValueError as error:
        raise CommandError(f"it is not JSON: {error}") from error
    if not isinstance(command, dict):
        raise CommandError("it is not a JSON object")
    identifier = command.get("request_id")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= 64:  # noqa: PLR2004
        raise CommandError(f"request_id must be a text of 1 to 64 characters, not {identifier!r}")
    if command.get("command") != SEND:
        raise CommandError(f"command must be {SEND!r}, not {command.get('command')!r}")
    count = command.get("count")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_COUNT:
        raise CommandError(f"count must be a whole number from 1 to {MAX_COUNT}, not {count!r}")
    known = command.get("known", [])
    if not isinstance(known, list) or not all(isinstance(each, str) and each for each in known):
        raise CommandError("known must be a list of beginnings of image ids")
    return Request(identifier, count, tuple(known[:MAX_KNOWN]))


class ExampleSender:
    """Follows requests one after the other, a few messages at a time."""

    def __init__(self, thing: str, examples: HardExamples, delivery: Delivery) -> None:
        self._thing = thing
        self._topic = examples_topic(thing)
        self._examples = examples
        self._delivery = delivery
        self._may_leave = False
        self._requests: Deque[Request] = deque()
        self._answers: Optional[Iterator[Dict[str, Any]]] = None
        self._next_at = 0.0

    @property
    def is_busy(self) -> bool:
        return bool(self._requests)

    def allow(self, may_leave: bool) -> None:
        """Whether pictures may leave; if not, parts that still wait for a connection go, too."""
        self._may_leave = may_leave
        if not may_leave:
            self._delivery.withdraw(self._topic)

    def ask(self, request: Request) -> None:
        """Take a request up; one that was taken up already is not taken up twice."""
        if request in self._requests:
            return
        if len(self._requests) >= MAX_REQUESTS:
            log.warning("A request for hard examples is left out: others wait")
            return
        log.info("Asked for %s hard examples", request.count)
        self._requests.append(request)

    def work(self) -> None:
        """Send a few messages, if the last ones are a while ago and hardly any waits."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + PAUSE
        for _ in range(AT_ONCE):
            message = self._next() if self._delivery.depth < _FEW else None
            if message is None:
                return
            self._delivery.send(self._topic, encode(message))

    def _next(self) -> Optional[Dict[str, Any]]:
        while self._requests:
            if self._answers is None:
                self._answers = self._answer(self._requests[0])
            message = next(self._answers, None)
            if message is not None:
                return message
            self._answers = None
            self._requests.popleft()
        return None

    def _answer(self, request: Request) -> Iterator[Dict[str, Any]]:
        """Each message anew asks whether pictures may leave: the configuration may change."""
        sent = staying = 0
        for image_id in self._examples.newest(self._examples.count, request.known):
            if sent == request.count or not self._may_leave:
                break
            example = self._examples.read(image_id)
            if example is None or not example.may_leave:
                staying += 1
                continue
            for message in self._parts(request, example):
                yield message
                if not self._may_leave:
                    break
            else:
                sent += 1
        if self._may_leave:
            yield self._message(request, sent=sent, staying=staying, held=self._examples.count)
        else:
            reason = "PicturesMayLeave is false: pictures stay on this device"
            yield self._message(request, refused=reason)

    def _parts(self, request: Request, example: Example) -> Iterator[Dict[str, Any]]:
        data = example.data
        starts = [0, *range(FIRST_PART_BYTES, len(data), PART_BYTES)]
        for part, start in enumerate(starts):
            end = starts[part + 1] if part + 1 < len(starts) else len(data)
            message = self._message(
                request,
                image_id=example.image_id,
                part=part,
                parts=len(starts),
                data=base64.b64encode(data[start:end]).decode(),
            )
            if part == 0:
                message["result"] = _short(example.result)
            yield message

    def _message(self, request: Request, **about: Any) -> Dict[str, Any]:
        return {
            "thing": self._thing,
            "message_id": new_message_id(),
            "sent_at": utc_text(datetime.now(timezone.utc)),
            "request_id": request.request_id,
            **about,
        }


def _short(result: Mapping[str, Any]) -> Dict[str, Any]:
    """A result that leaves room for its picture: without its list, or its names cut, if need be."""
    short = dict(result)
    if len(encode(short)) > _RESULT_BYTES:
        short.pop("inference-results", None)
    if len(encode(short)) > _RESULT_BYTES:
        short = {
            key: value[:100] if isinstance(value, str) else value
            for key, value in short.items()
            if isinstance(value, (str, int, float))
        }
    return short
