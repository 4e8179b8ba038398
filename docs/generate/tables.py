"""Tables in Markdown, and how they write values."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from backends.settings import PROJECT


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar within a cell is escaped, a line break becomes a space."""
    lines = [_row(heads), "|" + "---|" * len(heads), *map(_row, rows)]
    return "\n".join(lines)


def code(text: object) -> str:
    return f"`{text}`"


def value(given: Any) -> str:
    """A default as people write it: `none`, `empty`, or the value itself in code."""
    if given is None:
        return "none"
    if isinstance(given, bool):
        return code(str(given).lower())
    if isinstance(given, Path) and given.is_relative_to(PROJECT):
        return code(given.relative_to(PROJECT))
    text = getattr(given, "get_secret_value", lambda: given)()
    return "empty" if text in ("", (), {}) else code(text)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", r"\|").split()) for cell in cells) + " |"
