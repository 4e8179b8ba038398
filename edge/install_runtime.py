"""Provides the interpreter that the inference component runs on: found, or made. Run on install.

Writes an executable `python` into the work folder, which runs the configured interpreter, or
that of a virtual environment made here with the requirements installed. Standard library only;
run again, it does again only what is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import List, Optional

MODULES = ("dlr", "numpy", "PIL", "awsiot")
WRAPPER = "python"
_STAMP = "installed"  # beside the environment: which requirements went into it
_TELEMETRY = {"enable_phone_home": False, "enable_device_info": False}

_PROBE = """
import importlib.util, json, sys
found = {name: importlib.util.find_spec(name) for name in sys.argv[1:]}
dlr = found.get("dlr")
print(json.dumps({
    "version": list(sys.version_info[:2]),
    "missing": [name for name, spec in found.items() if spec is None],
    "dlr": list(dlr.submodule_search_locations)[0] if dlr else None,
}))
"""
_OLDEST = [3, 9]


class InstallError(Exception):
    """The device cannot run the inference component; the message says why, and what would help."""


def main(arguments: Optional[List[str]] = None) -> int:
    """Install, and say what was done. Status 1 with one line on standard error when it fails."""
    parser = argparse.ArgumentParser(description="Provide the interpreter with the DLR runtime.")
    parser.add_argument("--python", default="", help="has the requirements already")
    parser.add_argument("--requirements", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        python = install(options.python, options.requirements, options.work.resolve())
    except (InstallError, OSError) as error:
        sys.stderr.write(f"runtime: {error}\n")
        return 1
    _say(f"{options.work / WRAPPER} runs {python}")
    return 0


def install(python: str, requirements: Path, work: Path) -> Path:
    """Provide `<work>/python`; the interpreter that it runs. Raises InstallError, OSError."""
    if python:
        interpreter = Path(python)
        if not interpreter.is_absolute() or not os.access(str(interpreter), os.X_OK):
            raise InstallError(f"Python: {python!r} is not the absolute path of a program")
    else:
        interpreter = _environment(requirements, work)
    _check(interpreter)
    _write(work / WRAPPER, f'#!/bin/sh\nexec {shlex.quote(str(interpreter))} "$@"\n', 0o755)
    return interpreter


def _environment(requirements: Path, work: Path) -> Path:
    """A virtual environment of `requirements` in `work`, made anew when they have changed."""
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    folder = work / f"environment-{wanted}"
    interpreter = folder / "bin" / "python"
    if (folder / _STAMP).exists():
        return interpreter
    shutil.rmtree(str(folder), ignore_errors=True)  # an attempt that was interrupted
    _say(f"installing {requirements.name} into {folder}")
    try:
        venv.create(str(folder), with_pip=True, symlinks=True)
    except (subprocess.CalledProcessError, OSError) as error:
        raise InstallError(
            f"no virtual environment can be made ({error}): install python3-venv"
        ) from error
    pip = [str(interpreter), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    finished = subprocess.run([*pip, "-r", str(requirements)], check=False)  # noqa: S603
    if finished.returncode != 0:
        shutil.rmtree(str(folder), ignore_errors=True)
        raise InstallError("pip could not install the requirements; its own words are above")
    _write(folder / _STAMP, wanted + "\n", 0o644)
    return interpreter


def _check(interpreter: Path) -> None:
    """See that the interpreter finds every module, without importing dlr: that phones home."""
    command = [str(interpreter), "-c", _PROBE, *MODULES]
    finished = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # noqa: S603
    try:
        found = json.loads(finished.stdout)
    except ValueError as error:
        raise InstallError(f"{interpreter} is no working Python") from error
    if found["version"] < _OLDEST:
        raise InstallError(f"{interpreter} is Python {found['version']}, 3.9 or later is needed")
    if found["missing"]:
        raise InstallError(f"{interpreter} lacks {', '.join(found['missing'])}")
    _silence(Path(found["dlr"]))


def _silence(dlr: Path) -> None:
    """Switch dlr's phone-home off for everyone; the component guards itself where this fails."""
    try:
        _write(dlr / "counter" / "ccm_config.json", json.dumps(_TELEMETRY) + "\n", 0o644)
    except OSError as error:
        _say(f"dlr's telemetry setting cannot be written ({error})")


def _say(text: str) -> None:
    sys.stdout.write(f"runtime: {text}\n")
    sys.stdout.flush()


def _write(path: Path, text: str, mode: int) -> None:
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(mode)
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main())
