"""Which runs were deployed to a thing: what a retraining starts from."""

from pathlib import Path

from backends.errors import InvalidInputError
from tasks.handover import has_handed_over
from tasks.recording import Run, read_record


def last_deployed(runs: Path, thing: str) -> Run:
    """The newest run that was deployed to `thing`; raises InvalidInputError: there is none."""
    for folder in sorted(runs.glob("*"), reverse=True):
        run = Run(folder.name, folder)
        if not run.record.is_file() or not has_handed_over(run, "plan"):
            continue
        record = read_record(run)
        if record.get("thing") == thing and record["status"] == "deployed":
            return run
    remedy = f"Deploy to it first: edgeward run --thing {thing}"
    raise InvalidInputError(thing, "no run was deployed to it", remedy)
