"""Which component versions a deployment means: the newest that every requirement admits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from backends.local.nucleus.recipe import Recipe
from backends.local.nucleus.versions import (
    Requirement,
    Version,
    VersionError,
    newest,
    parse_requirement,
)

Roots = Mapping[str, Mapping[str, str]]
"""Who wants which components: target to component to version requirement."""

_MAX_CHOICES = 1000  # only guards against a cycle of choices

NUCLEUS = "aws.greengrass.Nucleus"
NUCLEUS_VERSION = "2.12.0"
BUILT_IN = {NUCLEUS: Version((2, 12, 0)), "aws.greengrass.NucleusLite": Version((2, 0, 0))}


class ResolutionError(Exception):
    """No set of versions satisfies everybody; says who wants what."""


class Catalog(Protocol):
    def versions(self, name: str) -> list[Version]: ...

    def recipe(self, name: str, version: Version) -> Recipe: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """One requirement, and whose it is."""

    requirement: Requirement
    by: str


def resolve(roots: Roots, catalog: Catalog) -> list[Recipe]:
    """The recipes of what everybody wants, and of all that these need.

    Dependencies come before their dependents. Raises ResolutionError, and what the catalog raises.
    """
    chosen: dict[str, Recipe] = {}
    for _ in range(_MAX_CHOICES):
        wishes = _wishes(roots, chosen)
        choice = _next_choice(wishes, chosen, catalog)
        if choice is None:
            reachable = {name: chosen[name] for name in wishes if name in chosen}
            return _ordered(reachable)
        for name in _reached(choice.name, chosen):  # what the former choice wanted may be newer now
            chosen.pop(name, None)
        chosen[choice.name] = choice
    raise ResolutionError("the components' requirements chase each other without end")


def _wishes(roots: Roots, chosen: Mapping[str, Recipe]) -> dict[str, list[Wish]]:
    """Everything that is wanted of each component, by what can be reached from the roots."""
    wishes: dict[str, list[Wish]] = {}
    for target, wanted in sorted(roots.items()):
        for name, text in wanted.items():
            wishes.setdefault(name, []).append(_wish(target, name, text))
    for name in sorted({found for root in list(wishes) for found in _reached(root, chosen)}):
        if name in chosen:
            by = f"{name} {chosen[name].version}"
            for needed, dependency in chosen[name].dependencies.items():
                wishes.setdefault(needed, []).append(Wish(dependency.requirement, by))
    return wishes


def _reached(name: str, chosen: Mapping[str, Recipe]) -> set[str]:
    """`name`, and all that its choice needs."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += chosen[one].dependencies if one in chosen else ()
    return found


def _wish(target: str, name: str, text: str) -> Wish:
    try:
        return Wish(parse_requirement(text), target)
    except VersionError as error:
        raise ResolutionError(f"{target} wants {name} {text}: {error}") from error


def _next_choice(
    wishes: Mapping[str, list[Wish]], chosen: Mapping[str, Recipe], catalog: Catalog
) -> Recipe | None:
    """A component whose choice is wrong or missing, chosen anew; None when all are right.

    A conflict counts only when nothing else is to be chosen, which might end it.
    """
    conflicts: list[ResolutionError] = []
    for name in sorted(wishes, key=lambda name: (name not in chosen, name)):
        requirements = [wish.requirement for wish in wishes[name]]
        known = BUILT_IN.get(name) or (chosen[name].version if name in chosen else None)
        if known is not None and all(r.admits(known) for r in requirements):
            continue
        versions = [BUILT_IN[name]] if name in BUILT_IN else catalog.versions(name)
        best = newest(versions, requirements)
        if best is not None:
            return catalog.recipe(name, best)
        conflicts.append(_conflict(name, wishes[name], versions))
    if conflicts:
        raise conflicts[0]
    return None


def _conflict(name: str, wishes: list[Wish], versions: list[Version]) -> ResolutionError:
    who = "; ".join(f"{wish.by} wants {wish.requirement}" for wish in wishes)
    there = ", ".join(map(str, versions)) or "none"
    return ResolutionError(
        f"No local or cloud component version satisfies the requirements of {name}: {who}; "
        f"there is {there}"
    )


def _ordered(recipes: Mapping[str, Recipe]) -> list[Recipe]:
    return [recipes[name] for name in in_order(recipes, lambda name: recipes[name].dependencies)]


def in_order(
    names: Mapping[str, object], needs: Callable[[str], Mapping[str, object]]
) -> list[str]:
    """`names` with everything that one needs before it. Raises ResolutionError for a circle."""
    order: list[str] = []
    open_: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        if name in open_:
            circle = " -> ".join([*open_[open_.index(name) :], name])
            raise ResolutionError(f"the components depend on each other in a circle: {circle}")
        open_.append(name)
        for needed in sorted(needs(name)):
            if needed in names:
                visit(needed)
        open_.pop()
        order.append(name)

    for name in sorted(names):
        visit(name)
    return order
