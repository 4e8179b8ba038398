"""JSON that others wrote, as plain values: no deeper than we can follow, no number JSON has not.

What is nested without measure would end whoever walks it; what reads NaN must not write it.
"""

import json
import math
from typing import Any

MAX_DEPTH = 50
"""Objects and arrays within each other: of a configuration, a request, a recipe."""


def parse_json(text: str | bytes, depth: int = MAX_DEPTH) -> Any:
    """Raises ValueError."""
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as error:
        raise ValueError(_too_deep(depth)) from error
    return check_depth(value, depth)


def check_depth[T](value: T, depth: int = MAX_DEPTH) -> T:
    """`value`, of JSON's kinds. Raises ValueError when it is nested more than `depth` deep."""
    if not _is_within(value, depth):
        raise ValueError(_too_deep(depth))
    return value


def _is_within(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_within(held, depth - 1) for held in inner)


def _too_deep(depth: int) -> str:
    return f"it is nested too deeply; {depth} levels are allowed"


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large")
    return number
