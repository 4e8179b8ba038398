"""Hard examples that devices send: put together from their parts, checked, and stored whole.

`<cloud>/hard-examples/<thing>/<image_id>.<ext>` and `.json` beside it, the result. Parts may come
twice, in any order, and from several devices at once; what stays incomplete is given up.
"""

import base64
import binascii
import hashlib
import json
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from backends.files import replace_file
from backends.local.cloud.rules import MAX_PAYLOAD, MalformedError
from backends.local.example_requests import Progress, read_progress, write_progress
from edge.contract import THING_NAME

logger = logging.getLogger(__name__)

TOPIC_FILTER = "edgeward/+/examples"
MAX_PARTS = 20_000
MAX_PICTURES = 32
MAX_BYTES = 128 * 1024 * 1024
GIVE_UP_SECONDS = 900.0

_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_REQUEST_ID = re.compile(r"[0-9a-zA-Z-]{1,64}")
_FIRST_BYTES = {
    b"\xff\xd8": "jpg",
    b"\x89PNG": "png",
    b"RIFF": "webp",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
    b"P5": "pgm",
    b"P6": "ppm",
}


@dataclass(slots=True)
class _Picture:
    """What has come of one picture."""

    parts: int
    heard_at: float
    data: dict[int, bytes] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None

    @property
    def size(self) -> int:
        return sum(map(len, self.data.values()))


class ExampleCollector:
    """Takes the messages of `TOPIC_FILTER`; bounded in pictures and in bytes, oldest given up."""

    def __init__(self, cloud: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._cloud = cloud
        self._clock = clock
        self._pictures: OrderedDict[tuple[str, str], _Picture] = OrderedDict()

    def receive(self, topic: str, payload: bytes) -> None:
        """Raises MalformedError for a message to set aside, OSError for a disk that fails."""
        message = _read(topic, payload)
        thing, request = message["thing"], message["request_id"]
        self._give_up_old()
        if "refused" in message:
            reason = str(message["refused"])[:500]
            self._note(thing, request, {"status": "refused", "reason": reason})
        elif "image_id" in message:
            self._add(thing, request, message)
        elif isinstance(message.get("sent"), int):
            counts = {name: _count(message, name) for name in ("sent", "staying", "held")}
            self._note(thing, request, {"status": "done", **counts})
        else:
            raise MalformedError("is neither a part, nor an end, nor a refusal")

    def _add(self, thing: str, request: str, message: Mapping[str, Any]) -> None:
        image_id, part, parts = message["image_id"], message.get("part"), message.get("parts")
        if not isinstance(image_id, str) or not _IMAGE_ID.fullmatch(image_id):
            raise MalformedError(f"image_id: {image_id!r} is no SHA-256 in hexadecimal digits")
        if not _is_count(parts) or not 1 <= parts <= MAX_PARTS:
            raise MalformedError(f"parts: must be a whole number from 1 to {MAX_PARTS}")
        if not _is_count(part) or part >= parts:
            raise MalformedError(f"part: must be a whole number from 0, below {parts}")
        data = _bytes(message.get("data"))
        if (self._folder(thing) / f"{image_id}.json").exists():
            return  # sent again
        picture = self._picture(thing, image_id, parts)
        picture.data[part] = data
        if part == 0:
            result = message.get("result")
            picture.result = result if isinstance(result, dict) else {}
        if len(picture.data) == parts:
            del self._pictures[thing, image_id]
            self._store(thing, request, image_id, picture)
        else:
            self._note(thing, request, {"part": part + 1, "parts": parts})

    def _picture(self, thing: str, image_id: str, parts: int) -> _Picture:
        picture = self._pictures.get((thing, image_id))
        if picture is None or picture.parts != parts:  # the other way to cut it has no more to come
            picture = self._pictures[thing, image_id] = _Picture(parts, self._clock())
        picture.heard_at = self._clock()
        self._pictures.move_to_end((thing, image_id))
        total = sum(each.size for each in self._pictures.values())
        while len(self._pictures) > 1 and (len(self._pictures) > MAX_PICTURES or total > MAX_BYTES):
            (other, name), dropped = self._pictures.popitem(last=False)
            total -= dropped.size
            logger.warning("%s: picture %s is given up, too many are incomplete", other, name[:12])
        return picture

    def _give_up_old(self) -> None:
        until = self._clock() - GIVE_UP_SECONDS
        for (thing, image_id), picture in list(self._pictures.items()):
            if picture.heard_at < until:
                del self._pictures[thing, image_id]
                logger.warning("%s: picture %s stayed incomplete", thing, image_id[:12])

    def _store(self, thing: str, request: str, image_id: str, picture: _Picture) -> None:
        content = b"".join(picture.data[part] for part in range(picture.parts))
        if hashlib.sha256(content).hexdigest() != image_id:
            raise MalformedError(f"image_id: the parts make another picture than {image_id[:12]}…")
        folder = self._folder(thing)
        replace_file(folder / f"{image_id}.{_extension(content)}", content)
        replace_file(folder / f"{image_id}.json", json.dumps(picture.result, indent=1))
        logger.info("%s: hard example %s is stored", thing, image_id[:12])
        self._note(thing, request, {"part": picture.parts, "parts": picture.parts}, image_id)

    def _note(self, thing: str, request: str, changes: Mapping[str, Any], stored: str = "") -> None:
        """Progress is for people who wait: a request that nobody here made needs none."""
        progress = read_progress(self._cloud, request)
        if progress is None or progress.thing != thing:
            return
        images = (*progress.images, stored) if stored else progress.images
        changed = {"status": "receiving", **changes, "images": images}
        write_progress(self._cloud, Progress(**{**progress.as_table(), **changed}))

    def _folder(self, thing: str) -> Path:
        return self._cloud / "hard-examples" / thing


def _read(topic: str, payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_PAYLOAD:
        raise MalformedError(f"the message has {len(payload)} bytes; {MAX_PAYLOAD} are allowed")
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise MalformedError("is not a JSON object")
    thing = topic.split("/")[1]
    if message.get("thing") != thing or not re.fullmatch(THING_NAME, thing):
        raise MalformedError(f"thing: {message.get('thing')!r} publishes as {thing!r}")
    request = message.get("request_id")
    if not isinstance(request, str) or not _REQUEST_ID.fullmatch(request):
        raise MalformedError(f"request_id: {request!r} is none")
    return message


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise MalformedError("data: must be base64") from error


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _count(message: Mapping[str, Any], name: str) -> int:
    value = message.get(name)
    return value if _is_count(value) else 0


def _extension(content: bytes) -> str:
    found = (name for first, name in _FIRST_BYTES.items() if content.startswith(first))
    return next(found, "bin")
