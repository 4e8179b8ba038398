"""Provides the interpreter that the inference component runs on: found, or made. Run on install.

Writes an executable `python` into the work folder. It runs the first interpreter that is configured
and there, with what that one lacks installed beside it, or without any, that of a virtual
environment made here. Where the archive has wheels, they are all that is installed from: no index
is asked. Standard library only. Run again, it does again only what is missing.
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
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

MODULES = ("dlr", "numpy", "PIL", "awsiot")
WRAPPER = "python"
_PACKAGES = {"numpy": "numpy", "PIL": "pillow", "awsiot": "awsiotsdk"}
_MADE = ("environment-*", "additions-*")  # what this program makes in the work folder
_STAMP = "installed"  # in each of those, once it is complete
_TELEMETRY = {"enable_phone_home": False, "enable_device_info": False}
_MB = 1_000_000
_ROOM = 150 * _MB  # on the disk: the requirements unpacked, and pip's own files
_PIP_ROOM = 20 * _MB

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


@dataclass(frozen=True)
class Offer:
    """What there is to install: requirements, and the wheels of them where the archive has any."""

    requirements: Path
    wheels: Optional[Path] = None
    python: str = ""
    """Which Python the wheels are for, as in "3.11"."""

    @classmethod
    def read(cls, requirements: Path) -> Offer:
        wheels = requirements.parent / "wheels"
        if not wheels.is_dir():
            return cls(requirements)
        about = json.loads((wheels / "wheels.json").read_text(encoding="utf-8"))
        return cls(wheels / "requirements.txt", wheels, str(about["python"]))

    @property
    def room(self) -> int:
        """Bytes that an installation takes."""
        if self.wheels is None:
            return _ROOM
        entries = (entry for path in self.wheels.glob("*.whl") for entry in _entries(path))
        return _PIP_ROOM + sum(entry.file_size for entry in entries)

    def name(self, version: str) -> str:
        """What tells an installation for Python `version` from another one."""
        content = version.encode() + self.requirements.read_bytes()
        return hashlib.sha256(content).hexdigest()[:16]

    def pip(self) -> List[str]:
        """Options of `pip install`."""
        if self.wheels is None:
            return []
        return ["--isolated", "--no-index", "--find-links", str(self.wheels), "--only-binary=:all:"]

    def check(self, version: str, interpreter: Path) -> None:
        """Refuse an interpreter that the wheels are not for. Raises InstallError."""
        if self.python and self.python != version:
            raise InstallError(
                f"the wheels of this archive are for Python {self.python}, and {interpreter} is "
                f"{version}: install python{self.python}, or deploy wheels for {version}"
            )


def main(arguments: Optional[List[str]] = None) -> int:
    """Install, and say what was done. Status 1 with one line on standard error when it fails."""
    parser = argparse.ArgumentParser(description="Provide the interpreter with the DLR runtime.")
    parser.add_argument("--python", default="", help="has dlr already; several with ':' between")
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
    offer = Offer.read(requirements)
    made = None
    if python:
        interpreter = _configured(python, work)
        found = _probe(interpreter)
        if found["missing"] and found["dlr"]:
            made = _additions(interpreter, found["missing"], offer, work)
            found = _probe(interpreter, made)
    else:
        made = _environment(offer, work)
        interpreter = made / "bin" / "python"
        found = _probe(interpreter)
    if found["missing"]:
        raise InstallError(f"{interpreter} lacks {', '.join(found['missing'])}")
    _silence(Path(found["dlr"]))
    beside = made if python else None
    former = _former(work)
    _write(work / WRAPPER, _wrapper(interpreter, beside), 0o755)
    _remove_all_but([made, *former], work)
    return interpreter


def _configured(python: str, work: Path) -> Path:
    """The first of the interpreters that is there; relative ones lie beside the work folder."""
    for name in python.split(":"):
        path = work / name  # an absolute one stays as it is
        if (name.startswith(("/", "../"))) and os.access(str(path), os.X_OK):
            return Path(os.path.normpath(str(path)))
    raise InstallError(f"Python: {python!r} is not the path of a program, absolute or from ../")


def _environment(offer: Offer, work: Path) -> Path:
    """A virtual environment of what is offered, in `work`; made where it is not there yet."""
    base, version = _base(offer)
    folder = work / f"environment-{offer.name(version)}"
    if (folder / _STAMP).exists():
        return folder
    _clear(work, folder, offer)
    _say(f"installing {offer.requirements.name} into {folder}")
    made = subprocess.run([str(base), "-m", "venv", str(folder)], check=False)  # noqa: S603
    if made.returncode != 0:
        raise InstallError("no virtual environment can be made: install python3-venv")
    _pip(folder / "bin" / "python", ["-r", str(offer.requirements)], offer, folder)
    _write(folder / _STAMP, version + "\n", 0o644)
    return folder


def _additions(interpreter: Path, missing: List[str], offer: Offer, work: Path) -> Path:
    """A folder with what `interpreter` lacks, and nothing that would hide what it has."""
    version = ".".join(map(str, _probe(interpreter)["version"]))
    offer.check(version, interpreter)
    folder = work / f"additions-{offer.name('+'.join([version, *missing]))}"
    if (folder / _STAMP).exists():
        return folder
    _clear(work, folder, offer)
    wanted = [_line(offer, _PACKAGES[module]) for module in missing]
    _say(f"{interpreter} lacks {', '.join(missing)}: installing {', '.join(wanted)} into {folder}")
    _pip(interpreter, ["--target", str(folder), *wanted], offer, folder)
    _write(folder / _STAMP, version + "\n", 0o644)
    return folder


def _line(offer: Offer, package: str) -> str:
    """What is required of a package, without the digests: they cannot stand on a command line."""
    for line in offer.requirements.read_text(encoding="utf-8").splitlines():
        if line.split(">")[0].split("=")[0].strip() == package:
            return line.split()[0]
    raise InstallError(f"{offer.requirements} says nothing of {package}")


def _base(offer: Offer) -> "tuple[Path, str]":
    """The interpreter to make an environment with: this one, or the one that the wheels are for."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    other = shutil.which(f"python{offer.python}") if offer.python not in ("", own) else None
    if other:
        return Path(other), offer.python
    offer.check(own, Path(sys.executable))
    return Path(sys.executable), own


