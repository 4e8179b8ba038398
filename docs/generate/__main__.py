"""Write what the reference says of the code: `python -m docs.generate`, or `--check` that it does.

A page of docs/ is written by hand, but for what stands between two marks:

    <!-- generated: settings -->
    …
    <!-- end of settings -->

That part is made from the code, each time anew.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from docs.generate import command_line, components, decisions, fields, gates, messages, record

DOCS = Path(__file__).resolve().parents[1]
PARTS: dict[str, Callable[[], str]] = {
    **fields.PARTS,
    **gates.PARTS,
    **command_line.PARTS,
    **record.PARTS,
    **messages.PARTS,
    **components.PARTS,
    **decisions.PARTS,
}
_MARKED = re.compile(
    r"(?P<begin><!-- generated: (?P<part>[a-z-]+) -->\n).*?(?P<end><!-- end of (?P=part) -->)",
    re.DOTALL,
)


def renewed(page: str) -> str:
    """The text of a page with its generated parts made anew; an unknown part is a KeyError."""

    def make(found: re.Match[str]) -> str:
        return f"{found['begin']}\n{PARTS[found['part']]().strip()}\n\n{found['end']}"

    return _MARKED.sub(make, page)


def main(arguments: list[str]) -> int:
    """1 with `--check`, where a page does not say what the code says."""
    pages = sorted(DOCS.rglob("*.md"))
    used = {found["part"] for page in pages for found in _MARKED.finditer(_read(page))}
    if missing := sorted(set(PARTS) - used):
        sys.stderr.write(f"docs: no page has the generated part {', '.join(missing)}\n")
        return 1
    stale = [page for page in pages if renewed(_read(page)) != _read(page)]
    if "--check" in arguments:
        for page in stale:
            name = page.relative_to(DOCS.parent)
            sys.stderr.write(f"{name} is not what the code says. Renew it: make docs\n")
        return 1 if stale else 0
    for page in stale:
        page.write_text(renewed(_read(page)), encoding="utf-8")
        sys.stdout.write(f"renewed {page.relative_to(DOCS.parent)}\n")
    return 0


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
