"""JSON files that others read while we write."""

import json
from pathlib import Path
from typing import Any

from backends.files import replace_file


def write_json(path: Path, value: Any, mode: int = 0o644, *, durable: bool = True) -> None:
    """Replaces `path` by `value` as JSON, by default durably.

    Raises OSError; nothing is left behind then.
    """
    replace_file(path, json.dumps(value, indent=1), mode, durable)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in `path`; None when there is none, or it is no JSON object that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
