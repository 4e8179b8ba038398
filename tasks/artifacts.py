"""What a flow run leaves for the people who look at it in Prefect's UI.

It is a convenience: what the server does not take is told in the log, and stops no run.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, get_run_context
from prefect.exceptions import MissingContextError

from backends.report_pages import page_address

SECONDS_BETWEEN = 5.0

Cell = str | int | float | bool | None


def leave_markdown(key: str, text: str, about: str) -> None:
    """A page; `about` is shown above it and in lists of artifacts."""
    _leave(lambda: create_markdown_artifact(text, key=as_key(key), description=about))


def leave_table(key: str, rows: Sequence[Mapping[str, Cell]], about: str) -> None:
    """A table, a mapping a row; nothing where there is no row."""
    if rows:
        table: list[dict[str, Any]] = [dict(row) for row in rows]
        _leave(lambda: create_table_artifact(table, key=as_key(key), description=about))


def leave_link(key: str, url: str, words: str, about: str) -> None:
    _leave(lambda: create_link_artifact(url, words, key=as_key(key), description=about))


def leave_page(key: str, home: Path, page: Path, words: str, about: str) -> None:
    """A link to a page of a run, and the file that it is.

    Browsers follow no link from a page of a server to a file: it leads to where `edgeward up`
    serves the page, and to the file itself only where it never did.
    """
    file = page.absolute()
    way = f"{about}: the file `{file}` on the machine of the run"
    served = page_address(home, file)
    leave_link(key, served or file.as_uri(), words, way)


class ProgressBar:
    """How far a long step is, renewed every few seconds; a quick step leaves none."""

    def __init__(self, key: str, about: str) -> None:
        self._key, self._about = as_key(key), about
        self._id: UUID | None = None
        self._drawn = time.monotonic()

    def show(self, done: int, total: int) -> None:
        at_its_end = self._id is not None and done == total
        if at_its_end or time.monotonic() - self._drawn >= SECONDS_BETWEEN:
            self._drawn = time.monotonic()
            percent = round(100 * min(1.0, done / total), 1) if total else 0.0
            _leave(lambda: self._draw(percent))

    def _draw(self, percent: float) -> None:
        if self._id is None:
            made = create_progress_artifact(percent, key=self._key, description=self._about)
            self._id = made if isinstance(made, UUID) else None
        else:
            update_progress_artifact(self._id, progress=percent)


def tag_run(*tags: str) -> None:
    """Add tags to the current flow run: the UI finds runs by them."""
    context = FlowRunContext.get()
    if context and context.flow_run:
        run = context.flow_run
        run.tags = sorted({*run.tags, *tags})
        _leave(lambda: _retag(run.id, run.tags))


def as_key(name: str) -> str:
    """A name as Prefect takes it for a key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def as_cell(text: str) -> str:
    """A text as a cell of a Markdown table: on one line, and nothing in it is a mark-up."""
    flat = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]<>|~#])", r"\\\1", flat)


def markdown_table(
    names: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()
) -> str:
    """A Markdown table of cells that are Markdown already; columns in `right` are right-aligned."""
    line = ["--:" if name in right else ":--" for name in names]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [names, line, *rows])


def _retag(run: UUID, tags: list[str]) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run(run, tags=tags)


def _leave(send: Callable[[], object]) -> None:
    """Send it, if there is a run to which it belongs: a phase can also be called by itself."""
    try:
        get_run_context()
    except MissingContextError:
        return
    try:
        send()
    except httpx.HTTPError as error:
        get_run_logger().warning("the Prefect server did not take what to show: %s", error)
