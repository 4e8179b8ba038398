"""The runtime's installer, run as its recipe runs it: without a network, twice, interrupted."""

import re
import runpy
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends.archives import unpack
from backends.artifacts import Platform, Wheels
from backends.settings import PROJECT
from tasks.packaging import package_runtime
from tasks.recipes import runtime_recipe
from tests.fakes.network_guard import attempts, guarded
from tests.fakes.wheels import make_wheel, make_wheels

OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"
PLATFORM: Platform = "linux-x86_64"
SHOW = "import dlr, numpy, PIL, awsiot, sys; print(sys.prefix, PIL.__file__, dlr.__file__)"


class Hub:
    """A device that can reach nobody, with the runtime component's archive on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / "work" / "edgeward.Runtime.DLR"
        self.work.mkdir(parents=True)
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        self.environment = guarded(root, {"PATH": path, "HOME": str(root)})

    def unpacked(self, wheels: Path | None, version: str) -> Path:
        """The archive of a version, unpacked as a nucleus does."""
        offer = Wheels(wheels, PLATFORM, OWN) if wheels else None
        archive = package_runtime(self.root / "packed" / version, wheels=offer)
        unpack(archive, self.root / version)
        return self.root / version

    def installs(
        self, unpacked: Path, python: str = "", wheels: bool = True
    ) -> subprocess.CompletedProcess[str]:
        recipe = runtime_recipe(wheels=[PLATFORM] if wheels else [])
        script = str(recipe["Manifests"][0]["Lifecycle"]["Install"]["Script"])
        values = {"artifacts:decompressedPath": str(unpacked), "configuration:/Python": python}
        text = re.sub(r"\{([^{}]+)\}", lambda found: values[found[1]], script)
        return subprocess.run(
            ["/bin/sh", "-c", text],
            cwd=self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def shows(self) -> list[str]:
        """What the interpreter that was handed out imports, and from where."""
        done = subprocess.run(
            [self.work / "python", "-c", SHOW],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    def times(self) -> dict[str, int]:
        return {str(path): path.lstat().st_mtime_ns for path in self.work.rglob("*")}

    def made(self) -> list[str]:
        return sorted(path.name for path in self.work.iterdir() if path.is_dir())


def seconds_of(installation: Callable[[], subprocess.CompletedProcess[str]]) -> float:
    began = time.monotonic()
    assert installation().returncode == 0
    return time.monotonic() - began


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path)


def test_it_installs_from_its_wheels_alone_and_a_second_time_does_nothing(hub: Hub) -> None:
    unpacked = hub.unpacked(make_wheels(hub.root / "wheels", OWN), "1.0.0")

    done = hub.installs(unpacked)
    assert done.returncode == 0, done.stderr
    before = hub.times()
    quickest = min(seconds_of(lambda: hub.installs(unpacked)) for _ in range(3))

    assert hub.times() == before
    assert quickest < 1, "a nucleus installs at each of its starts"
    (environment,) = hub.made()
    assert hub.shows()[0] == str(hub.work / environment)
    assert attempts(hub.root) == []


def test_an_interrupted_attempt_and_all_but_the_former_environment_are_removed(hub: Hub) -> None:
    """A disk is small; but what runs now may still import from where it was started."""
    offers = [
        hub.unpacked(make_wheels(hub.root / name, OWN, f"made = '{name}'"), f"1.0.{number}")
        for number, name in enumerate(("first", "second", "third"))
    ]
    assert hub.installs(offers[0]).returncode == 0
    made = list(hub.made())
    for name in ("environment-cut-off", "additions-cut-off"):
        (hub.work / name / "lib").mkdir(parents=True)

    for offer in offers[1:]:
        done = hub.installs(offer)

        assert done.returncode == 0, done.stderr
        (now,) = set(hub.made()) - {made[-1]}
        assert set(hub.made()) == {made[-1], now}
        assert hub.shows()[0] == str(hub.work / now)
        made.append(now)


def test_a_wheel_that_is_not_the_one_of_the_lock_is_refused_and_the_former_serves_on(
    hub: Hub,
) -> None:
    first = hub.unpacked(make_wheels(hub.root / "wheels", OWN), "1.0.0")
    wheels = make_wheels(hub.root / "newer", OWN, "newer = True")
    make_wheel(wheels, "dlr", "somebody_else = True")
    second = hub.unpacked(wheels, "1.0.1")
    assert hub.installs(first).returncode == 0
    former, shown = hub.made(), hub.shows()

    done = hub.installs(second)

    assert done.returncode == 1
    assert "pip could not install from the archive's wheels" in done.stderr
    assert (hub.made(), hub.shows()) == (former, shown)


def test_wheels_for_another_python_are_refused_by_version(hub: Hub) -> None:
    unpacked = hub.unpacked(make_wheels(hub.root / "wheels", "3.99"), "1.0.0")

    done = hub.installs(unpacked)

    assert done.returncode == 1
    assert f"are for Python 3.99, and {sys.executable} is {OWN}" in done.stderr.replace(
        str(Path(sys.executable).parent / "python3"), sys.executable
    )
    assert hub.made() == []


def test_a_full_disk_is_told_before_it_is_full(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Found out half-way, it would take the disk from everything else on the device."""
    unpacked = hub.unpacked(make_wheels(hub.root / "wheels", OWN), "1.0.0")
    nearly_full = shutil.disk_usage(hub.root)._replace(free=3_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: nearly_full)
    main: Any = runpy.run_path(str(PROJECT / "edge/install_runtime.py"))["main"]
    folder = unpacked / f"edgeward-runtime-{PLATFORM}"

    status = main(["--requirements", str(folder / "requirements.txt"), "--work", str(hub.work)])

    assert status == 1
    assert "has 3 MB free, and 20 are needed" in capsys.readouterr().err
    assert hub.made() == []


def test_what_aws_s_runtime_lacks_is_put_beside_it(hub: Hub) -> None:
    """variant.DLR has dlr and numpy. Its own environment is not ours to change."""
    wheels = make_wheels(hub.root / "wheels", OWN)
    theirs = hub.root / "work/variant.DLR/greengrass_ml/greengrass_ml_dlr_conda"
    venv.create(theirs, with_pip=True, symlinks=True)
    pip = [
        str(theirs / "bin/python"),
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "-f",
        str(wheels),
    ]
    subprocess.run([*pip, "dlr", "numpy"], check=True)
    python = runtime_recipe(variant_dlr=True)["ComponentConfiguration"]["DefaultConfiguration"]
    unpacked = hub.unpacked(wheels, "1.0.0")

    done = hub.installs(unpacked, python["Python"])
    before = hub.times()
    again = hub.installs(unpacked, python["Python"])

    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    assert hub.times() == before
    (additions,) = hub.made()
    prefix, pillow, dlr = hub.shows()
    assert prefix == str(theirs)
    assert Path(pillow).is_relative_to(hub.work / additions)
    assert Path(dlr).is_relative_to(theirs)
    assert attempts(hub.root) == []


def test_aws_s_runtime_that_is_not_there_is_named(hub: Hub) -> None:
    python = runtime_recipe(variant_dlr=True)["ComponentConfiguration"]["DefaultConfiguration"]

    done = hub.installs(hub.unpacked(None, "1.0.0"), python["Python"], wheels=False)

    assert done.returncode == 1
    assert "Python: '../variant.DLR/" in done.stderr
