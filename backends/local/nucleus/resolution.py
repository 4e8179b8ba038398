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
    for _ in range(
        1000
    ):  # each round fixes one choice; the bound only guards against a cycle of choices
        wishes = _wishes(roots, chosen)
        wrong = _next_choice(wishes, chosen, catalog)
        if wrong is None:
            reachable = {name: chosen[name] for name in wishes if name in chosen}
            return _ordered(reachable)
        chosen[wrong.name] = wrong
    raise ResolutionError("the components' requirements chase each other without end")


def _wishes(roots: Roots, chosen: Mapping[str, Recipe]) -> dict[str, list[Wish]]:
    """Everything that is wanted of each component, by what can be reached from the roots."""
    wishes: dict[str, list[Wish]] = {}
    for target, wanted in roots.items():
        for name, text in wanted.items():
            wishes.setdefault(name, []).append(_wish(target, name, text))
    seen: set[str] = set()
    waiting = list(wishes)
    while waiting:
        name = waiting.pop()
        if name in seen or name not in chosen:
            continue
        seen.add(name)
        by = f"{name} {chosen[name].version}"
        for needed, dependency in chosen[name].dependencies.items():
            wishes.setdefault(needed, []).append(Wish(dependency.requirement, by))
            waiting.append(needed)
    return wishes


def _wish(target: str, name: str, text: str) -> Wish:
    try:
        return Wish(parse_requirement(text), target)
    except VersionError as error:
        raise ResolutionError(f"{target} wants {name} {text}: {error}") from error


def _next_choice(
    wishes: Mapping[str, list[Wish]], chosen: Mapping[str, Recipe], catalog: Catalog
) -> Recipe | None:
    """A component whose choice is missing or wrong, chosen anew; None when all are right."""
    for name, wanted in wishes.items():
        requirements = [wish.requirement for wish in wanted]
        if name in BUILT_IN:
            if newest([BUILT_IN[name]], requirements) is None:
                raise _conflict(name, wanted, [BUILT_IN[name]])
            continue
        known = chosen.get(name)
        if known is not None and all(r.admits(known.version) for r in requirements):
            continue
        versions = catalog.versions(name)
        best = newest(versions, requirements)
        if best is None:
            raise _conflict(name, wanted, versions)
        return catalog.recipe(name, best)
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
