"""The folder edge/ ships as it is: nothing in it may need what a device does not have."""

import ast
import re
import sys
from pathlib import Path

import pytest

from backends.settings import PROJECT

EDGE = PROJECT / "edge"
MODULES = sorted(EDGE.rglob("*.py"))
PACKAGES = {"awsiotsdk": {"awsiot", "awscrt"}, "pillow": {"PIL"}}
SHARED = {"contract", "messages", "model_folder", "statistics", "fields"}
"""What the cloud side imports too: the standard library only."""


def imported(module: Path) -> set[str]:
    """Top-level names of everything that a module imports, and `edge.<name>` of its own kind."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name if name.startswith("edge.") else name.split(".")[0] for name in names}


def installed_on_a_device() -> set[str]:
    lines = (EDGE / "requirements.txt").read_text().splitlines()
    names = {match[0].lower() for line in lines if (match := re.match(r"[\w-]+", line))}
    return {top for name in names for top in PACKAGES.get(name, {name})}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_a_module_imports_only_what_a_device_has(module: Path) -> None:
    others = {name for name in imported(module) if not name.startswith("edge.")}

    foreign = others - set(sys.stdlib_module_names) - installed_on_a_device() - {"edge"}

    assert not foreign


@pytest.mark.parametrize("name", sorted(SHARED))
def test_what_the_cloud_side_shares_needs_no_package_at_all(name: str) -> None:
    names = imported(EDGE / f"{name}.py")

    outside = {other for other in names if not other.startswith("edge.")}
    inside = {other.removeprefix("edge.") for other in names if other.startswith("edge.")}

    assert outside <= set(sys.stdlib_module_names)
    assert inside <= SHARED
