"""Where a picture of a data set comes from: the source itself, or a batch that a device collected.

Collected pictures lie beside the others of their class and are told apart by their file's name.
"""

from pathlib import PurePosixPath

SOURCE = "source"
"""The origin of every picture that no device collected."""

_MARK = "collected"
_BETWEEN = "--"


def collected_name(batch: str, name: str) -> str:
    """The file name of a picture of `batch` (letters, digits, `.`, `_`) in a data set."""
    return _BETWEEN.join((_MARK, batch, name))


def origin_of(path: str) -> str:
    """The batch that `path` (as in a manifest) was collected in, or SOURCE."""
    parts = PurePosixPath(path).name.split(_BETWEEN, 2)
    return parts[1] if len(parts) == 3 and parts[0] == _MARK else SOURCE  # noqa: PLR2004