def _clear(work: Path, folder: Path, offer: Offer) -> None:
    """Remove what interrupted attempts left, and see that there is room. Raises InstallError."""
    for pattern in _MADE:
        for path in work.glob(pattern):
            if path == folder or not (path / _STAMP).exists():
                shutil.rmtree(str(path), ignore_errors=True)
    free = shutil.disk_usage(str(work)).free
    if free < offer.room:
        raise InstallError(
            f"the disk of {work} has {free // _MB} MB free, and {offer.room // _MB} are needed"
        )


def _former(work: Path) -> List[Path]:
    """What a component that is running now may still import from; gone at the next change."""
    wrapper = work / WRAPPER
    text = wrapper.read_text(encoding="utf-8") if wrapper.is_file() else ""
    return [path for pattern in _MADE for path in work.glob(pattern) if str(path) in text]


def _remove_all_but(kept: "list[Optional[Path]]", work: Path) -> None:
    for pattern in _MADE:
        for path in work.glob(pattern):
            if path not in kept:
                shutil.rmtree(str(path), ignore_errors=True)


def _pip(python: Path, arguments: List[str], offer: Offer, folder: Path) -> None:
    """Let pip install into `folder`, which is removed when that fails. Raises InstallError."""
    command = [str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    finished = subprocess.run([*command, *offer.pip(), *arguments], check=False)  # noqa: S603
    if finished.returncode != 0:
        shutil.rmtree(str(folder), ignore_errors=True)
        source = "from the archive's wheels" if offer.wheels else "(is there a network?)"
        raise InstallError(f"pip could not install {source}; its own words are above")


def _probe(interpreter: Path, beside: Optional[Path] = None) -> Dict[str, Any]:
    """What an interpreter finds, without importing dlr: that phones home. Raises InstallError."""
    command = [str(interpreter), "-c", _PROBE, *MODULES]
    environment = {**os.environ, **({"PYTHONPATH": str(beside)} if beside else {})}
    finished = subprocess.run(  # noqa: S603
        command, stdout=subprocess.PIPE, env=environment, check=False
    )
    try:
        found: Dict[str, Any] = json.loads(finished.stdout)
    except ValueError as error:
        raise InstallError(f"{interpreter} is no working Python") from error
    if found["version"] < _OLDEST:
        raise InstallError(f"{interpreter} is Python {found['version']}, 3.9 or later is needed")
    return found


def _silence(dlr: Path) -> None:
    """Switch dlr's phone-home off for everyone; the component guards itself where this fails."""
    try:
        _write(dlr / "counter" / "ccm_config.json", json.dumps(_TELEMETRY) + "\n", 0o644)
    except OSError as error:
        _say(f"dlr's telemetry setting cannot be written ({error})")


def _wrapper(interpreter: Path, beside: Optional[Path]) -> str:
    python = f'exec {shlex.quote(str(interpreter))} "$@"\n'
    if beside is None:
        return f"#!/bin/sh\n{python}"
    path = f'PYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}"{shlex.quote(str(beside))}'
    return f"#!/bin/sh\nexport {path}\n{python}"


def _entries(wheel: Path) -> List[zipfile.ZipInfo]:
    with zipfile.ZipFile(str(wheel)) as archive:
        return archive.infolist()


def _say(text: str) -> None:
    sys.stdout.write(f"runtime: {text}\n")
    sys.stdout.flush()


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file whole or not at all; one that says so already is left alone."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(mode)
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main())
