"""What people said of the pictures of a batch: `answers.jsonl`, a line for each time they said it.

A line holds one or many answers and counts whole or not at all: one that a power cut tore apart
is as if it had never been said. The last answer to a picture counts.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from backends.errors import InvalidInputError
from tasks.labelling.batches import Batch, check_label, locked

Verdict = Literal["label", "unusable", "skip", "none"]
"""`none` takes an answer back."""
VERDICTS: tuple[Verdict, ...] = ("label", "unusable", "skip", "none")


class AnsweredMeanwhileError(InvalidInputError):
    """Somebody else has answered since the picture was shown."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said of a picture; `label` only where the verdict is one."""

    image_id: str
    verdict: Verdict
    label: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that counts. `line` tells it from an earlier one to the same picture."""

    answer: Answer
    by: str
    at: str
    line: int


def given_answers(batch: Batch) -> dict[str, Given]:
    """The answers that count, by image_id."""
    try:
        text = (batch.folder / "answers.jsonl").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    found: dict[str, Given] = {}
    for number, line in enumerate(text.split("\n"), 1):
        try:
            said = json.loads(line)
            answers = [Answer(**row) for row in said["answers"]]
            by, at = str(said["by"]), str(said["at"])
        except (ValueError, KeyError, TypeError):
            continue  # torn apart, or the end
        found |= {each.image_id: Given(each, by, at, number) for each in answers}
    return found


def give_answers(
    batch: Batch, answers: Sequence[Answer], by: str, seen: Mapping[str, int] | None = None
) -> dict[str, Given]:
    """Keep answers, all or none; they are on the disk when this returns. Gives all that count.

    `seen` has the line (0: none) of the answer that was shown for a picture. Raises
    AnsweredMeanwhileError where there is another by now, InvalidInputError for an answer that is
    none, and for a batch that is finished.
    """
    for answer in answers:
        _check(batch, answer)
    with locked(batch.folder):
        if batch.finished:
            remedy = "What it was labelled as is among the collected pictures."
            raise InvalidInputError(f"batch {batch.id}", "it is finished", remedy)
        known = given_answers(batch)
        for image_id, line in (seen or {}).items():
            found = known.get(image_id)
            if found and found.line != line:
                reason = f"{found.by} has answered meanwhile"
                raise AnsweredMeanwhileError(f"picture {image_id[:12]}", reason, "Look again.")
        _append(batch, answers, by)
    return given_answers(batch)


def _check(batch: Batch, answer: Answer) -> None:
    example = batch.example(answer.image_id)
    where = f"picture {example.image_id[:12]}"
    if answer.verdict not in VERDICTS:
        remedy = f"Take one of {', '.join(VERDICTS)}."
        raise InvalidInputError(f"{where}: verdict", f"{answer.verdict!r} is none", remedy)
    if answer.verdict == "label":
        check_label(answer.label, f"{where}: label")
    elif answer.label:
        remedy = "Leave the label empty."
        raise InvalidInputError(f"{where}: label", f"{answer.verdict} has no label", remedy)


def _append(batch: Batch, answers: Sequence[Answer], by: str) -> None:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    said = {"at": at, "by": by, "answers": [asdict(answer) for answer in answers]}
    path = batch.folder / "answers.jsonl"
    with path.open("ab+") as stream:
        # A line that was torn apart is ended first, so that it takes no other with it.
        end = stream.seek(0, os.SEEK_END)
        torn = end > 0 and os.pread(stream.fileno(), 1, end - 1) != b"\n"
        stream.write((b"\n" if torn else b"") + json.dumps(said).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
