"""Programs with an environment of their own import only what that environment holds."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.settings import PROJECT

JOBS = {"mxnet", "tvm", "numpy"}
EDGE = {"dlr", "numpy", "PIL", "awsiot", "awscrt"}
EDGE_SHARED_WITH_STANDARD_LIBRARY_ONLY = ("contract.py", "statistics.py")


def programs(folder: str) -> list[Path]:
    return sorted((PROJECT / folder).rglob("*.py"))


def imported(program: Path) -> Iterator[str]:
    """Top-level names of all imports, wherever in the file; relative ones excepted."""
    for node in ast.walk(ast.parse(program.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


def foreign(program: Path, allowed: set[str]) -> set[str]:
    return set(imported(program)) - allowed - set(sys.stdlib_module_names)


@pytest.mark.parametrize("program", programs("jobs"), ids=lambda path: path.name)
def test_a_job_imports_only_its_neighbours_and_its_environment(program: Path) -> None:
    """On SageMaker there is nothing else."""
    neighbours = {path.stem for path in programs("jobs")}

    assert foreign(program, JOBS | neighbours) == set()


@pytest.mark.parametrize("program", programs("edge"), ids=lambda path: path.name)
def test_the_device_imports_only_what_its_recipe_installs(program: Path) -> None:
    assert foreign(program, EDGE | {"edge"}) == set()


@pytest.mark.parametrize("name", EDGE_SHARED_WITH_STANDARD_LIBRARY_ONLY)
def test_what_the_cloud_side_shares_with_the_device_needs_no_package(name: str) -> None:
    assert foreign(PROJECT / "edge" / name, {"edge"}) == set()


@pytest.mark.parametrize("folder", ["flows", "tasks", "backends", "edge", "expectations"])
def test_nothing_imports_the_jobs(folder: str) -> None:
    """Their packages contradict ours: they run as programs, or not at all."""
    assert not [path for path in programs(folder) if "jobs" in set(imported(path))]
