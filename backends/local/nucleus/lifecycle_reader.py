"""What a component's lifecycle says: which one applies, its steps, its environment."""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from backends.local.nucleus.kind import Nucleus
from backends.local.nucleus.recipe import ERROR_RESET_SECONDS, Step
from backends.local.nucleus.recipe_fields import Fields
from backends.local.nucleus.spelling import LIFECYCLE, STEP

ALL = "all"
_TIMEOUTS = {
    "bootstrap": 120.0,
    "install": 120.0,
    "startup": 120.0,
    "run": None,
    "shutdown": 15.0,
    "recover": 60.0,
    "uninstall": 120.0,
}
_SKIP = re.compile(r"!?\s*(onpath|exists)\s+\S.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Lifecycle:
    steps: Mapping[str, Step]
    environment: Mapping[str, str]
    error_reset_seconds: float


def read_lifecycle(fields: Fields, where: str, given: Any, nucleus: Nucleus) -> Lifecycle:
    """The steps of one lifecycle; `where` is its path. Raises RecipeError."""
    entries = fields.keys(where, given, LIFECYCLE)
    if "run" in entries and "startup" in entries:
        raise fields.error(where, "has both Run and Startup; only one of them may be there")
    steps = {
        name: _step(fields, f"{where}.{name.capitalize()}", name, entries[name], nucleus)
        for name in _TIMEOUTS
        if name in entries
    }
    reset = entries.get("errorresettime", ERROR_RESET_SECONDS)
    return Lifecycle(
        steps={name: step for name, step in steps.items() if name not in nucleus.ignored_steps},
        environment=fields.environment(f"{where}.Setenv", entries.get("setenv")),
        error_reset_seconds=fields.seconds(f"{where}.errorResetTime", reset),
    )


def select(
    fields: Fields, everything: Any, selections: Sequence[str], keywords: Set[str], nucleus: Nucleus
) -> Any:
    """The global lifecycle, as a manifest with these selections sees it. Raises RecipeError.

    `keywords` are the selections of all manifests. At a level that has any of them (or `all`), the
    first selection that is there wins, else `all`; without either the level is left out.
    """
    wanted = [*selections, ALL]
    if nucleus.implicit_all:
        return _selected(everything, wanted, {*keywords, ALL})
    levels = fields.object("Lifecycle", everything)
    for selector in wanted:
        if selector in levels:
            return levels[selector]
    raise fields.error(
        "Lifecycle", f"nucleus lite looks for it under {' or '.join(wanted)}; put it there"
    )


def _selected(node: Any, wanted: Sequence[str], keywords: Set[str]) -> Any:
    """None when it is for others only."""
    if not isinstance(node, Mapping):
        return node
    if keywords.isdisjoint(node):
        kept = ((key, value, _selected(value, wanted, keywords)) for key, value in node.items())
        return {key: new for key, value, new in kept if new is not None or value is None}
    mine = next((selector for selector in wanted if selector in node), None)
    return None if mine is None else _selected(node[mine], wanted, keywords)


def _step(fields: Fields, where: str, name: str, value: Any, nucleus: Nucleus) -> Step:
    if isinstance(value, str):
        return Step(value, _TIMEOUTS[name])
    entry = fields.keys(where, value, STEP)
    timeout = entry.get("timeout")
    skip = fields.text(f"{where}.Skipif", entry.get("skipif") or "")
    if skip and not _SKIP.fullmatch(skip.strip()):
        raise fields.error(f"{where}.Skipif", "must be 'onpath <program>' or 'exists <file>'")
    return Step(
        script=fields.text(f"{where}.Script", entry.get("script")),
        timeout=(
            _TIMEOUTS[name]
            if timeout is None
            else fields.whole_seconds(f"{where}.Timeout", timeout)
        ),
        privileged=fields.flag(f"{where}.RequiresPrivilege", entry.get("requiresprivilege", False)),
        skip_if=skip if nucleus.skips else "",
        environment=fields.environment(f"{where}.Setenv", entry.get("setenv")),
    )
