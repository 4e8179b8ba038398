"""The rules by which a device raises alerts, checked before use. Standard library only."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Mapping, Tuple

MAX_RULES = 20
MAX_LABELS = 100
MAX_NAME = 64
MAX_SIGHTINGS = 1000
MAX_BYTES = 4000
"""Of all rules as JSON: a configuration has to fit into one frame of nucleus lite."""

_DAY = 86_400.0


@dataclass(frozen=True)
class AlertRule:
    """`sightings` pictures of `labels` within `within_seconds` raise the alert `name`.

    A picture counts where its best label is one of `labels`, with at least `min_score`. With
    `while_labels`, one of those (with `while_min_score`) must have been seen within
    `while_seconds` as well. After an alert the rule is quiet for `quiet_seconds`.
    """

    name: str
    labels: Tuple[str, ...]
    min_score: float
    sightings: int
    within_seconds: float
    quiet_seconds: float
    while_labels: Tuple[str, ...]
    while_seconds: float
    while_min_score: float


DEFAULTS: Mapping[str, Any] = {
    "Name": None,
    "Labels": None,
    "MinScore": "0.8",
    "Sightings": "2",
    "WithinSeconds": "10",
    "QuietSeconds": "60",
    "WhileLabels": [],
    "WhileSeconds": "10",
    "WhileMinScore": "0.5",
}


def parse_alert_rules(value: Any) -> Tuple[AlertRule, ...]:
    """Read a list of rules as a configuration gives it, or as JSON text; numbers may be texts.

    Raises ValueError that names the rule and the key which is wrong, and says what is allowed.
    """
    rules = _list(value, "Alerts", MAX_RULES, "rules")
    size = len(json.dumps(rules, ensure_ascii=False, default=str).encode(errors="replace"))
    if size > MAX_BYTES:
        raise ValueError(
            f"Alerts: the rules have {size} bytes as JSON, and {MAX_BYTES} are allowed"
        )
    parsed = tuple(_rule(rule, f"Alerts[{number}]") for number, rule in enumerate(rules))
    names = [rule.name for rule in parsed]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ValueError(f"Alerts[{number}].Name: {name!r} is the name of another rule")
    return parsed


def parse_labels(value: Any, field: str, empty: bool = True) -> Tuple[str, ...]:
    """Read a list of labels, or JSON text of one. Raises ValueError."""
    labels = _list(value, field, MAX_LABELS, "labels")
    if not all(isinstance(label, str) and label for label in labels):
        raise ValueError(f"{field}: {value!r} is not possible, it must be a list of labels (texts)")
    if not labels and not empty:
        raise ValueError(f"{field}: must name at least one label")
    return tuple(labels)


def _rule(value: Any, field: str) -> AlertRule:
    if not isinstance(value, dict):
        raise ValueError(f"{field}: must be an object, not {value!r}")  # noqa: TRY004
    for key in value:
        if key not in DEFAULTS:
            raise ValueError(f"{field}.{key}: unknown, the keys are {', '.join(DEFAULTS)}")
    merged = {**DEFAULTS, **value}

    def number(key: str, low: float, high: float) -> float:
        return _number(merged[key], f"{field}.{key}", low, high)

    sightings = number("Sightings", 1, MAX_SIGHTINGS)
    if sightings != int(sightings):
        raise ValueError(f"{field}.Sightings: must be a whole number, not {sightings:g}")
    return AlertRule(
        name=_name(merged["Name"], f"{field}.Name"),
        labels=parse_labels(merged["Labels"], f"{field}.Labels", empty=False),
        min_score=number("MinScore", 0, 1),
        sightings=int(sightings),
        within_seconds=number("WithinSeconds", 0, _DAY),
        quiet_seconds=number("QuietSeconds", 0, _DAY),
        while_labels=parse_labels(merged["WhileLabels"], f"{field}.WhileLabels"),
        while_seconds=number("WhileSeconds", 0, _DAY),
        while_min_score=number("WhileMinScore", 0, 1),
    )


def _name(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME:
        raise ValueError(f"{field}: must be a text of 1 to {MAX_NAME} characters, not {value!r}")
    return value.strip()


def _number(value: Any, field: str, low: float, high: float) -> float:
    read = math.nan
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            read = float(value)
        except (ValueError, OverflowError):
            read = math.nan
    if not low <= read <= high:  # false for nan
        allowed = f"a number from {low:.10g} to {high:.10g}"
        raise ValueError(f"{field}: {value!r} is not possible, it must be {allowed}")
    return read


def _list(value: Any, field: str, most: int, what: str) -> "list[Any]":
    read = value
    if isinstance(value, str):
        try:
            read = json.loads(value) if value.strip() else []
        except ValueError:
            read = None
    if not isinstance(read, list):
        reason = f"{value!r} is not possible, it must be a list of {what}"
        raise ValueError(f"{field}: {reason}")  # noqa: TRY004
    if len(read) > most:
        raise ValueError(f"{field}: has {len(read)} {what}, and {most} are allowed")
    return read
