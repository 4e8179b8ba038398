"""What Great Expectations decided, in our own words."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """What Great Expectations decided about one expectation.

    `unexpected` holds (key of the row, value) of every row that broke it. An informative check
    is shown and never refuses.
    """

    table: str
    gate: str
    name: str
    passed: bool
    informative: bool
    description: str
    observed: Any
    unexpected: tuple[tuple[str, Any], ...]
