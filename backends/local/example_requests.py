"""Requests for hard examples: files that the cloud side takes up, and how far each has come."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from backends.files import replace_file
from backends.local.files import read_json
from edge.contract import commands_topic

MAX_COUNT = 100
MAX_KNOWN = 300
MAX_REQUESTS = 100
"""Of older ones, nobody needs to know any more."""

_KNOWN_DIGITS = 12

Status = Literal["asked", "sent", "receiving", "done", "refused"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a request has come. `asked`: the cloud side has not passed it on yet; `sent`: it has.

    `images` are those that were stored for it, `part` of `parts` what came of the present one.
    Of the device's last word: it `sent` so many, so many must stay there (`staying`), and it holds
    `held` in all; `reason` says why it refused.
    """

    request_id: str
    thing: str
    status: Status = "asked"
    images: tuple[str, ...] = ()
    part: int = 0
    parts: int = 0
    sent: int = 0
    staying: int = 0
    held: int = 0
    reason: str = ""

    def as_table(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class StoredExample:
    """A hard example that was fetched; `result` is what the device's model said to it."""

    thing: str
    image_id: str
    path: Path
    result: dict[str, Any]


class Examples:
    """Asks devices for hard examples, and finds those that came, below `<cloud>`."""

    def __init__(self, cloud: Path) -> None:
        self._cloud = cloud

    def ask(self, thing: str, count: int) -> str:
        """Ask for `count` pictures that are not here yet; the request's id. Does not wait."""
        request = uuid.uuid4().hex
        known = [example.image_id[:_KNOWN_DIGITS] for example in self.stored(thing)[-MAX_KNOWN:]]
        command = {
            "command": "send-examples",
            "request_id": request,
            "count": count,
            "known": known,
        }
        write_progress(self._cloud, Progress(request, thing))
        _forget_old(_requests(self._cloud))
        topic = {"topic": commands_topic(thing), "payload": command}
        replace_file(commands_folder(self._cloud) / f"{request}.json", json.dumps(topic))
        return request

    def progress(self, request: str) -> Progress | None:
        return read_progress(self._cloud, request)

    def stored(self, thing: str) -> Sequence[StoredExample]:
        """What was fetched from `thing`, oldest first."""
        found = [
            (path.stat().st_mtime_ns, path)
            for path in (self._cloud / "hard-examples" / thing).glob("[!.]*.json")
        ]
        return [
            StoredExample(thing, path.stem, _picture_beside(path), read_json(path) or {})
            for _, path in sorted(found)
        ]


def commands_folder(cloud: Path) -> Path:
    """Where the cloud side finds what it is to publish."""
    return cloud / "commands"


def read_progress(cloud: Path, request: str) -> Progress | None:
    """None: there is no such request, or no more."""
    known = read_json(_requests(cloud) / f"{request}.json")
    try:
        return None if known is None else Progress(**{**known, "images": tuple(known["images"])})
    except (TypeError, KeyError):
        return None


def write_progress(cloud: Path, progress: Progress) -> None:
    path = _requests(cloud) / f"{progress.request_id}.json"
    replace_file(path, json.dumps(progress.as_table()))


def _requests(cloud: Path) -> Path:
    return cloud / "hard-examples" / ".requests"


def _picture_beside(path: Path) -> Path:
    beside = (other for other in path.parent.glob(f"{path.stem}.*") if other != path)
    return next(beside, path.with_suffix(".bin"))


def _forget_old(folder: Path) -> None:
    dated = sorted((path.stat().st_mtime_ns, path) for path in folder.glob("[!.]*.json"))
    for _, path in dated[:-MAX_REQUESTS]:
        path.unlink(missing_ok=True)
