"""Pictures that the model was unsure of, kept on the device for those who teach the next model.

A ring on disk: the oldest go first. A picture is there once its result is, and both are written
under another name and renamed, so a kill leaves whole examples only. Readable by the component's
user alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Collection, Dict, List, Mapping, Optional

MAX_EXAMPLES = 2000
MEGABYTE = 1_000_000

_NAME = re.compile(r"(\d{12})-([0-9a-f]{64})\.json")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """A picture's bytes, and its result. `may_leave`: it was kept while pictures might leave."""

    image_id: str
    data: bytes
    result: Dict[str, Any]
    may_leave: bool


@dataclass(frozen=True)
class _Held:
    number: int
    size: int


class HardExamples:
    """At most `limit` bytes of examples, and MAX_EXAMPLES of them, in a folder of their own.

    A disk that fails is said once; the work goes on.
    """

    def __init__(self, folder: Path, most: int = MAX_EXAMPLES) -> None:
        self._folder = folder
        self._most = most
        self._limit = 0
        self._fails = False
        self._held: OrderedDict[str, _Held] = OrderedDict()  # oldest first
        self._find()

    @property
    def count(self) -> int:
        return len(self._held)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(held.size for held in self._held.values())

    def limit_to(self, limit: int) -> None:
        """Hold at most so many bytes from now on; 0: nothing, and what is held is removed."""
        self._limit = limit
        self._make_room(0)

    def keep(self, image_id: str, data: bytes, result: Mapping[str, Any], may_leave: bool) -> None:
        """Keep a picture with its result, unless it is held already or larger than the limit."""
        if image_id in self._held:
            return
        text = json.dumps({"may_leave": may_leave, "result": result}).encode()
        size = len(data) + len(text)
        if size > self._limit:
            return
        self._make_room(size)
        number = max((held.number for held in self._held.values()), default=0) + 1
        stem = f"{number:012d}-{image_id}"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._write(self._folder / f"{stem}.picture", data)
            self._write(self._folder / f"{stem}.json", text)
        except OSError as error:
            self._remove_files(stem)
            self._say_it_fails(error)
            return
        self._held[image_id] = _Held(number, size)
        if self._fails:
            log.info("Hard examples can be written again")
            self._fails = False

    def newest(self, count: int, known: Collection[str] = ()) -> List[str]:
        """Image ids, newest first, without those that begin like one of `known`."""
        prefixes = tuple(known)
        found = [image_id for image_id in reversed(self._held) if not image_id.startswith(prefixes)]
        return found[:count]

    def read(self, image_id: str) -> Optional[Example]:
        """The example, or None: it made room for others, or a power cut has damaged it."""
        held = self._held.get(image_id)
        if held is None:
            return None
        stem = f"{held.number:012d}-{image_id}"
        try:
            data = (self._folder / f"{stem}.picture").read_bytes()
            about = json.loads((self._folder / f"{stem}.json").read_bytes())
            example = Example(image_id, data, dict(about["result"]), about["may_leave"] is True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("Hard example %s is dropped: %s", image_id, error)
            self._drop(image_id)
            return None
        if hashlib.sha256(data).hexdigest() != image_id:
            log.warning("Hard example %s is dropped: its bytes have changed", image_id)
            self._drop(image_id)
            return None
        return example

    def _make_room(self, size: int) -> None:
        total = self.size
        while self._held and (total + size > self._limit or (size and self.count >= self._most)):
            oldest = next(iter(self._held))
            total -= self._held[oldest].size
            self._drop(oldest)

    def _drop(self, image_id: str) -> None:
        held = self._held.pop(image_id)
        self._remove_files(f"{held.number:012d}-{image_id}")

    def _remove_files(self, stem: str) -> None:
        for suffix in ("json", "picture", "json.new", "picture.new"):
            with contextlib.suppress(OSError):  # not there, or a disk that fails
                (self._folder / f"{stem}.{suffix}").unlink()

    def _write(self, path: Path, content: bytes) -> None:
        temporary = path.with_name(f"{path.name}.new")
        temporary.touch(mode=0o600)
        temporary.write_bytes(content)
        temporary.replace(path)

    def _find(self) -> None:
        """What an earlier run left; halves of examples are removed."""
        found: Dict[str, _Held] = {}
        names = set()
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                names.add(path.name)
                named = _NAME.fullmatch(path.name)
                picture = path.with_suffix(".picture")
                if named is not None and picture.is_file():
                    size = path.stat().st_size + picture.stat().st_size
                    found[named[2]] = _Held(int(named[1]), size)
        self._held.update(sorted(found.items(), key=lambda item: item[1].number))
        whole = {f"{held.number:012d}-{image_id}" for image_id, held in found.items()}
        for name in names:
            if name.partition(".")[0] not in whole or name.endswith(".new"):
                with contextlib.suppress(OSError):
                    (self._folder / name).unlink()

    def _say_it_fails(self, error: OSError) -> None:
        if not self._fails:
            log.error("Hard examples are not kept for the moment: %s", error)
        self._fails = True
