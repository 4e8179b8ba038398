"""Hard examples at the cloud side: put together, checked, stored whole, and nothing else."""

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from backends.local.cloud import examples
from backends.local.cloud.examples import ExampleCollector
from backends.local.cloud.rules import MalformedError
from backends.local.example_requests import Examples, commands_folder

TOPIC = "edgeward/porch/examples"
PNG = b"\x89PNG" + os.urandom(5000)
NAME = hashlib.sha256(PNG).hexdigest()


def parts(
    content: bytes = PNG, size: int = 2000, request: str = "r", **changes: Any
) -> list[bytes]:
    cut = [content[start : start + size] for start in range(0, len(content), size)]
    return [
        json.dumps(
            {
                "thing": "porch",
                "message_id": f"{request}-{number}",
                "request_id": request,
                "image_id": hashlib.sha256(content).hexdigest(),
                "part": number,
                "parts": len(cut),
                "data": base64.b64encode(piece).decode(),
                **({"result": {"label": "cat", "score": 0.4}} if number == 0 else {}),
                **changes,
            }
        ).encode()
        for number, piece in enumerate(cut)
    ]


def said(**message: Any) -> bytes:
    return json.dumps({"thing": "porch", "message_id": "m", "request_id": "r", **message}).encode()


def test_a_picture_is_stored_once_its_parts_are_there_in_whatever_order(tmp_path: Path) -> None:
    collector = ExampleCollector(tmp_path)
    pieces = parts()

    for piece in (*pieces[1:], pieces[1]):
        collector.receive(TOPIC, piece)
    assert Examples(tmp_path).stored("porch") == []
    collector.receive(TOPIC, pieces[0])

    (stored,) = Examples(tmp_path).stored("porch")
    assert stored.path == tmp_path / "hard-examples/porch" / f"{NAME}.png"
    assert stored.path.read_bytes() == PNG
    assert stored.result == {"label": "cat", "score": 0.4}


def test_what_is_sent_again_changes_nothing(tmp_path: Path) -> None:
    collector = ExampleCollector(tmp_path)
    for piece in (*parts(), *parts(size=1000)):
        collector.receive(TOPIC, piece)

    assert len(list((tmp_path / "hard-examples/porch").iterdir())) == 2
    assert collector._pictures == {}


def test_parts_that_make_another_picture_are_not_stored(tmp_path: Path) -> None:
    collector = ExampleCollector(tmp_path)
    *pieces, last = parts(image_id="a" * 64)
    for piece in pieces:
        collector.receive(TOPIC, piece)

    with pytest.raises(MalformedError, match="another picture"):
        collector.receive(TOPIC, last)

    assert not (tmp_path / "hard-examples").exists()


def test_what_stays_incomplete_is_given_up_after_a_time(tmp_path: Path) -> None:
    now = [0.0]
    collector = ExampleCollector(tmp_path, clock=lambda: now[0])
    first, *others = parts()
    collector.receive(TOPIC, first)

    now[0] += examples.GIVE_UP_SECONDS + 1
    for piece in others:
        collector.receive(TOPIC, piece)

    assert Examples(tmp_path).stored("porch") == []
    (waiting,) = collector._pictures.values()
    assert set(waiting.data) == {1, 2}


def test_incomplete_pictures_are_bounded_in_number_and_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = ExampleCollector(tmp_path)
    for number in range(2 * examples.MAX_PICTURES):
        collector.receive(TOPIC, parts(b"%d" % number * 3000)[0])
    assert len(collector._pictures) == examples.MAX_PICTURES

    monkeypatch.setattr(examples, "MAX_BYTES", 10_000)
    collector.receive(TOPIC, parts()[0])
    assert sum(picture.size for picture in collector._pictures.values()) <= 12_000


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        (TOPIC, b"\xff", "JSON"),
        (TOPIC, b"[]", "object"),
        ("edgeward/other/examples", parts()[0], "thing"),
        ("edgeward/../examples", said(thing="..", sent=1), "thing"),
        (TOPIC, said(request_id="../../x", sent=1), "request_id"),
        (TOPIC, said(), "neither"),
        (TOPIC, parts(image_id="../" + "a" * 61)[0], "image_id"),
        (TOPIC, parts(image_id="A" * 64)[0], "image_id"),
        (TOPIC, parts(part=3)[0], "part"),
        (TOPIC, parts(part=-1)[0], "part"),
        (TOPIC, parts(parts=0)[0], "parts"),
        (TOPIC, parts(parts=10**9)[0], "parts"),
        (TOPIC, parts(data="no base64!")[0], "data"),
        (TOPIC, parts(data=None)[0], "data"),
    ],
)
def test_a_message_that_is_none_is_refused_with_its_reason(
    tmp_path: Path, topic: str, payload: bytes, reason: str
) -> None:
    with pytest.raises(MalformedError, match=reason):
        ExampleCollector(tmp_path / "cloud").receive(topic, payload)

    assert list(tmp_path.iterdir()) == []


def test_a_request_says_how_far_it_is_and_what_came(tmp_path: Path) -> None:
    asked = Examples(tmp_path)
    request = asked.ask("porch", 5)
    collector = ExampleCollector(tmp_path)
    assert asked.progress(request).status == "asked"  # type: ignore[union-attr]

    first, *others = parts(request=request)
    collector.receive(TOPIC, first)
    progress = asked.progress(request)
    assert progress is not None
    assert (progress.status, progress.part, progress.parts) == ("receiving", 1, 3)
    for piece in others:
        collector.receive(TOPIC, piece)
    collector.receive(TOPIC, said(request_id=request, sent=1, staying=2, held=7))

    progress = asked.progress(request)
    assert progress is not None
    assert (progress.status, progress.images) == ("done", (NAME,))
    assert (progress.sent, progress.staying, progress.held) == (1, 2, 7)


def test_a_refusal_reaches_the_one_who_asked_that_thing_alone(tmp_path: Path) -> None:
    asked = Examples(tmp_path)
    request = asked.ask("porch", 5)
    collector = ExampleCollector(tmp_path)

    other = json.dumps({"thing": "barn", "request_id": request, "refused": "no"}).encode()
    collector.receive("edgeward/barn/examples", other)
    assert asked.progress(request).status == "asked"  # type: ignore[union-attr]
    collector.receive(TOPIC, said(request_id=request, refused="they stay here"))

    progress = asked.progress(request)
    assert progress is not None
    assert (progress.status, progress.reason) == ("refused", "they stay here")


def test_a_request_names_what_is_here_already_and_old_requests_are_forgotten(
    tmp_path: Path,
) -> None:
    collector = ExampleCollector(tmp_path)
    for piece in parts():
        collector.receive(TOPIC, piece)

    requests = [Examples(tmp_path).ask("porch", 5) for _ in range(105)]

    command = json.loads((commands_folder(tmp_path) / f"{requests[-1]}.json").read_text())
    assert command["topic"] == "edgeward/porch/commands"
    assert command["payload"]["known"] == [NAME[:12]]
    assert len(list((tmp_path / "hard-examples/.requests").iterdir())) == 100
