"""Where pictures come from: one module per kind of source, chosen by a word on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backends.errors import InvalidInputError

if TYPE_CHECKING:
    from backends.ports import Source
    from backends.sources.plan import DrivewayPlan
    from backends.workers import Workers

FORMS = "driveway, folder:PATH, caltech256, caltech256:URL or recordio:PATH"


def parse_source(
    text: str, home: Path, plan: DrivewayPlan | None = None, workers: Workers = 0
) -> Source:
    """Make the source that `text` names; what it fetches is kept below `<home>/sources`.

    `plan` says what `driveway` draws, with `workers` as in map_in_order.
    Raises InvalidInputError for any other text.
    """
    kind, _, rest = text.partition(":")
    if kind == "driveway" and not rest:
        from backends.sources.driveway import DrivewaySource
        from backends.sources.plan import DrivewayPlan

        return DrivewaySource(home, plan or DrivewayPlan(), workers)
    if kind == "folder" and rest:
        from backends.sources.folder import FolderSource

        return FolderSource(Path(rest))
    if kind == "caltech256":
        from backends.sources.caltech256 import Caltech256Source

        return Caltech256Source(home, rest) if rest else Caltech256Source(home)
    if kind == "recordio" and rest:
        from backends.sources.recordio import RecordIOSource

        return RecordIOSource(home, Path(rest))
    raise InvalidInputError(f"data source {text!r}", "there is no such source", f"Use {FORMS}.")
