"""What the adapters of a backend do with an interpreter that only says how it was called."""

import stat
from dataclasses import dataclass
from pathlib import Path

from backends.connect import connect
from backends.errors import EdgewardError
from backends.settings import BackendSettings, Settings


@dataclass(frozen=True, slots=True)
class Answer:
    """What a job said, and how it ended."""

    lines: tuple[str, ...]
    error: EdgewardError | None


def interpreter(folder: Path, script: str) -> Path:
    """A program that runs a shell script, whatever it is asked to run."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "interpreter"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def ask_a_job(folder: Path, backend: BackendSettings, max_usd: float, script: str) -> Answer:
    """Run the packing job with a shell script for an interpreter."""
    lists = folder / "lists"
    lists.mkdir(parents=True)
    for name in ("train.lst", "validation.lst", "test.lst", "pictures.json"):
        (lists / name).write_text("{}")
    chosen = backend.model_copy(update={"jobs_python": interpreter(folder, script)})
    packer = connect(Settings(home=folder / "home", backend=chosen), max_usd).packer
    lines: list[str] = []
    try:
        packer.pack("pack", lists, folder / "packed", lines.append)
    except EdgewardError as error:
        return Answer(tuple(lines), error)
    return Answer(tuple(lines), None)
