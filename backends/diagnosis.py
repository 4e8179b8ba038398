"""What `edgeward doctor` looks at: is everything here that a run needs?

On this machine it looks at files only (no heavy import, no program is started), so it answers at
once. Of an AWS account it asks what only the account can say.
"""

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backends.settings import Settings

CONTROL = ("prefect", "great_expectations", "pandas", "pyarrow", "mlflow", "amqtt", "awsiot", "dlr")
JOBS = ("mxnet", "tvm", "ziglang", "numpy")
DEVICE = ("dlr", "numpy", "PIL", "awsiot")
FREE_BYTES = 2 << 30
SETUP = "Run `make setup`."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a run needs: what was found, and what to do when that is not enough."""

    subject: str
    healthy: bool
    found: str
    remedy: str

    def as_table(self) -> dict[str, Any]:
        return asdict(self)


def diagnose(
    settings: Settings, least_free: int = FREE_BYTES, thing: str = ""
) -> tuple[Finding, ...]:
    """Look at environments, disk (at least `least_free` bytes), home and broker settings.

    With backend kind aws, at the account and its core device `thing` as well.
    """
    return (
        _python(),
        _environment("control environment", Path(sys.executable), CONTROL),
        _environment("jobs environment", settings.backend.jobs_python, JOBS),
        _environment("device environment", settings.backend.device_python, DEVICE),
        _home(settings.root),
        _disk(settings.root, least_free),
        _broker(settings),
        *_account(settings, thing),
    )


def _account(settings: Settings, thing: str) -> tuple[Finding, ...]:
    if settings.backend.kind != "aws":
        return ()
    try:
        from backends.aws.diagnosis import diagnose_account
    except ModuleNotFoundError:
        return (Finding("AWS packages", False, "boto3 is not installed", "Run `make setup-aws`."),)
    return diagnose_account(settings.aws, thing)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", sys.version_info[:2] == (3, 12), version, "Use Python 3.12. " + SETUP)


def _environment(subject: str, interpreter: Path, modules: tuple[str, ...]) -> Finding:
    if not os.access(interpreter, os.X_OK):
        return Finding(subject, False, f"no interpreter at {interpreter}", SETUP)
    folders = tuple(_site_packages(interpreter))
    missing = [
        module for module in modules if not any((folder / module).is_dir() for folder in folders)
    ]
    found = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(modules)}"
    return Finding(subject, not missing, found, SETUP)


def _site_packages(interpreter: Path) -> Iterator[Path]:
    yield from (interpreter.parent.parent / "lib").glob("python*/site-packages")


def _home(home: Path) -> Finding:
    nearest = _nearest(home)
    writable = nearest.is_dir() and os.access(nearest, os.W_OK)
    found = str(home) if writable else f"{nearest} cannot be written to"
    return Finding("EDGEWARD_HOME", writable, found, "Set EDGEWARD_HOME to a folder of yours.")


def _disk(home: Path, least: int) -> Finding:
    free = shutil.disk_usage(_nearest(home)).free
    return Finding(
        "disk",
        free >= least,
        f"{free / (1 << 30):.1f} GiB free",
        f"Free {least / (1 << 30):g} GiB, or set EDGEWARD_HOME to a larger disk.",
    )


def _nearest(home: Path) -> Path:
    """What is there of the way to `home`; folders that we may not look into count as absent."""
    return next(folder for folder in (home, *home.parents) if os.path.lexists(folder))


def _broker(settings: Settings) -> Finding:
    mqtt = settings.mqtt
    if mqtt.host:
        address = (mqtt.host, mqtt.port or 1883)
        healthy = _connects(address)
        return Finding(
            "MQTT broker",
            healthy,
            f"{address[0]}:{address[1]} {'answers' if healthy else 'does not answer'}",
            "Start it, or unset EDGEWARD_MQTT__HOST to use our own.",
        )
    if mqtt.port and not (settings.root / "cloud" / "endpoint.json").exists():
        taken = _connects(("127.0.0.1", mqtt.port))
        return Finding(
            "MQTT broker",
            not taken,
            f"port {mqtt.port} is {'taken' if taken else 'free'}",
            "Set EDGEWARD_MQTT__PORT to a free port, or to 0.",
        )
    return Finding("MQTT broker", True, "our own, on loopback", "")


def _connects(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False
