"""Packs pictures with MXNet's own writer, as a job on this machine."""

import os
import shutil
from pathlib import Path

from backends.errors import JobError
from backends.local.jobs import LocalJobs
from backends.ports import OnLine

PROGRAM = "pack.py"


class LocalPacker:
    def __init__(self, jobs: LocalJobs) -> None:
        self._jobs = jobs

    def pack(self, job: str, lists: Path, into: Path, on_line: OnLine) -> None:
        output = self._jobs.run(job, PROGRAM, {}, {"lists": lists}, on_line).output_folder
        packed = sorted(path for path in output.rglob("*") if path.is_file())
        if not packed:
            raise JobError(job, f"there is no list in {lists}")
        for path in packed:
            _place(path, into / path.relative_to(output))


def _place(source: Path, target: Path) -> None:
    """Put the file at `target` at once; a link where the file system allows, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.tmp")
    unfinished.unlink(missing_ok=True)
    try:
        os.link(source, unfinished)
    except OSError:
        shutil.copyfile(source, unfinished)
    unfinished.replace(target)
    unfinished.unlink(missing_ok=True)  # renaming one link of a file onto another does nothing
