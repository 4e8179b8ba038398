"""Rollbacks, each in a file of its own that says how far it has come.

`<home>/quality/rollbacks/<id>.json` is written before anything is changed, and again after each
step; a process that finds one unfinished goes on with it. The files are never taken away: they say
which versions a device had to give back.
"""

import fcntl
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from backends.artifacts import Gate
from backends.errors import InvalidInputError
from backends.files import replace_file

Step = Literal["deployed", "registry", "data", "record", "told"]
STEPS: tuple[Step, ...] = ("deployed", "registry", "data", "record", "told")
BY_ITSELF = "edgeward"


@dataclass(frozen=True, slots=True)
class Rollback:
    """A model that a device gives back. `run` is the one that shipped it; empty: none did.

    `before`: the deployments since that moment (ISO 8601) are undone. `figures` are the checks that
    decided. `decided_at` names it, together with the thing.
    """

    thing: str
    run: str
    from_version: str
    to_version: str
    before: str
    reason: str
    by: str
    decided_at: str
    figures: tuple[dict[str, Any], ...] = ()
    done: tuple[Step, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.thing}--{re.sub(r'[^0-9]', '', self.decided_at)[:20]}"

    @property
    def is_finished(self) -> bool:
        return set(self.done) == set(STEPS)


def decide(
    home: Path,
    thing: str,
    run: str,
    versions: tuple[str, str],
    before: str,
    reason: str,
    by: str,
    figures: Sequence[dict[str, Any]] = (),
) -> Rollback:
    """Write down that a model is taken back; `versions`: from, to."""
    now = datetime.now(UTC).isoformat()
    made = Rollback(thing, run, *versions, before, reason, by, now, tuple(figures))
    save(home, made)
    return made


def save(home: Path, rollback: Rollback) -> Rollback:
    replace_file(
        _folder(home) / f"{rollback.id}.json", json.dumps(asdict(rollback), indent=1), durable=True
    )
    return rollback


def did(home: Path, rollback: Rollback, step: Step) -> Rollback:
    """Remember a step that was taken."""
    return save(home, replace(rollback, done=(*rollback.done, step)))


def rollbacks_of(home: Path, thing: str = "") -> tuple[Rollback, ...]:
    """Every rollback of a thing (of all, where none is named), oldest first.

    Raises InvalidInputError for a damaged file.
    """
    found = [_read(path) for path in _folder(home).glob("[!.]*.json")]
    ours = [one for one in found if not thing or one.thing == thing]
    return tuple(sorted(ours, key=lambda one: (one.decided_at, one.thing)))


def rolled_back(home: Path, thing: str) -> frozenset[str]:
    """Model versions that a thing had to give back, and that it is not given again by itself."""
    return frozenset(one.from_version for one in rollbacks_of(home, thing))


def judge_version(home: Path, thing: str, version: str) -> Gate:
    """The gate device.rolled-back: a version that `thing` gave back is not deployed by itself.

    A person may override it.
    """
    name = "device.rolled-back"
    before = [one for one in rollbacks_of(home, thing) if one.from_version == version]
    if not before:
        return Gate(name, True, 0, 0, f"{thing} never had to give {version} back")
    last = before[-1]
    reason = f"{thing} gave {version} back on {last.decided_at[:16]} UTC: {last.reason}"
    return Gate(name, False, len(before), 0, reason)


@contextmanager
def held(home: Path, thing: str) -> Iterator[None]:
    """One process at a time judges a thing, or takes its model back; others wait here."""
    folder = home / "quality" / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / thing).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> Rollback:
    try:
        return TypeAdapter(Rollback).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = "it holds no rollback of this version of Edgeward"
        remedy = "Mend it, or delete it where the device runs what it should."
        raise InvalidInputError(str(path), reason, remedy) from error


def _folder(home: Path) -> Path:
    return home / "quality" / "rollbacks"
