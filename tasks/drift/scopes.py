"""What is looked at together: a thing, a group of things, or all of them."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backends.ports import StatisticsStore
from tasks.statistics_store import NewWindows, read_new_windows

Kind = Literal["thing", "group", "fleet"]


@dataclass(frozen=True, slots=True)
class Scope:
    """`str` gives `hub-1`, `group:porch` or `fleet`. A thing has no members but itself."""

    kind: Kind
    name: str
    things: tuple[str, ...]

    def __str__(self) -> str:
        return {"thing": self.name, "group": f"group:{self.name}", "fleet": "fleet"}[self.kind]

    @property
    def resource(self) -> str:
        """What its events are of."""
        return "edgeward.fleet" if self.kind == "fleet" else f"edgeward.{self.kind}.{self.name}"

    @property
    def folder(self) -> str:
        """Below `<home>/monitor`; no thing's name has an `@` in it."""
        return {"thing": self.name, "group": f"@group.{self.name}", "fleet": "@fleet"}[self.kind]


def of_thing(thing: str) -> Scope:
    """The scope of one thing."""
    return Scope("thing", thing, (thing,))


def monitor_folder(home: Path, scope: Scope) -> Path:
    """Where all that is remembered about a scope lies."""
    return home / "monitor" / scope.folder


def cursors(home: Path, scope: Scope) -> Path:
    """The home of the scope's cursors: a group reads the windows of its things for itself."""
    return home if scope.kind == "thing" else monitor_folder(home, scope)


def read_scope(store: StatisticsStore, home: Path, scope: Scope) -> tuple[NewWindows, ...]:
    """What each thing of the scope reported that the scope has not judged."""
    return tuple(read_new_windows(store, cursors(home, scope), thing) for thing in scope.things)


@contextmanager
def held(home: Path, scope: Scope) -> Iterator[None]:
    """Nobody else looks at the scope meanwhile: waits for its end. A killed process lets go."""
    folder = monitor_folder(home, scope)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
