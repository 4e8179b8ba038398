"""Labels by SageMaker Ground Truth: its input manifest from a batch, its output manifest into one.

A labelling job reads JSON lines with `source-ref` and writes them again with its answer:
`"<job>": 0, "<job>-metadata": {"class-name": "cat", "confidence": 0.9, "type":
"groundtruth/image-classification", "human-annotated": "yes", "creation-date": "…"}`.
Sources: Amazon SageMaker AI Developer Guide, "Input data" and "Output data" of Ground Truth.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from backends.errors import InvalidInputError
from backends.files import replace_file
from backends.ports import ObjectStore
from tasks.labelling.answers import Answer
from tasks.labelling.batches import Batch, check_label

TYPE = "groundtruth/image-classification"
MAX_BYTES = 64 * 2**20
_REF = "source-ref"
_META = "-metadata"
_KEY = re.compile(r"/labelling/([A-Za-z0-9][A-Za-z0-9._]*)/[^/]+$")
_MEND = "Give the output manifest of an image classification job, as the job wrote it."


@dataclass(frozen=True, slots=True)
class Exported:
    """Where a labelling job finds its input: the manifest and the file of label categories."""

    batch: str
    pictures: int
    manifest: str
    categories: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an output manifest says. `failed` and `by_machine` have no answer of a person."""

    answers: tuple[Answer, ...]
    job: str
    failed: int
    by_machine: int


def key_of(batch: Batch, name: str) -> str:
    return f"labelling/{batch.id}/{name}"


def export_batch(batch: Batch, objects: ObjectStore) -> Exported:
    """Upload the pictures of a batch, the manifest that names them, and the classes.

    A repeated call uploads nothing twice. Raises what the store raises.
    """
    lines = []
    for example in batch.examples:
        uri = objects.put(example.file, key_of(batch, example.file.name))
        lines.append(json.dumps({_REF: uri}) + "\n")
    labels = [{"label": label} for label in batch.classes]
    categories = {"document-version": "2018-11-28", "labels": labels}
    manifest = batch.folder / "input.manifest"
    named = batch.folder / "categories.json"
    replace_file(manifest, "".join(lines))
    replace_file(named, json.dumps(categories))
    return Exported(
        batch=batch.id,
        pictures=len(lines),
        manifest=objects.put(manifest, key_of(batch, manifest.name)),
        categories=objects.put(named, key_of(batch, named.name)),
    )


def batch_named_in(manifest: Path) -> str:
    """The batch whose pictures an output manifest is about, by the first line's key."""
    for where, row in _rows(manifest):
        ref = _text(row, _REF, where)
        if found := _KEY.search(ref):
            return found[1]
        reason = f"{ref!r} is no picture that `edgeward label export` uploaded"
        raise InvalidInputError(f"{where}: {_REF}", reason, _MEND)
    raise InvalidInputError(str(manifest), "it has no line", _MEND)


def read_output(manifest: Path, batch: Batch, objects: ObjectStore) -> Imported:
    """The answers of an output manifest: all of it is read before any of it counts.

    Raises InvalidInputError that names the line and the field: no JSON, a picture that the batch
    does not have or that came before, another kind of job, a field that is missing or impossible.
    """
    uris = {
        objects.uri(key_of(batch, example.file.name)): example.image_id
        for example in batch.examples
    }
    answers: dict[str, Answer] = {}
    jobs: set[str] = set()
    seen: set[str] = set()
    failed = by_machine = 0
    for where, row in _rows(manifest):
        ref = _text(row, _REF, where)
        if ref not in uris:
            reason = f"{ref!r} is no picture of batch {batch.id}"
            raise InvalidInputError(f"{where}: {_REF}", reason, _MEND)
        if ref in seen:
            raise InvalidInputError(f"{where}: {_REF}", "an earlier line has it as well", _MEND)
        seen.add(ref)
        name, about = _metadata(row, where)
        jobs.add(name)
        if "failure-reason" in about:
            failed += 1
        elif _label(name, about, row, where):
            image_id = uris[ref]
            answers[image_id] = Answer(image_id, "label", str(about["class-name"]))
        else:
            by_machine += 1
    if len(jobs) > 1:
        reason = f"it holds the answers of several jobs: {', '.join(sorted(jobs))}"
        raise InvalidInputError(str(manifest), reason, "Give the manifest of one.")
    if not seen:
        raise InvalidInputError(str(manifest), "it has no line", _MEND)
    return Imported(tuple(answers.values()), jobs.pop(), failed, by_machine)


def _label(name: str, about: Mapping[str, Any], row: Mapping[str, Any], where: str) -> bool:
    """Check an answer; whether a person gave it."""
    field = f"{name}{_META}"
    check_label(_text(about, "class-name", f"{where}: {field}"), f"{where}: {field}.class-name")
    index = row.get(name)
    if type(index) is not int or index < 0:
        raise InvalidInputError(f"{where}: {name}", f"{index!r} is no class's number", _MEND)
    confidence = about.get("confidence")
    possible = isinstance(confidence, int | float) and 0 <= confidence <= 1
    if not possible or isinstance(confidence, bool):
        reason = f"{confidence!r} is no number from 0 to 1"
        raise InvalidInputError(f"{where}: {field}.confidence", reason, _MEND)
    date = _text(about, "creation-date", f"{where}: {field}")
    try:
        datetime.fromisoformat(date)
    except ValueError as error:
        reason = f"{date!r} is no date"
        raise InvalidInputError(f"{where}: {field}.creation-date", reason, _MEND) from error
    annotated = about.get("human-annotated")
    if annotated not in ("yes", "no"):
        reason = f"{annotated!r} is neither yes nor no"
        raise InvalidInputError(f"{where}: {field}.human-annotated", reason, _MEND)
    return bool(annotated == "yes")


def _metadata(row: Mapping[str, Any], where: str) -> tuple[str, Mapping[str, Any]]:
    """The job's name in the line, and what it says of its answer."""
    found = {
        name.removesuffix(_META): about
        for name, about in row.items()
        if name.endswith(_META) and isinstance(about, dict) and about.get("type") == TYPE
    }
    if len(found) != 1:
        kinds = [str(about.get("type")) for about in row.values() if isinstance(about, dict)]
        reason = f"{len(found)} answers of image classification ({', '.join(kinds) or 'none'})"
        raise InvalidInputError(f"{where}: <job>{_META}.type", f"it has {reason}", _MEND)
    return next(iter(found.items()))


def _rows(manifest: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line with where it is; empty lines are none."""
    try:
        if manifest.stat().st_size > MAX_BYTES:
            raise InvalidInputError(str(manifest), f"it has over {MAX_BYTES} bytes", "Cut it up.")
        with manifest.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                where = f"{manifest.name}: line {number}"
                if line.strip():
                    yield where, _object(line, where)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(str(manifest), f"it cannot be read: {error}", _MEND) from error


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(where, f"it is no JSON: {error}", _MEND) from error
    if not isinstance(row, dict):
        raise InvalidInputError(where, "it is no JSON object", _MEND)
    return row


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"{where}: {name}", f"{value!r} is no text", _MEND)
    return value
