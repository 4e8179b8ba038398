"""The runtime component as it ships to a device without a network: real wheels, no index."""

import subprocess
import sys
from pathlib import Path

import pytest

from backends.archives import unpack
from backends.errors import BackendUnavailableError
from backends.local.wheels import LocalWheels
from backends.settings import PROJECT
from tasks.packaging import package_runtime
from tests.fakes.network_guard import attempts, guarded

pytestmark = [pytest.mark.slow, pytest.mark.device]

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
PROBE = """
import sys
from edge.classifier import forbid_telemetry
forbid_telemetry()
import dlr, edge.component, edge.pictures
print(sys.prefix)
"""


def test_the_component_starts_from_an_archive_alone(tmp_path: Path) -> None:
    house = LocalWheels(tmp_path / "wheels", PROJECT / "requirements" / "device.txt")
    try:
        wheels = house.gather("linux-x86_64", PYTHON)
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    folder = unpack(package_runtime(tmp_path / "packed", wheels=wheels), tmp_path / "1.0.0")
    work = tmp_path / "work"
    work.mkdir()
    path = f"{PROJECT / '.venv/bin'}:/usr/bin:/bin"
    environment = guarded(tmp_path, {"PATH": path, "HOME": str(tmp_path), "PIP_NO_INDEX": "1"})
    install = [sys.executable, "-u", str(folder / "install_runtime.py"), "--work", str(work)]
    install += ["--requirements", str(folder / "requirements.txt")]

    subprocess.run(install, env=environment, check=True, capture_output=True)
    subprocess.run(install, env=environment, check=True, capture_output=True)
    environment["PYTHONPATH"] += f":{PROJECT}"
    started = subprocess.run(
        [str(work / "python"), "-c", PROBE],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )

    assert Path(started.stdout.strip()).parent == work
    assert attempts(tmp_path) == []
