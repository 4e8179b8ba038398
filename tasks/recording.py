"""The run record: what a run did, measured and decided, written whatever the outcome.

`run.json` is rewritten after each step, so that even a killed run leaves a true account. A run
whose process vanished reads "failed: it ended before it could say why".
"""

import fcntl
import json
import logging
import secrets
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from backends.artifacts import Gate
from backends.errors import EdgewardError, GateRefusedError, InvalidInputError
from backends.files import replace_file
from tasks.business_understanding import Targets, parse_targets

logger = logging.getLogger(__name__)

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
    "approval": None,
    "deployment": None,
    "first_results": [],
    "stages": {},
    "model_version": None,
}


@dataclass(frozen=True, slots=True)
class Run:
    """A run and the folder that holds all it writes about itself.

    What is in `closing` is called, last one first, once the outcome is in the record.
    """

    id: str
    folder: Path
    closing: "list[Callable[[Run], None]]" = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder.parents[1]

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
    """Raises InvalidInputError when it is damaged."""
    return _read(run.record)


@contextmanager
def recorded(run: Run, about: dict[str, Any]) -> Iterator[Run]:
    """Open a record, and close it with the outcome, whichever way the block is left.

    A block that says nothing else by itself (`note(run, status=…)`) ended `deployed`. What a run
    that goes on has in its record already is given in `about`. Raises InvalidInputError when
    another process is at work on this run.
    """
    with _held(run), _account(run, about):
        yield run


def is_under_way(run: Run) -> bool:
    """Whether a process is at work on the run, or paused in the midst of it."""
    with (run.folder / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def _held(run: Run) -> Iterator[None]:
    """Keeps others from going on with the same run meanwhile; a killed process lets go of it."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            remedy = "Wait for its end, or cancel it."
            raise InvalidInputError(f"run {run.id}", "it is under way", remedy) from error
        yield


@contextmanager
def _account(run: Run, about: dict[str, Any]) -> Iterator[None]:
    opened = {"run_id": run.id, **EMPTY, "versions": {name: version(name) for name in VERSIONS}}
    started = datetime.now(UTC).isoformat(timespec="seconds")
    _write(run, opened | {"started_at": started} | _plain(about))
    try:
        yield
    except GateRefusedError as error:
        note(run, status="refused", reason=str(error))
        raise
    except EdgewardError as error:
        note(run, status="failed", reason=str(error))
        raise
    except Exception as error:
        (run.folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
        note(run, status="failed", reason=f"{type(error).__name__}: {error}")
        raise
    except BaseException:
        note(run, status="failed", reason=INTERRUPTED)
        raise
    else:
        if read_record(run)["reason"] == VANISHED:
            note(run, status="deployed", reason="")
    finally:
        note(run, ended_at=datetime.now(UTC).isoformat(timespec="seconds"))
        _close(run)


def targets_of(runs: Path, thing: str) -> Targets:
    """What the newest run that was deployed to `thing` was asked to reach; else the defaults."""
    for path in sorted(runs.glob("*/run.json"), reverse=True):
        record = _read(path)
        if record["thing"] == thing and record["status"] == "deployed":
            return parse_targets(record["targets"], str(path))
    return Targets()


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


def _close(run: Run) -> None:
    """Do all that is to be done at the end; what fails is told, and hides no outcome."""
    for close in reversed(run.closing):
        try:
            close(run)
        except (EdgewardError, OSError) as error:
            logger.warning("%s: at the end: %s", run.id, error)


def _read(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        remedy = "Move the run's folder out of runs/; no other run needs it."
        raise InvalidInputError(str(path), f"it is no JSON: {error}", remedy) from error
    return record


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
    replace_file(run.record, json.dumps(record, indent=2) + "\n")
