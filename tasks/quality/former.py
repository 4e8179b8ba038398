"""What the registry and the accepted data held before a run put its own in their place.

Kept in the run's folder, so that a model that is taken back leaves them as it found them.
"""

import json
import shutil
import uuid
from pathlib import Path

from prefect import task

from backends.files import replace_file
from backends.ports import Tracker
from tasks.handover import hand_over, has_handed_over, take_over
from tasks.recording import Run
from tasks.retrying import CALLS_BACKEND

_RECORD = "summary.json"
_NAME = "former_champion"


@task(**CALLS_BACKEND, task_run_name="keep what {version} takes the place of")
def keep_former(tracker: Tracker, model: str, version: str, accepted: Path, run: Run) -> None:
    """Before `version` becomes champion: keep who was, and the accepted data beside it.

    Once the version is champion there is nothing left to keep: a run that is gone on with changes
    nothing.
    """
    champion = tracker.champion(model)
    if champion and champion.version == version and has_handed_over(run, _NAME):
        return
    hand_over(run, **{_NAME: champion.version if champion else ""})
    if (accepted / _RECORD).is_file():
        _copy(accepted, _kept(run))


def restore_champion(tracker: Tracker, model: str, version: str, run: Run) -> bool:
    """Make the former champion champion again, where `version` still is; whether that was done."""
    if not has_handed_over(run, _NAME):
        return False
    former, champion = take_over(run, _NAME, str), tracker.champion(model)
    if not former or champion is None or champion.version != version or former == version:
        return False
    tracker.promote(model, former, {})
    return True


def restore_accepted(accepted: Path, fingerprint: str, run: Run) -> bool:
    """Accept the former data again, where those of the run still are; whether that was done."""
    kept = _kept(run)
    if not (kept / _RECORD).is_file() or _fingerprint(accepted) != fingerprint:
        return False
    if _fingerprint(kept) == fingerprint:
        return False
    named = str(json.loads((kept / _RECORD).read_text(encoding="utf-8"))["manifest"])
    replace_file(accepted / named, (kept / named).read_bytes())
    replace_file(accepted / _RECORD, (kept / _RECORD).read_bytes(), durable=True)
    for other in accepted.glob("manifest-*.parquet"):
        if other.name != named:
            other.unlink(missing_ok=True)
    return True


def _fingerprint(folder: Path) -> str:
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        return str(record["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _kept(run: Run) -> Path:
    return run.folder / "before" / "accepted"


def _copy(folder: Path, into: Path) -> None:
    """All of it, or what was there before."""
    unfinished = into.with_name(f".{into.name}-{uuid.uuid4().hex[:8]}")
    shutil.copytree(folder, unfinished)
    shutil.rmtree(into, ignore_errors=True)
    unfinished.rename(into)
