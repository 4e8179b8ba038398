"""What a run asked of AWS, call by call: kept beside its record, and shown as a table.

A line is one call: service, operation, target, status, moment. Nothing that was sent or answered
is in it, so it can be shown to anybody once account ids are masked.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from backends.aws.account import Call
from backends.errors import InvalidInputError

FILE = "aws-calls.jsonl"
_ACCOUNT_ID = re.compile(r"(?<!\d)\d{12}(?!\d)")
_HEAD = "| service | operation | target | status | calls |\n|---|---|---|---|---|\n"


class Transcript:
    """Takes calls in and appends them to a file, each line whole; any thread may call it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def __call__(self, call: Call) -> None:
        line = json.dumps(asdict(call)) + "\n"
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(line)


def read_calls(path: Path) -> Iterator[Call]:
    """The calls in order. Raises InvalidInputError where there is no transcript, or no sense in it.

    A last line that was cut off (the machine went down) is left out.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                if line.endswith("\n"):
                    yield _call(path, number, line)
    except FileNotFoundError as error:
        remedy = "Only runs with EDGEWARD_BACKEND__KIND=aws call AWS."
        raise InvalidInputError(str(path), "there is no transcript", remedy) from error


def as_table(calls: Iterable[Call]) -> str:
    """Markdown: each different call once, in order of its first time, and how often it was made.

    Account ids are masked. Statuses are HTTP's; 0 stands for no answer.
    """
    counted = Counter(
        (call.service, call.operation, mask(call.target), call.status) for call in calls
    )
    rows = (
        f"| {service} | {operation} | {f'`{target}`' if target else ''} | {status} | {count} |\n"
        for (service, operation, target, status), count in counted.items()
    )
    return _HEAD + "".join(rows)


def mask(text: str) -> str:
    """Without account ids."""
    return _ACCOUNT_ID.sub("<account>", text)


def _call(path: Path, number: int, line: str) -> Call:
    try:
        return Call(**json.loads(line))
    except (ValueError, TypeError) as error:
        what = f"{path}, line {number}"
        raise InvalidInputError(what, "is no call", "Delete the file.") from error
