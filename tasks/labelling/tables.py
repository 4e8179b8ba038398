"""Labels from a table, for those who label without a browser: `image_id,label` in CSV."""

import csv
from pathlib import Path

from backends.errors import InvalidInputError
from tasks.labelling.answers import Answer
from tasks.labelling.batches import Batch, check_label

COLUMNS = ("image_id", "label")
UNUSABLE = "!unusable"
MAX_BYTES = 16 * 2**20
_LEAST_DIGITS = 8


def read_labels(path: Path, batch: Batch) -> list[Answer]:
    """The answers in a CSV file. An empty label is skipped; `!unusable` says that of a picture.

    `image_id` may be cut off to what tells pictures of the batch apart, 8 digits at least. Raises
    InvalidInputError that names the line and the field: then none of it counts.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidInputError(str(path), f"over {MAX_BYTES} bytes", "Cut it into parts.")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            if tuple(header[: len(COLUMNS)]) != COLUMNS:
                reason = f"its first line is {','.join(header)!r}"
                raise InvalidInputError(
                    f"{path}: line 1", reason, f"Begin with {','.join(COLUMNS)}."
                )
            answers: dict[str, Answer] = {}
            for row in reader:
                where = f"{path}: line {reader.line_num}"
                if row and (answer := _answer(row, where, batch)):
                    if answer.image_id in answers:
                        reason = "the picture is in an earlier line as well"
                        raise InvalidInputError(f"{where}: image_id", reason, "Leave one.")
                    answers[answer.image_id] = answer
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(str(path), f"no readable CSV: {error}", "Mend it.") from error
    return list(answers.values())


def _answer(row: list[str], where: str, batch: Batch) -> Answer | None:
    if len(row) < len(COLUMNS):
        raise InvalidInputError(where, "it has no label", "Write image_id,label.")
    given, label = row[0].strip(), row[1].strip()
    found = [each.image_id for each in batch.examples if each.image_id.startswith(given)]
    if len(given) < _LEAST_DIGITS or len(found) != 1:
        reason = f"{given!r} is {len(found)} pictures of batch {batch.id}"
        remedy = f"`edgeward label --list --batch {batch.id}` names them."
        if len(given) < _LEAST_DIGITS:
            reason = f"{given!r} is shorter than {_LEAST_DIGITS} digits"
        raise InvalidInputError(f"{where}: image_id", reason, remedy)
    if not label:
        return None
    if label == UNUSABLE:
        return Answer(found[0], "unusable")
    return Answer(found[0], "label", check_label(label, f"{where}: label"))
