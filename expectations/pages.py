"""Makes Data Docs readable from disk: they come with style, scripts and a beacon from elsewhere."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from expectations.check import Check

SHOWN = 10
"""Rows named per check on the first page; the validation's own page has more."""

_SCRIPTS = re.compile(r"<script\b.*?</script\s*>", re.DOTALL | re.IGNORECASE)
_REMOTE = re.compile(
    r"<link\b[^>]*https?://[^>]*>|<img\b[^>]*https?://[^>]*>", re.DOTALL | re.IGNORECASE
)
_ANCHOR = re.compile(r"<a\b[^>]*href=\"?https?://[^>]*>(.*?)</a\s*>", re.DOTALL | re.IGNORECASE)
_REMOTE_STYLE = re.compile(r"url\(['\"]?https?://[^)]*\)", re.IGNORECASE)
_FILTER = re.compile(
    r"<div class=\"mb-2\">\s*<p class=\"card-text[^>]*>\s*Validation Filter:"
    r".*?</label>\s*</div>\s*</div>",
    re.DOTALL,
)
_UNUSED = ("static/images", "static/fonts")
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 1rem;
  color: #1c2330; background: #fff; }
a { color: #0a58a8; } h4, h5, h6 { margin: .4rem 0; }
nav ol, nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
th, td { border-bottom: 1px solid #d8dde6; padding: .35rem .5rem; text-align: left;
  vertical-align: top; overflow-wrap: break-word; }
footer { display: none; }
.alert, .card { background: #f3f5f8; border-radius: 6px; padding: .5rem .8rem; margin: .6rem 0; }
.fa-check-circle::before { content: "\\2714"; color: #17803d; }
.fa-times::before { content: "\\2718"; color: #b3261e; }
.fa-info::before { content: "\\2139"; color: #0a58a8; }
.fa-exclamation-triangle::before { content: "\\26A0"; color: #9a6700; }
.text-success { color: #17803d; } .text-danger { color: #b3261e; } i { font-style: normal; }
"""


@contextmanager
def publish(docs: Path) -> Iterator[Path]:
    """A folder to build pages in, which takes the place of `docs` once they are complete."""
    docs.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{docs.name}-", dir=docs.parent))
    try:
        yield building
        for page in building.rglob("*.html"):
            page.write_text(self_contained(page.read_text(encoding="utf-8")), encoding="utf-8")
        for unused in _UNUSED:
            shutil.rmtree(building / unused, ignore_errors=True)
        shutil.rmtree(docs, ignore_errors=True)
        building.replace(docs)
        docs.chmod(0o755 & ~_umask())
    finally:
        shutil.rmtree(building, ignore_errors=True)


def self_contained(page: str) -> str:
    """The page without scripts and anything fetched from elsewhere, with a style of its own."""
    for pattern, kept in (
        (_FILTER, ""),
        (_SCRIPTS, ""),
        (_REMOTE, ""),
        (_ANCHOR, r"\1"),
        (_REMOTE_STYLE, "none"),
    ):
        page = pattern.sub(kept, page)
    return page.replace("</head>", f"<style>{_STYLE}</style></head>", 1)


def write_index(docs: Path, title: str, checks: Sequence[Check]) -> None:
    """Write the first page: every check in words. (Great Expectations' own needs scripts.)"""
    tables = list(dict.fromkeys(check.table for check in checks))
    sections = "".join(
        _section(docs, name, [check for check in checks if check.table == name]) for name in tables
    )
    (docs / "index.html").write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"</head><body><h3>{escape(title)}</h3>{sections}</body></html>",
        encoding="utf-8",
    )


def _section(docs: Path, table: str, checks: Sequence[Check]) -> str:
    pages = sorted(docs.glob(f"validations/{table}/**/*.html"))
    links = " · ".join(
        f'<a href="{escape(page.relative_to(docs).as_posix())}">all results</a>' for page in pages
    )
    rows = "".join(_row(check) for check in checks)
    return (
        f"<h4>{escape(table)}</h4><table><thead><tr><th></th><th>gate</th><th>must be true</th>"
        f"<th>found</th></tr></thead><tbody>{rows}</tbody></table><p>{links}</p>"
    )


def _row(check: Check) -> str:
    icon = "fa-info" if check.informative else "fa-check-circle" if check.passed else "fa-times"
    return (
        f'<tr><td><i class="{icon}"></i></td><td>{escape(check.gate)}</td>'
        f"<td>{escape(check.description)}</td><td>{escape(_found(check))}</td></tr>"
    )


def _found(check: Check) -> str:
    """The rows that broke it, or what was observed where that says something."""
    named = [
        key if str(value) == key else f"{key} ({_short(value)})"
        for key, value in check.unexpected[:SHOWN]
    ]
    if len(check.unexpected) > SHOWN:
        named.append(f"and {len(check.unexpected) - SHOWN} more")
    if named:
        return ", ".join(named)
    nothing = check.observed is None or (check.passed and isinstance(check.observed, list))
    return "" if nothing or check.observed == 0 else _short(check.observed)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
