"""The run record: what a run did, measured and decided, written whatever the outcome.

`run.json` is rewritten after each step, so that even a killed run leaves a true account. A run
whose process vanished reads "failed: it ended before it could say why".
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from backends.artifacts import Gate
from backends.errors import EdgewardError, GateRefusedError

VANISHED = "the run ended before it could say why (was it killed?)"
INTERRUPTED = "interrupted"
VERSIONS = ("edgeward", "prefect", "great-expectations", "pandas", "numpy", "dlr")

EMPTY: dict[str, Any] = {
    "status": "failed",
    "reason": VANISHED,
    "data": {"source": "", "images": 0, "classes": [], "fingerprint": ""},
    "gates": [],
    "split": None,
    "training": None,
    "evaluation": None,
    "compilation": None,
    "verification": None,
    "deployment": None,
    "first_results": [],
    "stages": {},
    "model_version": None,
}


@dataclass(frozen=True, slots=True)
class Run:
    """A run and the folder that holds all it writes about itself."""

    id: str
    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / "run.json"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"


def new_run_id() -> str:
    """An id that sorts by time and is unique on this machine."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def read_record(run: Run) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(run.record.read_text(encoding="utf-8"))
    return record


@contextmanager
def recorded(runs: Path, run_id: str, about: dict[str, Any]) -> Iterator[Run]:
    """Open a record, and close it with the outcome, whichever way the block is left."""
    run = Run(run_id, runs / run_id)
    run.folder.mkdir(parents=True, exist_ok=True)
    opened = {"run_id": run_id, **EMPTY, "versions": {name: version(name) for name in VERSIONS}}
    started = datetime.now(UTC).isoformat(timespec="seconds")
    _write(run, opened | {"started_at": started} | about)
    try:
        yield run
    except GateRefusedError as error:
        note(run, status="refused", reason=str(error))
        raise
    except EdgewardError as error:
        note(run, status="failed", reason=str(error))
        raise
    except Exception as error:
        note(run, status="failed", reason=f"{type(error).__name__}: {error}")
        raise
    except BaseException:
        note(run, status="failed", reason=INTERRUPTED)
        raise
    else:
        note(run, status="deployed", reason="")


def note(run: Run, **sections: Any) -> None:
    """Set sections of the record; dataclasses become tables."""
    _write(run, read_record(run) | {name: _plain(value) for name, value in sections.items()})


def note_gates(run: Run, gates: tuple[Gate, ...], overrides: tuple[str, ...]) -> tuple[Gate, ...]:
    """Record gates as they were judged; one that a person overrides no longer refuses."""
    judged = tuple(_overridden(gate) if gate.name in overrides else gate for gate in gates)
    note(run, gates=[*read_record(run)["gates"], *map(_plain, judged)])
    return judged


@contextmanager
def stage(run: Run, name: str) -> Iterator[None]:
    """Time a stage into the record, also when it fails."""
    started = time.monotonic()
    try:
        yield
    finally:
        seconds = round(time.monotonic() - started, 2)
        note(run, stages=read_record(run)["stages"] | {name: seconds})


def _overridden(gate: Gate) -> Gate:
    return Gate(
        gate.name, gate.passed, gate.measured, gate.limit, gate.reason, gate.passed is False
    )


def _plain(value: Any) -> Any:
    """JSON's own types, of dataclasses, tuples, paths and NumPy scalars as well."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value.item() if hasattr(value, "item") else value


def _write(run: Run, record: dict[str, Any]) -> None:
    temporary = run.record.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, run.record)
