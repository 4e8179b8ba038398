"""Archives that devices download: repeatable to the byte, and never one that must not ship."""

import dataclasses
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from backends.archives import unpack
from backends.errors import PackageError
from tasks.packaging import package_inference, package_model, package_runtime
from tests.tiny_model import Compile


@pytest.mark.jobs
def test_the_model_lies_flat_in_a_zip_that_is_the_same_each_time(
    compile_for: Compile, tmp_path: Path
) -> None:
    """The archive's stem becomes its folder on the device; the same bytes keep the version."""
    compiled = compile_for("linux-x86_64")

    first = package_model(compiled, tmp_path / "first")
    os.utime(compiled.folder / "compiled.so", (time.time(), time.time() + 100))
    again = package_model(compiled, tmp_path / "again")

    assert first.name == "edgeward-model-linux-x86_64.zip"
    assert zipfile.ZipFile(first).namelist() == [
        "compiled.meta",
        "compiled.params",
        "compiled.so",
        "compiled_model.json",
        "libdlr.so",
        "synset.txt",
    ]
    assert first.read_bytes() == again.read_bytes()


@pytest.mark.jobs
def test_a_model_that_must_not_ship_leaves_no_archive(compile_for: Compile, tmp_path: Path) -> None:
    compiled = dataclasses.replace(compile_for("linux-aarch64"), platform="linux-x86_64")

    with pytest.raises(PackageError, match=r"compiled\.so is for linux-aarch64"):
        package_model(compiled, tmp_path / "packed")

    assert list((tmp_path / "packed").iterdir()) == []


def test_the_inference_component_ships_complete_and_without_litter(tmp_path: Path) -> None:
    """It must start on a device that has nothing of ours but this archive."""
    package = package_inference(tmp_path)

    names = zipfile.ZipFile(package).namelist()
    assert {"edge/__init__.py", "edge/__main__.py", "edge/contract.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or not name.startswith("edge/")]
    folder = unpack(package, tmp_path)
    checked = subprocess.run(
        [sys.executable, "-c", "import edge.contract; print(edge.__file__)"],
        env={"PYTHONPATH": str(folder)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert checked.stdout.strip() == str(folder / "edge/__init__.py")


def test_the_runtime_component_brings_its_installer_and_requirements(tmp_path: Path) -> None:
    names = zipfile.ZipFile(package_runtime(tmp_path)).namelist()

    assert names == ["install_runtime.py", "requirements.txt"]
