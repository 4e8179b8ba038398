"""Hard examples on their way to the cloud side: whole, in small messages, or not at all."""

import base64
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from edge.contract import MAX_MESSAGE_BYTES
from edge.example_sending import PAUSE, CommandError, ExampleSender, Request, parse_command
from edge.hard_examples import HardExamples


class Queue:
    """A Delivery whose messages are taken when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.taken: list[dict[str, Any]] = []

    @property
    def depth(self) -> int:
        return len(self.waiting)

    def send(self, topic: str, payload: bytes) -> None:
        assert topic == "edgeward/porch/examples"
        self.waiting.append(payload)

    def withdraw(self, topic: str) -> None:
        assert topic == "edgeward/porch/examples"
        self.waiting.clear()

    def take(self) -> None:
        self.taken += [json.loads(payload) for payload in self.waiting]
        assert all(len(payload) < MAX_MESSAGE_BYTES for payload in self.waiting)
        self.waiting.clear()


class Sending:
    def __init__(self, folder: Path) -> None:
        self.queue = Queue()
        self.examples = HardExamples(folder / "hard-examples")
        self.examples.limit_to(10_000_000)
        delivery: Any = self.queue
        self.sender = ExampleSender("porch", self.examples, delivery)

    def keep(self, data: bytes, *, may_leave: bool = True, **result: Any) -> str:
        name = hashlib.sha256(data).hexdigest()
        self.examples.keep(name, data, {"label": "cat", "image_id": name, **result}, may_leave)
        return name

    def answers(self, request: Request) -> list[dict[str, Any]]:
        self.sender.ask(request)
        while self.sender.is_busy:
            self.sender.work()
            self.queue.take()
        return self.queue.taken


@pytest.fixture
def sending(tmp_path: Path) -> Sending:
    sending = Sending(tmp_path)
    sending.sender.allow(True)
    return sending


def test_a_picture_arrives_whole_with_its_result_and_an_end(sending: Sending) -> None:
    data = os.urandom(20_000)
    name = sending.keep(data)

    *parts, end = sending.answers(Request("r", 5))

    assert [part["part"] for part in parts] == list(range(parts[0]["parts"]))
    assert b"".join(base64.b64decode(part["data"]) for part in parts) == data
    assert parts[0]["result"]["image_id"] == name
    assert {part["request_id"] for part in parts} == {"r"}
    assert (end["sent"], end["staying"], end["held"]) == (1, 0, 1)


def test_the_newest_are_sent_first_and_those_that_are_known_not_at_all(sending: Sending) -> None:
    names = [sending.keep(b"%d" % number) for number in range(5)]

    answers = sending.answers(Request("r", 2, known=(names[4][:12],)))

    assert [answer["image_id"] for answer in answers[:-1]] == [names[3], names[2]]


def test_only_a_few_messages_wait_at_a_time(sending: Sending) -> None:
    sending.keep(os.urandom(100_000))
    sending.sender.ask(Request("r", 1))

    until = time.monotonic() + 5 * PAUSE
    while time.monotonic() < until:
        sending.sender.work()

    assert 4 < sending.queue.depth < 10


def test_no_message_is_too_large_whatever_the_labels_are(sending: Sending) -> None:
    entries = [{"Label": f"{n}" + "lang" * 900, "Score": "0.2"} for n in range(5)]
    lists: dict[str, Any] = {"inference-results": entries}
    sending.keep(os.urandom(9000), label="ü" * 3000, **lists)

    answers = sending.answers(Request("r", 1))

    assert answers[0]["result"]["label"].startswith("üü")


def test_where_pictures_may_not_leave_the_answer_is_why(tmp_path: Path) -> None:
    sending = Sending(tmp_path)
    sending.keep(b"private")

    (answer,) = sending.answers(Request("r", 5))

    assert "PicturesMayLeave is false" in answer["refused"]
    assert "data" not in answer


def test_a_picture_kept_while_it_might_not_leave_stays_for_good(sending: Sending) -> None:
    sending.keep(b"private", may_leave=False)
    shared = sending.keep(b"shared")

    *parts, end = sending.answers(Request("r", 5))

    assert [part["image_id"] for part in parts] == [shared]
    assert (end["sent"], end["staying"]) == (1, 1)


def test_what_waits_is_taken_back_when_pictures_may_leave_no_more(sending: Sending) -> None:
    sending.keep(os.urandom(100_000))
    sending.sender.ask(Request("r", 1))
    sending.sender.work()
    assert sending.queue.depth > 0

    sending.sender.allow(False)

    assert sending.queue.depth == 0
    while sending.sender.is_busy:
        sending.sender.work()
        sending.queue.take()
    assert ["refused" in answer for answer in sending.queue.taken] == [True]


def test_an_example_that_made_room_meanwhile_is_left_out(sending: Sending) -> None:
    gone, held = sending.keep(b"old"), sending.keep(b"new")
    sending.sender.ask(Request("r", 5))
    for path in (sending.examples._folder).glob(f"*{gone}*"):
        path.unlink()

    *parts, end = sending.answers(Request("r", 5))

    assert [part["image_id"] for part in parts] == [held]
    assert end["sent"] == 1


def test_requests_wait_their_turn_and_not_more_than_a_few(sending: Sending) -> None:
    sending.keep(b"one")
    for number in range(20):
        sending.sender.ask(Request(f"r{number}", 1))

    answers = sending.answers(Request("r0", 1))

    assert [answer["request_id"] for answer in answers if "sent" in answer] == [
        "r0",
        "r1",
        "r2",
        "r3",
    ]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (b"\xff", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"command": "send-examples", "count": 1}', "request_id"),
        (b'{"command": "format-disk", "request_id": "r"}', "command"),
        (b'{"command": "send-examples", "request_id": "r", "count": 0}', "count"),
        (b'{"command": "send-examples", "request_id": "r", "count": true}', "count"),
        (b'{"command": "send-examples", "request_id": "r", "count": 1, "known": [""]}', "known"),
    ],
)
def test_a_command_that_cannot_be_followed_says_why(command: bytes, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        parse_command(command)
