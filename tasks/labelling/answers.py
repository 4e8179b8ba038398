"""What people said of the pictures of a batch: `answers.jsonl`, a line for each time they said it.

A line holds one or many answers and counts whole or not at all: one that a power cut tore apart
is as if it had never been said. The last answer to a picture counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from backends.errors import InvalidInputError
from backends.journal import append_line, read_lines
from tasks.labelling.batches import Batch, check_label, locked

Verdict = Literal["label", "unusable", "skip", "none"]
"""`none` takes an answer back."""
_FILE = "answers.jsonl"
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
    found: dict[str, Given] = {}
    for number, said in read_lines(batch.folder / _FILE):
        for row in said["answers"]:
            answer = Answer(**row)
            found[answer.image_id] = Given(answer, said["by"], said["at"], number)
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
    append_line(batch.folder / _FILE, said)
