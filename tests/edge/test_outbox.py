"""The queue on disk, with kills, limits and disks that fail; and the thread that empties it."""

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edge.delivery import Delivery
from edge.ipc import MessageRefusedError, PublishError, SessionLostError, UnauthorizedTopicError
from edge.outbox import Outbox

PROJECT = Path(__file__).parents[2]

PUTTER = """
import sys
from pathlib import Path
from edge.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]))
for number in range(1_000_000):
    outbox.put("t", b"%d" % number)
    print(number, flush=True)
"""


def drain(outbox: Outbox) -> list[bytes]:
    taken = []
    while (message := outbox.first()) is not None:
        outbox.remove(message)
        taken.append(message.payload)
    return taken


def test_messages_come_out_in_order_also_after_a_restart(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox")
    for payload in (b"1", b"2", b"3"):
        outbox.put("t", payload)
    first = outbox.first()
    assert first is not None
    outbox.remove(first)
    outbox.close()

    again = Outbox(tmp_path / "outbox")

    assert again.depth == 2
    assert drain(again) == [b"2", b"3"]


def test_a_kill_loses_no_message_that_was_put(tmp_path: Path) -> None:
    putter = subprocess.Popen(
        [sys.executable, "-c", PUTTER, str(tmp_path / "outbox")],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
    )
    assert putter.stdout is not None
    for line in putter.stdout:
        if int(line) == 100:
            break
    putter.send_signal(signal.SIGKILL)
    said = [100, *(int(line) for line in putter.stdout.read().split())]
    putter.stdout.close()
    putter.wait()

    found = [int(payload) for payload in drain(Outbox(tmp_path / "outbox"))]

    assert found == list(range(len(found)))
    assert said[-1] <= found[-1] <= said[-1] + 1


@pytest.mark.parametrize("limit", [{"max_messages": 3}, {"max_bytes": 30}])
def test_the_oldest_are_dropped_first_and_counted(tmp_path: Path, limit: dict[str, int]) -> None:
    outbox = Outbox(tmp_path / "outbox", **limit)

    for number in range(5):
        outbox.put("t", b"message %02d" % number)

    assert outbox.dropped == 2
    assert drain(outbox) == [b"message 02", b"message 03", b"message 04"]


def test_only_the_newest_of_a_topic_waits_where_that_is_wanted(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox")

    outbox.put("beat", b"1", only_newest=True)
    outbox.put("t", b"2")
    outbox.put("beat", b"3", only_newest=True)

    assert drain(outbox) == [b"2", b"3"]


def test_a_topic_can_be_passed_over(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox")
    outbox.put("forbidden", b"1")
    outbox.put("t", b"2")

    message = outbox.first(passing_over={"forbidden"})

    assert message is not None
    assert message.payload == b"2"


def test_a_disk_that_fills_up_is_said_once_and_memory_takes_over() -> None:
    program = """
import logging, resource, sys, tempfile
from pathlib import Path
from edge.outbox import Outbox
logging.basicConfig(stream=sys.stdout, level=logging.INFO)
with tempfile.TemporaryDirectory() as folder:
    outbox = Outbox(Path(folder, "outbox"), max_in_memory=200)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, unlimited[1]))
    for number in range(500):
        outbox.put("t", b"%06d" % number + b"x" * 2000)
    print(f"depth={outbox.depth} dropped={outbox.dropped}")
    taken = []
    for _ in range(5):
        message = outbox.first()
        outbox.remove(message)
        taken.append(int(message.payload[:6]))
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    outbox.put("t", b"000500")
    while True:
        message = outbox.first()
        if message is None:
            break
        assert message.key > 0, "still in memory"
        outbox.remove(message)
        taken.append(int(message.payload[:6]))
    assert taken == sorted(set(taken)), taken
    print("taken", len(taken), "last", taken[-1])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    counted = re.search(r"depth=(\d+) dropped=(\d+)", done.stdout)
    assert counted is not None
    depth, dropped = map(int, counted.groups())
    assert depth + dropped == 500
    assert depth > 200
    assert f"taken {depth + 1} last 500" in done.stdout
    assert done.stdout.count("new messages are kept in memory") == 1
    assert "works again" in done.stdout


def test_a_damaged_queue_is_put_aside_and_a_new_one_works(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_bytes(b"no database at all, but long enough to look" * 100)

    outbox = Outbox(tmp_path / "outbox")
    outbox.put("t", b"1")

    assert drain(outbox) == [b"1"]
    assert (tmp_path / "outbox.damaged").exists()


def test_a_folder_that_cannot_be_written_does_not_stop_anyone(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "missing" / "outbox")

    outbox.put("t", b"1")

    assert drain(outbox) == [b"1"]


class Nucleus:
    """Takes messages, after it has failed as often as it was told to."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.taken: list[tuple[str, bytes]] = []
        self.lost: list[str] = []
        self.calls = -len([fault for fault in faults if type(fault) is PublishError])

    def publish(self, topic: str, payload: bytes) -> None:
        self.calls += 1
        if self.faults:
            raise self.faults.pop(0)
        self.taken.append((topic, payload))


def deliver(tmp_path: Path, nucleus: Nucleus, *messages: tuple[str, bytes]) -> Outbox:
    outbox = Outbox(tmp_path / "outbox")
    delivery = Delivery(outbox, nucleus.publish, nucleus.lost.append, first_pause=0.01)
    for topic, payload in messages:
        delivery.send(topic, payload)
    delivery.start()
    deadline = time.monotonic() + 5
    expected = sum(len(payload) <= 7000 for _, payload in messages)
    while nucleus.calls < expected and not nucleus.lost and time.monotonic() < deadline:
        time.sleep(0.01)
    delivery.stop(1)
    return outbox


def test_what_fails_is_sent_again_in_order(tmp_path: Path) -> None:
    nucleus = Nucleus(PublishError("no broker"), PublishError("no broker"))

    deliver(tmp_path, nucleus, ("t", b"1"), ("t", b"2"))

    assert nucleus.taken == [("t", b"1"), ("t", b"2")]


def test_a_topic_without_permission_waits_and_holds_up_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nucleus = Nucleus(UnauthorizedTopicError("forbidden"))

    outbox = deliver(tmp_path, nucleus, ("forbidden", b"1"), ("t", b"2"))

    assert nucleus.taken == [("t", b"2")]
    assert outbox.depth == 1
    assert "Not authorised to publish on forbidden" in caplog.text


def test_a_message_that_is_never_taken_does_not_block_the_rest(tmp_path: Path) -> None:
    nucleus = Nucleus(MessageRefusedError("bad topic"))

    outbox = deliver(tmp_path, nucleus, ("t", b"1"), ("t", b"2"))

    assert nucleus.taken == [("t", b"2")]
    assert outbox.depth == 0


def test_a_message_that_would_end_the_session_is_dropped_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nucleus = Nucleus()

    outbox = deliver(tmp_path, nucleus, ("t", b"x" * 7001), ("t", b"2"), ("t", b"3"))

    assert nucleus.taken == [("t", b"2"), ("t", b"3")]
    assert outbox.depth == 0
    assert "7001 bytes on t is dropped" in caplog.text


def test_a_lost_session_keeps_the_message_and_is_told(tmp_path: Path) -> None:
    nucleus = Nucleus(SessionLostError("closed"))

    outbox = deliver(tmp_path, nucleus, ("t", b"1"))

    assert nucleus.lost == ["closed"]
    assert outbox.depth == 1


def test_the_end_waits_for_what_was_just_put_but_not_for_long(tmp_path: Path) -> None:
    nucleus = Nucleus()
    blocked = threading.Event()
    outbox = Outbox(tmp_path / "outbox")
    delivery = Delivery(outbox, nucleus.publish, nucleus.lost.append)
    delivery.start()
    delivery.send("t", b"1")
    delivery.stop(5)
    assert nucleus.taken == [("t", b"1")]

    def publish(_topic: str, _payload: bytes) -> None:
        blocked.wait(30)

    stuck = Delivery(outbox, publish, nucleus.lost.append)
    stuck.start()
    stuck.send("t", b"2")
    began = time.monotonic()
    stuck.stop(0.3)
    assert time.monotonic() - began < 1
    blocked.set()
