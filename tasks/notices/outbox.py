"""What waits to be told, and to whom it was told already: `<home>/notices/outbox.json`.

Every change is on the disk before anything is sent, so that a killed process forgets nothing; what
is sent again by the next one has the same id. All of it is bounded.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from backends.artifacts import Message
from backends.errors import InvalidInputError
from backends.files import replace_file
from tasks.notices.kinds import Notice

MOST_WAITING = 1000
MOST_MESSAGES = 100
MOST_KNOWN = 5000


@dataclass(slots=True)
class Pending:
    """A message, and the channels that have not taken it yet, with what they said last."""

    message: Message
    made_at: str
    left: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Outbox:
    """`heard`: ids of events to when they were taken in. `said`: what was last said of a scope.

    `dropped` counts what did not fit, and is told with the next message.
    """

    heard: dict[str, str] = field(default_factory=dict)
    said: dict[str, tuple[str, str]] = field(default_factory=dict)
    waiting: list[Notice] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    held: bool = False
    dropped: int = 0

    def trim(self) -> None:
        """Keep what is newest."""
        self.heard = _newest(self.heard)
        self.said = _newest(self.said)
        self.dropped += max(0, len(self.waiting) - MOST_WAITING)
        self.waiting = self.waiting[-MOST_WAITING:]
        self.pending = self.pending[-MOST_MESSAGES:]


@contextmanager
def held(home: Path) -> Iterator[None]:
    """One process at a time tells people; others wait."""
    folder = _file(home).parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read_outbox(home: Path) -> Outbox:
    """Raises InvalidInputError for a damaged file."""
    path = _file(home)
    try:
        return TypeAdapter(Outbox).validate_json(path.read_bytes())
    except FileNotFoundError:
        return Outbox()
    except (OSError, ValidationError) as error:
        reason = "it is damaged, or of another version"
        raise InvalidInputError(str(path), reason, "Delete it: what waits is lost.") from error


def write_outbox(home: Path, outbox: Outbox) -> None:
    outbox.trim()
    replace_file(_file(home), json.dumps(asdict(outbox), indent=1), mode=0o600, durable=True)


def _newest[V](known: Mapping[str, V]) -> dict[str, Any]:
    return dict(list(known.items())[-MOST_KNOWN:])


def _file(home: Path) -> Path:
    return home / "notices" / "outbox.json"
