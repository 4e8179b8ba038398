"""Reads single fields of what arrives as JSON; a ValueError says which field is wrong, and why.

Standard library only: the device and the cloud side read with the same strictness.
"""

import math
from datetime import datetime, timezone
from typing import Any, List, Tuple

_TOLERANCE = 1e-3  # a float32 softmax may end a little above 1


def expect_keys(document: Any, keys: Tuple[str, ...], field: str) -> None:
    if not isinstance(document, dict):
        raise ValueError(f"{field}: must be an object")  # noqa: TRY004
    for missing in sorted(set(keys) - set(document)):
        raise ValueError(f"{field}: lacks {missing!r}")
    for unknown in sorted(set(document) - set(keys)):
        raise ValueError(f"{field}: has an unknown field {unknown!r}")


def read_text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{field}: must be text, not {value!r}")
    return value


def read_count(value: Any, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{field}: must be a whole number from 0, not {value!r}")
    return value


def read_counts(value: Any, length: int, field: str) -> List[int]:
    if not isinstance(value, list) or len(value) != length:
        raise ValueError(f"{field}: must be a list of {length} counts")
    return [read_count(held, f"{field}[{index}]") for index, held in enumerate(value)]


def read_instant(value: Any, field: str) -> str:
    """One spelling of a UTC instant, so that text order is time order."""
    text = read_text(value, field)
    try:
        read = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    except ValueError:
        raise ValueError(f"{field}: must be ISO 8601 in UTC, not {text!r}") from None
    if read.tzinfo is None:
        raise ValueError(f"{field}: needs its UTC offset, as in 2026-01-31T12:00:00Z")
    utc = read.astimezone(timezone.utc).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds") + "Z"


def read_share(value: Any, field: str) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not -_TOLERANCE <= value <= 1 + _TOLERANCE:  # NaN fails the comparison
        raise ValueError(f"{field}: must be a number in [0, 1], not {value!r}")
    return min(max(float(value), 0.0), 1.0)


def read_amount(value: Any, field: str) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise ValueError(f"{field}: must be a number from 0, not {value!r}")
    return float(value)
