"""What the cloud side imports from edge/ may not pull a package in by a detour."""

import ast
import sys

import pytest

from backends.settings import PROJECT

SHARED = {"contract", "messages", "model_folder", "statistics", "fields", "distinct", "alert_rules"}


@pytest.mark.parametrize("name", sorted(SHARED))
def test_a_shared_module_leads_to_the_standard_library_only(name: str) -> None:
    tree = ast.parse((PROJECT / "edge" / f"{name}.py").read_text())
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    inside = {other.removeprefix("edge.") for other in names if other.startswith("edge.")}
    outside = {other.split(".")[0] for other in names if not other.startswith("edge.")}

    assert inside <= SHARED
    assert outside <= set(sys.stdlib_module_names)
