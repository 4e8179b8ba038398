"""What one phase of a run hands to the next, kept beside the record so that a run can go on later.

Values are small and say where things are; the things themselves lie where the phases put them.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from backends.errors import InvalidInputError
from backends.files import replace_file
from tasks.recording import Run

FOLDER = "handover"


def hand_over(run: Run, **values: Any) -> None:
    """Keep dataclasses, pydantic models or plain values under their names."""
    for name, value in values.items():
        text = TypeAdapter(type(value)).dump_json(value, indent=2)
        replace_file(run.folder / FOLDER / f"{name}.json", text, durable=True)


def take_over[T](run: Run, name: str, kind: type[T]) -> T:
    """What was handed over as `name`; raises InvalidInputError where the run did not get so far."""
    path = run.folder / FOLDER / f"{name}.json"
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError as error:
        remedy = "Let the run go on from an earlier phase, or make a new one."
        raise InvalidInputError(f"run {run.id}", f"it has no {name} yet", remedy) from error
    except ValidationError as error:
        reason = f"it does not hold a {kind.__name__} of this version"
        raise InvalidInputError(str(path), reason, "Make a new run.") from error


def has_handed_over(run: Run, name: str) -> bool:
    return (run.folder / FOLDER / f"{name}.json").is_file()


def withdraw(run: Run, names: Iterable[str]) -> None:
    """Take back what a phase handed over before it is done again."""
    for name in names:
        (run.folder / FOLDER / f"{name}.json").unlink(missing_ok=True)
