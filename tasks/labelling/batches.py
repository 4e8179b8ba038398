"""The labelling queue: batches of pictures that wait for people to say what they show.

`<home>/labelling/<batch>/` holds `batch.json` (what the pictures are, what the model said to them
and why they wait), `pictures/`, `answers.jsonl` and, at the end, `finished.json`. A batch appears
whole or not at all; its pictures never change.
"""

import fcntl
import json
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from backends.errors import InvalidInputError
from backends.files import replace_file

MAX_PICTURES = 1000
"""Of one batch: what a person can look through."""

_BATCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]{0,63}")
_LABEL = re.compile(r"\w[\w .+-]{0,63}")
_LEFT = ".unfinished-"
_RECORD = "batch.json"


@dataclass(frozen=True, slots=True)
class Example:
    """A picture that may be labelled, and what a device's model said to it.

    `score` is the model's for `guess`, in [0, 1]; -1 where it gave none.
    """

    image_id: str
    file: Path
    thing: str
    guess: str
    score: float
    model_version: str
    taken_at: str


@dataclass(frozen=True, slots=True)
class Why:
    """Why pictures wait for labels. `episode` is that of the drift alarm, if there was one."""

    thing: str
    source: str
    reason: str
    episode: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of the queue. `classes`: what the model can say; `examples` in the order shown."""

    id: str
    folder: Path
    created_at: str
    why: Why
    classes: tuple[str, ...]
    examples: tuple[Example, ...]

    @property
    def finished(self) -> bool:
        return (self.folder / "finished.json").is_file()

    def example(self, image_id: str) -> Example:
        """Raises InvalidInputError: the batch has no such picture."""
        for example in self.examples:
            if example.image_id == image_id:
                return example
        remedy = f"`edgeward label --list --batch {self.id}` names its pictures."
        raise InvalidInputError(f"picture {image_id!r}", f"batch {self.id} has none such", remedy)


def check_label(label: str, where: str) -> str:
    """A label that can be the name of a folder. Raises InvalidInputError that names `where`."""
    if not _LABEL.fullmatch(label) or label.endswith((" ", ".")):
        reason = f"{label!r} cannot be the name of a class"
        remedy = "Use letters, digits, spaces, '_', '.', '+', '-', at most 64, a letter first."
        raise InvalidInputError(where, reason, remedy)
    return label


def make_batch(
    home: Path, why: Why, classes: Sequence[str], examples: Sequence[Example], now: datetime
) -> Batch | None:
    """Queue those examples that no batch holds yet, at most MAX_PICTURES; None: there are none.

    Called again with the same examples, also after a kill, it queues none of them twice.
    """
    root = home / "labelling"
    root.mkdir(parents=True, exist_ok=True)
    with locked(root):
        for left in root.glob(f"{_LEFT}*"):
            shutil.rmtree(left)
        known = {each.image_id for batch in batches(home) for each in batch.examples}
        fresh = {each.image_id: each for each in examples if each.image_id not in known}
        if not fresh:
            return None
        name = f"{now:%Y%m%d_%H%M%S}_{secrets.token_hex(2)}"
        unfinished = root / f"{_LEFT}{name}"
        (unfinished / "pictures").mkdir(parents=True)
        chosen = list(fresh.values())[:MAX_PICTURES]
        rows = []
        for example in chosen:
            kept = unfinished / "pictures" / f"{example.image_id}{example.file.suffix.lower()}"
            shutil.copyfile(example.file, kept)
            rows.append({**asdict(example), "file": kept.name})
        record = {
            "batch": name,
            "created_at": now.isoformat(timespec="seconds"),
            "why": asdict(why),
            "classes": list(classes),
            "pictures": rows,
        }
        replace_file(unfinished / _RECORD, json.dumps(record, indent=1), durable=True)
        unfinished.rename(root / name)
        return read_batch(home, name)


def batches(home: Path) -> list[Batch]:
    """All batches, oldest first."""
    found = sorted((home / "labelling").glob(f"*/{_RECORD}"))
    return [read_batch(home, path.parent.name) for path in found if path.parent.name[0] != "."]


def read_batch(home: Path, name: str) -> Batch:
    """Raises InvalidInputError: there is no such batch, or it is damaged."""
    folder = home / "labelling" / name
    if not _BATCH.fullmatch(name) or not (folder / _RECORD).is_file():
        remedy = "`edgeward label --list` names those that there are."
        raise InvalidInputError(f"batch {name!r}", "there is no such batch", remedy)
    try:
        return _parse(json.loads((folder / _RECORD).read_text(encoding="utf-8")), folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason, remedy = f"the batch is damaged: {error}", f"Delete {folder}."
        raise InvalidInputError(str(folder / _RECORD), reason, remedy) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a folder of the queue meanwhile; a killed one lets go."""
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _parse(record: dict[str, Any], folder: Path) -> Batch:
    examples = tuple(
        Example(**{**row, "file": folder / "pictures" / str(row["file"])})
        for row in record["pictures"]
    )
    why = Why(**record["why"])
    classes = tuple(str(label) for label in record["classes"])
    return Batch(folder.name, folder, str(record["created_at"]), why, classes, examples)
