"""Wheels for devices without a network: the right ones, once, and a clear word where there is none.

The index of these tests is a folder.
"""

from pathlib import Path

import pytest

from backends.artifacts import Platform
from backends.errors import BackendUnavailableError, InvalidInputError, PackageError
from backends.local.wheels import LocalWheels, read_lock
from backends.settings import PROJECT
from tests.fakes.wheels import make_wheel

LOCK = (PROJECT / "requirements" / "device.txt").read_text()
NOWHERE = "http://127.0.0.1:9/simple"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its index, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", folder.as_uri())
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    return folder


def lock_of(index: Path, *packages: str) -> Path:
    """A lock file whose lines are for any Python; the wheels are in the index."""
    lock = index.parent / "lock.txt"
    lines = []
    for package in packages:
        lines.append(make_wheel(index / package, package))
        (wheel,) = (index / package).glob("*.whl")
        page = f'<a href="{wheel.name}">{wheel.name}</a>'
        (index / package / "index.html").write_text(page)
    lock.write_text("".join(lines))
    return lock


@pytest.mark.parametrize(
    ("python", "numpy"), [("3.9", "2.0.2"), ("3.10", "2.2.6"), ("3.11", "2.4.6"), ("3.12", "2.5.5")]
)
def test_the_lines_of_the_lock_are_those_of_the_device_s_python(python: str, numpy: str) -> None:
    """pip itself would evaluate the markers for the Python that it runs on."""
    lines = {each.requirement.name: each for each in read_lock(LOCK, "aarch64", python)}

    assert str(lines["numpy"].requirement) == f"numpy=={numpy}"
    assert {"awscrt", "awsiotsdk", "dlr", "numpy", "pillow"} <= set(lines)
    assert all(each.digests for each in lines.values())


def test_they_are_fetched_once_and_described(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = LocalWheels(tmp_path / "cache", lock_of(index, "dlr", "numpy"))

    wheels = house.gather("linux-aarch64", "3.11")
    monkeypatch.setenv("PIP_INDEX_URL", NOWHERE)
    again = house.gather("linux-aarch64", "3.11")

    assert again == wheels
    assert sorted(path.name for path in wheels.folder.iterdir()) == [
        "dlr-1.0-py3-none-any.whl",
        "numpy-1.0-py3-none-any.whl",
        "requirements.txt",
        "wheels.json",
    ]
    assert (wheels.folder / "requirements.txt").read_text() == (tmp_path / "lock.txt").read_text()


def test_a_package_without_a_wheel_for_the_device_is_named(index: Path, tmp_path: Path) -> None:
    lock = lock_of(index, "dlr", "numpy")
    (index / "numpy" / "index.html").write_text("")

    with pytest.raises(InvalidInputError, match=r"no wheel of numpy==1\.0 for Python 3\.11 on"):
        LocalWheels(tmp_path / "cache", lock).gather("linux-armv7l", "3.11")


@pytest.mark.parametrize("platform", ["linux-x86_64"])
def test_without_a_network_the_remedy_is_named_and_nothing_is_half_there(
    index: Path, tmp_path: Path, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = LocalWheels(tmp_path / "cache", lock_of(index, "dlr"))
    monkeypatch.setenv("PIP_INDEX_URL", NOWHERE)

    with pytest.raises(BackendUnavailableError, match="Run again with a network"):
        house.gather(platform, "3.11")

    monkeypatch.setenv("PIP_INDEX_URL", index.as_uri())
    assert (house.gather(platform, "3.11").folder / "wheels.json").is_file()


def test_a_file_that_is_not_the_one_of_the_lock_is_not_taken(index: Path, tmp_path: Path) -> None:
    lock = lock_of(index, "dlr")
    make_wheel(index / "dlr", "dlr", "somebody_else = True")

    with pytest.raises(PackageError, match="pip did not fetch them"):
        LocalWheels(tmp_path / "cache", lock).gather("linux-x86_64", "3.11")
