"""The commands that the documentation shows, and what another test says of itself in its source."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer

from backends.settings import PROJECT
from flows.__main__ import app

PAGES = (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md")))
PROGRAMS = ("edgeward", "make", "prefect", "python", "mkdocs", "aws", "sudo")
_BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def shown_lines() -> Iterator[str]:
    """Every line of a fenced block, without a prompt, a path of our programs, and a comment."""
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.splitlines():
                bare = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
                yield re.sub(r"\s+# .*$", "", bare)


def documented() -> set[str]:
    """Every command, and every command of ours within another one's `$(…)`."""
    shown = set(shown_lines())
    inner = {found for line in shown for found in re.findall(r"\$\((edgeward [^)]*)\)", line)}
    return inner | {line for line in shown if line.partition(" ")[0] in PROGRAMS}


def essence(line: str) -> set[str]:
    """What a test must say to have run such a command: the subcommands and the options."""
    program, *words = shlex.split(line)
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    if program != "edgeward":
        return {words[0], *options}
    group: Any = typer.main.get_command(app)
    path: list[str] = []
    while hasattr(group, "commands") and words[len(path) :]:
        path.append(words[len(path)])
        group = group.commands[path[-1]]
    return {*path, *options}


def said_by(test: str) -> set[str]:
    """The texts in the source of `file::function`, and of all of the tests' own that it names."""
    path, _, function = test.partition("::")
    return _texts(PROJECT / path, function, set())


def _texts(path: Path, name: str, seen: set[tuple[Path, str]]) -> set[str]:
    if (path, name) in seen:
        return set()
    seen.add((path, name))
    defined, imported = _module(path)
    if name in imported:
        return _texts(*imported[name], seen)
    if name not in defined:
        return set()
    nodes = list(ast.walk(defined[name]))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant)}
    named = {node.id for node in nodes if isinstance(node, ast.Name)}
    named |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return {text for text in texts if isinstance(text, str)}.union(
        *(_texts(path, other, seen) for other in named)
    )


@cache
def _module(path: Path) -> tuple[dict[str, ast.stmt], dict[str, tuple[Path, str]]]:
    """What a module of the tests defines, and what it imports from another one, by name."""
    defined: dict[str, ast.stmt] = {}
    imported: dict[str, tuple[Path, str]] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined[node.name] = node
        elif isinstance(node, ast.Assign):
            defined |= {each.id: node for each in node.targets if isinstance(each, ast.Name)}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
            source = PROJECT / f"{(node.module or '').replace('.', '/')}.py"
            if source.is_file():  # else a package, and what is imported are modules
                imported |= {each.asname or each.name: (source, each.name) for each in node.names}
    return defined, imported
