"""Each message that the troubleshooting page quotes is one that the code can say."""

import ast
import re
from collections.abc import Iterator

import pytest

from backends.settings import PROJECT

PAGE = PROJECT / "docs" / "troubleshooting.md"
SOURCES = [
    path
    for folder in ("flows", "tasks", "backends", "edge", "jobs")
    for path in (PROJECT / folder).rglob("*.py")
]


def quoted() -> Iterator[str]:
    """What stands in code in the first column; a cell without any describes what one sees."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            yield from re.findall(r"`([^`]+)`", line.split("|")[1])


def texts_of_code() -> Iterator[str]:
    """Every text that is no docstring, with an ellipsis where an f-string fills something in."""
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        told = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and id(node) not in told:
                yield str(node.value)


@pytest.fixture(scope="module")
def said() -> list[str]:
    return list(texts_of_code())


@pytest.mark.parametrize("message", sorted(set(quoted())))
def test_a_message_that_is_quoted_is_said_somewhere(message: str, said: list[str]) -> None:
    parts = [re.escape(part.strip()) for part in message.split("…") if part.strip()]

    assert any(re.search(".*".join(parts), text, re.DOTALL) for text in said)


def test_the_usual_errors_are_on_the_page() -> None:
    assert len(set(quoted())) >= 40
