"""A batch that people have labelled becomes pictures that the next training learns from."""

import contextlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from backends.errors import InvalidInputError
from backends.files import replace_file
from tasks.labelling.answers import Given, given_answers
from tasks.labelling.batches import Batch, batches, locked


@dataclass(frozen=True, slots=True)
class Labelled:
    """What came of a batch. `labels`: pictures by label; `open`: those that nobody answered."""

    batch: str
    thing: str
    source: str
    episode: str
    labels: dict[str, int]
    unusable: int
    open: int
    people: tuple[str, ...]
    at: str

    @property
    def pictures(self) -> int:
        return sum(self.labels.values())


def collected_folder(home: Path, source: str) -> Path:
    """Where the labelled pictures of a source lie, `<batch>/<label>/<image_id>.<ext>`."""
    return home / "collected" / source


def finish_batch(home: Path, batch: Batch, tell: Callable[[Labelled], None]) -> Labelled:
    """Put the labelled pictures of a batch among the collected ones, tell of it, and close it.

    It is told before it is closed, so that a kill in between loses no news: the next call tells
    it again. Raises InvalidInputError where nothing was answered.
    """
    with locked(batch.folder):
        if batch.finished:
            return read_labelled(batch)
        answers = given_answers(batch)
        labelled = _summary(batch, answers)
        if not labelled.labels and not labelled.unusable:
            reason = "nobody has labelled any of its pictures"
            remedy = f"Label them: edgeward label --batch {batch.id}"
            raise InvalidInputError(f"batch {batch.id}", reason, remedy)
        if labelled.labels:
            _collect(home, batch, answers)
        tell(labelled)
        record = json.dumps(asdict(labelled), indent=1)
        replace_file(batch.folder / "finished.json", record, durable=True)
        return labelled


def finish_interrupted(home: Path, tell: Callable[[Labelled], None]) -> list[Labelled]:
    """End what a kill kept from being told: batches whose pictures are collected already."""
    begun = [
        batch
        for batch in batches(home)
        if not batch.finished and (collected_folder(home, batch.why.source) / batch.id).is_dir()
    ]
    return [finish_batch(home, batch, tell) for batch in begun]


def read_labelled(batch: Batch) -> Labelled:
    """What came of a finished batch."""
    found = json.loads((batch.folder / "finished.json").read_text(encoding="utf-8"))
    return Labelled(**{**found, "people": tuple(found["people"])})


def _summary(batch: Batch, answers: dict[str, Given]) -> Labelled:
    said = [given for given in answers.values() if given.answer.verdict in ("label", "unusable")]
    labels = Counter(given.answer.label for given in said if given.answer.verdict == "label")
    return Labelled(
        batch=batch.id,
        thing=batch.why.thing,
        source=batch.why.source,
        episode=batch.why.episode,
        labels=dict(sorted(labels.items())),
        unusable=len(said) - labels.total(),
        open=len(batch.examples) - len(said),
        people=tuple(sorted({given.by for given in said})),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _collect(home: Path, batch: Batch, answers: dict[str, Given]) -> None:
    """All labelled pictures, or, if this is interrupted, none."""
    folder = collected_folder(home, batch.why.source)
    if (folder / batch.id).is_dir():
        return
    unfinished = folder / f".{batch.id}"
    shutil.rmtree(unfinished, ignore_errors=True)
    for example in batch.examples:
        given = answers.get(example.image_id)
        if given and given.answer.verdict == "label":
            into = unfinished / given.answer.label
            into.mkdir(parents=True, exist_ok=True)
            _link(example.file, into / example.file.name)
    unfinished.rename(folder / batch.id)


def _link(file: Path, to: Path) -> None:
    """The same bytes once on the disk, where the disk can do that."""
    with contextlib.suppress(OSError):
        os.link(file, to)
        return
    shutil.copyfile(file, to)
