"""Whether the environments that `make setup` makes are there, work, and are as their locks say."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from backends.doctor.finding import Finding, listed, warning
from backends.settings import PROJECT, BackendSettings

SETUP = "Run `make setup`."
START_SECONDS = 20.0
LEAST_UV = (0, 8)  # the Makefile gives it `venv --clear`
_FACTS = "import sys, platform; print('%d.%d.%d' % sys.version_info[:3], platform.machine())"


@dataclass(frozen=True, slots=True)
class Environment:
    """One of the three: what must be in it, which Pythons it may have, and its lock file."""

    name: str
    interpreter: Path
    modules: tuple[str, ...]
    pythons: str  # pattern of a version, and how people say it
    said: str
    lock: Path


CONTROL = ("prefect", "great_expectations", "pandas", "pyarrow", "mlflow", "amqtt", "awsiot", "dlr")
JOBS = ("mxnet", "tvm", "ziglang", "numpy")
DEVICE = ("dlr", "numpy", "PIL", "awsiot")


def environments(backend: BackendSettings) -> tuple[Environment, ...]:
    locks = PROJECT / "requirements"
    return (
        Environment(
            *("control", Path(sys.executable), CONTROL),
            *(r"3\.12\.", "3.12", locks / "local.txt"),
        ),
        Environment(  # hhb-tvm has wheels for these two
            *("jobs", backend.jobs_python, JOBS),
            *(r"3\.(8|10)\.", "3.10", PROJECT / "jobs" / "requirements.txt"),
        ),
        Environment(
            *("device", backend.device_python, DEVICE),
            *(r"3\.(9|[1-9]\d)\.", "3.9 or newer", locks / "device.txt"),
        ),
    )


def judge_environments(backend: BackendSettings) -> Iterator[Finding]:
    for environment in environments(backend):
        found = _judge(environment)
        yield found
        if found.healthy:
            yield _judge_lock(environment)


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", sys.version_info[:2] == (3, 12), version, f"Use Python 3.12. {SETUP}")


def uv(project: Path = PROJECT) -> Finding:
    """A run needs none; `make setup` and `make lock` do, and fetch one by pip if they can."""
    own = f"{project / '.uv' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    program = shutil.which("uv", path=own)
    remedy = "Install it (https://docs.astral.sh/uv/), or let `make setup` fetch one."
    if program is None:
        return warning("uv", False, "not found on PATH", remedy)
    said = _said([program, "--version"])
    version = re.search(r"(\d+)\.(\d+)\.\d+", said)
    if version is None:
        return warning("uv", False, f"{program} does not work: {said or 'no answer'}", remedy)
    healthy = tuple(map(int, version.groups())) >= LEAST_UV
    wanted = "" if healthy else f"; {'.'.join(map(str, LEAST_UV))} or newer is wanted"
    return warning("uv", healthy, f"{version[0]} ({program}){wanted}", remedy)


def _judge(environment: Environment) -> Finding:
    subject, interpreter = f"{environment.name} environment", environment.interpreter
    if not os.access(interpreter, os.X_OK):
        return Finding(subject, False, _absence(interpreter), SETUP)
    facts = _said([str(interpreter), "-I", "-S", "-c", _FACTS]).split()
    if not facts or not re.match(r"\d+\.\d+\.\d+$", facts[0]):
        found = f"{interpreter} does not start: {' '.join(facts) or 'no answer'}"
        return Finding(subject, False, found, SETUP)
    if not re.match(environment.pythons, facts[0]):
        found = f"{interpreter} is Python {facts[0]}, not {environment.said}"
        return Finding(subject, False, found, SETUP)
    folders = tuple(_site_packages(interpreter))
    missing = [
        module
        for module in environment.modules
        if not any((folder / module).is_dir() for folder in folders)
    ]
    if missing:
        return Finding(subject, False, f"lacks {', '.join(missing)}", SETUP)
    found = f"Python {facts[0]} with {', '.join(environment.modules)}"
    return Finding(subject, True, found, SETUP)


def _absence(interpreter: Path) -> str:
    if not interpreter.is_symlink():
        return f"no interpreter at {interpreter}"
    gone = os.path.realpath(interpreter)
    return f"the interpreter {interpreter} leads to {gone}, which is not there any more"


def _judge_lock(environment: Environment) -> Finding:
    """Whether what is installed is what the lock says; more than that may be there."""
    subject = f"{environment.name} packages"
    installed = _installed(environment.interpreter)
    differing = [
        f"{name} {installed.get(canonicalize_name(name), 'missing')} (locked {version})"
        for name, version in _locked(environment).items()
        if installed.get(canonicalize_name(name)) != version
    ]
    lock = environment.lock.relative_to(PROJECT)
    if differing:
        return warning(subject, False, f"not as in {lock}: {listed(differing)}", SETUP)
    return warning(subject, True, f"as in {lock}", "")


def _locked(environment: Environment) -> Mapping[str, str]:
    """Name to version of what the lock says, for this system and that environment's Python."""
    version = _python_of(environment.interpreter)
    about = {"python_version": version.rpartition(".")[0], "python_full_version": version}
    found: dict[str, str] = {}
    for line in environment.lock.read_text(encoding="utf-8").splitlines():
        if not re.match(r"[A-Za-z0-9]", line):
            continue
        try:
            one = Requirement(line.rstrip("\\ "))
        except InvalidRequirement:
            continue
        if one.marker is None or one.marker.evaluate(about):
            found[one.name] = str(one.specifier).removeprefix("==")
    return found


def _python_of(interpreter: Path) -> str:
    text = ""
    settings = interpreter.parent.parent / "pyvenv.cfg"
    if settings.is_file():
        text = settings.read_text(encoding="utf-8", errors="replace")
    known = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+\.\d+)", text, re.MULTILINE)
    return known[1] if known else _said([str(interpreter), "-I", "-S", "-c", _FACTS]).split()[0]


def _installed(interpreter: Path) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for folder in _site_packages(interpreter):
        for entry in folder.glob("*.dist-info"):
            name, _, version = entry.name.removesuffix(".dist-info").rpartition("-")
            found[canonicalize_name(name)] = version
    return found


def _site_packages(interpreter: Path) -> Iterator[Path]:
    yield from (interpreter.parent.parent / "lib").glob("python*/site-packages")


def _said(command: list[str]) -> str:
    """What a program answers at once; its complaint when it fails, empty when it hangs."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=START_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return ""
    except OSError as error:
        return str(error)
    return done.stdout if done.returncode == 0 else f"it ended with {done.returncode}"
