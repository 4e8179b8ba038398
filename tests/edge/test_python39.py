"""Devices run Python 3.9: every module of edge/ must be 3.9, by its syntax and by its imports."""

import ast
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from backends.settings import PROJECT

MODULES = sorted((PROJECT / "edge").glob("*.py"))
NEED_A_DEVICE = {"pictures", "classifier", "serving", "watch", "component", "reporting", "verify"}
NEED_A_DEVICE |= {"ipc", "delivery", "__main__", "check_model", "challenger", "variants"}
NEED_A_DEVICE |= {"watchdog", "follow_up", "example_sending", "interpreter"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_the_syntax_is_that_of_3_9(module: Path) -> None:
    ast.parse(module.read_text(), feature_version=(3, 9))


def test_a_real_3_9_compiles_all_and_imports_what_needs_no_packages(tmp_path: Path) -> None:
    python = _python39()
    copy = shutil.copytree(
        PROJECT / "edge", tmp_path / "edge", ignore=shutil.ignore_patterns("__pycache__")
    )
    names = [f"edge.{path.stem}" for path in MODULES if path.stem not in NEED_A_DEVICE]
    names.remove("edge.__init__")

    subprocess.run([python, "-W", "error", "-m", "compileall", "-q", copy], check=True)
    for name in names:
        imported = subprocess.run(
            [python, "-c", f"import {name}"], cwd=tmp_path, capture_output=True, check=False
        )
        assert imported.returncode == 0, imported.stderr.decode()


def _python39() -> str:
    candidates = [*Path.home().glob(".pyenv/versions/3.9*/bin/python3.9")]
    found = next(iter(candidates), None) or shutil.which("python3.9")
    if found is None or subprocess.run([found, "-V"], capture_output=True, check=False).returncode:
        pytest.skip("there is no Python 3.9 on this machine")
    return os.fspath(found)
