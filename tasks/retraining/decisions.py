"""What was decided about retraining, and what came of it: `<home>/retraining/decisions.jsonl`."""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from backends.journal import append_line, read_lines
from tasks.recording import INTERRUPTED, VANISHED, Run, is_under_way, read_record
from tasks.retraining.deciding import Cause, Guard, Try

UNDER_WAY = "under way"
CUT_OFF = "cut off"
"""A run that was killed or interrupted: it goes on, and counts once."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, and why. `run_id`: the run that carries it out; empty where it is no.

    `forced` is the reason of a person who would have it in spite of the guards.
    """

    at: str
    thing: str
    source: str
    cause: Cause
    episode: str
    retrain: bool
    reason: str
    guards: tuple[Guard, ...]
    champion: str
    batches: tuple[str, ...]
    new_labels: int
    run_id: str = ""
    forced: str = ""
    not_before: str = ""

    def as_table(self) -> dict[str, Any]:
        return asdict(self)

    def repeats(self, other: "Decision") -> bool:
        """Whether nothing has changed but the time."""
        return not self.retrain and _lasting(self) == _lasting(other)


@contextmanager
def deciding(home: Path) -> Iterator[None]:
    """One process decides at a time; a killed one lets go."""
    folder = home / "retraining"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def keep_decision(home: Path, decision: Decision) -> None:
    """Append it, unless it says just what the thing's last one said."""
    last = next(iter(reversed(read_decisions(home, decision.thing))), None)
    if last is None or not decision.repeats(last):
        append_line(_file(home), decision.as_table())


def read_decisions(home: Path, thing: str = "") -> list[Decision]:
    """Those of a thing, or all; oldest first."""
    found = [_parse(record) for _, record in read_lines(_file(home))]
    return [decision for decision in found if thing in ("", decision.thing)]


def tries(home: Path, thing: str, usd_of: Mapping[str, float] | None = None) -> tuple[Try, ...]:
    """What came of the decisions to train again; `usd_of` has what runs have cost."""
    return tuple(
        Try(
            run_id=one.run_id,
            begun_at=datetime.fromisoformat(one.at),
            episode=one.episode,
            champion=one.champion,
            batches=one.batches,
            status=status_of(Run(one.run_id, home / "runs" / one.run_id)),
            usd=(usd_of or {}).get(one.run_id, 0.0),
        )
        for one in read_decisions(home, thing)
        if one.retrain
    )


def status_of(run: Run) -> str:
    """The run's status, or that it is under way, or was cut off before it could end."""
    if not run.record.is_file():
        return CUT_OFF
    if is_under_way(run):
        return UNDER_WAY
    record = read_record(run)
    cut_off = record["status"] == "failed" and record["reason"] in (VANISHED, INTERRUPTED)
    return CUT_OFF if cut_off else str(record["status"])


def _file(home: Path) -> Path:
    return home / "retraining" / "decisions.jsonl"


def _lasting(decision: Decision) -> tuple[object, ...]:
    """What tells decisions apart: not the time, nor figures that change with it."""
    refusing = tuple(guard.name for guard in decision.guards if not guard.passed)
    return (
        decision.cause,
        decision.episode,
        decision.retrain,
        refusing,
        decision.champion,
        decision.batches,
        decision.new_labels,
    )


def _parse(record: dict[str, Any]) -> Decision:
    guards = tuple(Guard(**guard) for guard in record["guards"])
    batches = tuple(str(batch) for batch in record["batches"])
    return Decision(**{**record, "guards": guards, "batches": batches})
