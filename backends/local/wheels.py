"""Gathers the wheels that a device needs, so that it can install without a network.

They are those of requirements/device.txt, by digest, for the device's CPU and Python: pip fetches
them from the index that this machine uses. A folder of them is complete, or it has another name.
"""

import fcntl
import hashlib
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement

from backends.artifacts import Platform, Wheels
from backends.errors import (
    BackendBlockedError,
    BackendUnavailableError,
    InvalidInputError,
    PackageError,
)
from backends.files import replace_file

ABOUT = "wheels.json"
REQUIREMENTS = "requirements.txt"

_MACHINE: dict[Platform, str] = {
    "linux-x86_64": "x86_64",
    "linux-aarch64": "aarch64",
    "linux-armv7l": "armv7l",
}
_GLIBC = (28, 27, 26, 24, 17, 12, 5)  # 2.x: the newest that a device may be asked for, downwards
_UNREACHABLE = ("Retrying (", "Could not fetch URL", "ConnectionError", "ProxyError")
_NO_WHEEL = "No matching distribution found for "


@dataclass(frozen=True, slots=True)
class Pinned:
    """One line of the lock file: `requirement` without its marker, and the digests it allows."""

    requirement: Requirement
    digests: tuple[str, ...]

    def line(self, digests: tuple[str, ...]) -> str:
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in digests)
        return f"{self.requirement} {hashes}\n"


class LocalWheels:
    """Folders of wheels below `cache`, one for each platform, Python and lock file."""

    def __init__(self, cache: Path, lock: Path) -> None:
        self._cache = cache
        self._lock = lock

    def gather(self, platform: Platform, python: str) -> Wheels:
        """The wheels of `platform` for Python `python`, as in "3.11".

        Beside them, requirements.txt names exactly these files, and wheels.json what they are for.
        Raises InvalidInputError (there is no such wheel), BackendUnavailableError (the index),
        PackageError (a file that is not the one of the lock).
        """
        text = self._lock.read_text(encoding="utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        folder = self._cache / f"{platform}-{python}-{digest}"
        if folder.is_dir():
            return Wheels(folder, platform, python)
        pinned = read_lock(text, _MACHINE[platform], python)
        with _locked(self._cache):
            if not folder.is_dir():
                part = folder.with_name(
                    f"{folder.name}.part"
                )  # what an earlier attempt fetched is kept
                part.mkdir(exist_ok=True)
                _download(pinned, platform, python, part)
                _describe(pinned, platform, python, part)
                part.replace(folder)
        return Wheels(folder, platform, python)


def read_lock(text: str, machine: str, python: str) -> list[Pinned]:
    """The lines of a lock file that hold on a Linux `machine` with CPython `python`."""
    about = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    pinned = []
    for line in text.replace("\\\n", " ").splitlines():
        specification, *digests = line.partition("#")[0].split("--hash=sha256:")
        if not specification.strip():
            continue
        requirement = Requirement(specification.strip())
        marker, requirement.marker = requirement.marker, None
        if _holds(marker, about):
            pinned.append(Pinned(requirement, tuple(digest.strip() for digest in digests)))
    return pinned


def _holds(marker: Marker | None, about: dict[str, str]) -> bool:
    return marker is None or marker.evaluate(dict(about))


def _download(pinned: list[Pinned], platform: Platform, python: str, into: Path) -> None:
    """Let pip fetch; it evaluates markers for its own Python, so the lines come without any."""
    machine = _MACHINE[platform]
    with tempfile.TemporaryDirectory(prefix="edgeward-pip-") as scratch:
        wanted = Path(scratch, REQUIREMENTS)
        wanted.write_text("".join(each.line(each.digests) for each in pinned), encoding="utf-8")
        options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--no-input"]
        options += ["--implementation", "cp", "--python-version", python]
        options += [f"--platform=manylinux_2_{minor}_{machine}" for minor in _GLIBC]
        options += ["--platform", f"manylinux2014_{machine}", "--dest", str(into)]
        finished = subprocess.run(
            [_pip(Path(scratch, "pip")), "download", "--retries=2", *options, "-r", wanted],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    if finished.returncode != 0:
        raise _failure(finished.stdout, platform, python)


def _pip(environment: Path) -> Path:
    """A pip of its own: the environments of this project have none."""
    try:
        venv.create(environment, with_pip=True, symlinks=True)
    except (subprocess.CalledProcessError, OSError) as error:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise BackendBlockedError(
            "pip", f"no environment with it can be made: {error}", f"Install python{version}-venv."
        ) from error
    return environment / "bin" / "pip"


def _failure(said: str, platform: Platform, python: str) -> Exception:
    last = said.strip().splitlines()[-1] if said.strip() else "it said nothing"
    if any(sign in said for sign in _UNREACHABLE):
        return BackendUnavailableError(
            "the package index", last, "Run again with a network, or leave device.wheels_for empty."
        )
    if _NO_WHEEL in said:
        package = said.rpartition(_NO_WHEEL)[2].splitlines()[0]
        return InvalidInputError(
            f"device.wheels_for={python}",
            f"the package index has no wheel of {package} for Python {python} on {platform}",
            "Take another version, or device.runtime=variant.DLR, or leave it empty.",
        )
    return PackageError(f"wheels for {platform}", f"pip did not fetch them: {last}")


def _describe(pinned: list[Pinned], platform: Platform, python: str, folder: Path) -> None:
    """Write which wheels these are; files of an earlier lock, which nothing names, are removed."""
    found = {_sha256(path): path for path in folder.glob("*.whl")}
    lines = []
    for each in pinned:
        digests = tuple(digest for digest in each.digests if digest in found)
        lines.append(each.line(digests))
        for digest in digests:
            del found[digest]
    for path in found.values():
        path.unlink()
    replace_file(folder / REQUIREMENTS, "".join(lines), mode=0o644)
    about = json.dumps({"platform": platform, "python": python})
    replace_file(folder / ABOUT, f"{about}\n", mode=0o644)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
