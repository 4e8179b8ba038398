"""The versions of a deployment depend on what is wanted, and on nothing else.

What would break for a user: two devices with the same deployments run different models.
"""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.local.nucleus.recipe import Dependency, Recipe
from backends.local.nucleus.resolution import ResolutionError, resolve
from backends.local.nucleus.versions import Version, newest, parse_requirement, parse_version

NAMES = ("a", "b", "c", "d", "e")
VERSIONS = ("1.0.0", "1.5.0", "2.0.0", "3.0.0")
REQUIREMENTS = ("*", "<2.0.0", ">=1.5.0", ">=2.0.0", "^1.0.0", "<3.0.0")

Needs = Mapping[str, str]


class Catalog:
    """Of recipes: component to version to what that version needs."""

    def __init__(self, content: Mapping[str, Mapping[str, Needs]]) -> None:
        self._content = content

    def versions(self, name: str) -> list[Version]:
        return sorted(map(parse_version, self._content.get(name, {})))

    def recipe(self, name: str, version: Version) -> Recipe:
        needs = self._content[name][str(version)]
        dependencies = {n: Dependency(parse_requirement(r), hard=True) for n, r in needs.items()}
        return Recipe(name, version, {}, dependencies, (), {}, {})


def chosen(roots: Mapping[str, Needs], content: Mapping[str, Mapping[str, Needs]]) -> Any:
    """Versions by component, or why there are none."""
    try:
        return {recipe.name: str(recipe.version) for recipe in resolve(roots, Catalog(content))}
    except ResolutionError as error:
        return str(error)


def turned[V](value: Mapping[str, V]) -> dict[str, V]:
    return dict(reversed(list(value.items())))


@st.composite
def contents(draw: st.DrawFn) -> dict[str, dict[str, Needs]]:
    """A component needs later ones only, so that there is no circle."""
    return {
        name: {
            version: draw(
                st.dictionaries(
                    st.sampled_from((*NAMES[at + 1 :], "aws.greengrass.Nucleus")),
                    st.sampled_from(REQUIREMENTS),
                    max_size=3,
                )
            )
            for version in draw(st.sets(st.sampled_from(VERSIONS), min_size=1))
        }
        for at, name in enumerate(NAMES)
    }


needs = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(REQUIREMENTS), max_size=4)


@given(contents(), st.dictionaries(st.sampled_from(("thing", "group")), needs, min_size=1))
def test_everybody_gets_the_newest_that_all_admit_in_whatever_order_it_is_asked(
    content: dict[str, dict[str, Needs]], roots: dict[str, Needs]
) -> None:
    result = chosen(roots, content)

    in_reverse = turned({target: turned(wanted) for target, wanted in roots.items()})
    catalog = {n: {v: turned(wanted) for v, wanted in of.items()} for n, of in content.items()}
    assert chosen(in_reverse, catalog) == result

    if isinstance(result, str):
        assert re.search(r"of [\w.]+: [\w. ]+ wants .+; there is \d", result)
        return
    wishes = [*roots.values(), *(content[name][version] for name, version in result.items())]
    for name, version in result.items():
        wanted = [parse_requirement(wish[name]) for wish in wishes if name in wish]
        assert str(newest(map(parse_version, content[name]), wanted)) == version
    assert {name for wish in wishes for name in wish} - {"aws.greengrass.Nucleus"} == set(result)


@pytest.mark.parametrize("first", ["app", "other"])
def test_what_a_replaced_choice_had_wanted_counts_no_more(first: str) -> None:
    """app 2.0.0 wants an older model; then somebody wants app 1.0.0, and the model is free."""
    content: dict[str, dict[str, Needs]] = {
        "app": {"1.0.0": {"model": "*"}, "2.0.0": {"model": "<2.0.0"}},
        "model": {"1.9.0": {}, "2.0.0": {}},
        "other": {"1.0.0": {"tool": "*"}},
        "tool": {"1.0.0": {"app": "<2.0.0"}},
    }
    roots = {first: "*", "app": "*", "other": "*"}

    assert chosen({"thing": roots}, content) == {
        "app": "1.0.0", "model": "2.0.0", "other": "1.0.0", "tool": "1.0.0"
    }  # fmt: skip


@pytest.mark.parametrize("first", ["app", "other"])
def test_a_conflict_that_another_choice_ends_is_none(first: str) -> None:
    """app 2.0.0 wants a model that is not there; but it is not app 2.0.0 that is wanted."""
    content: dict[str, dict[str, Needs]] = {
        "app": {"1.0.0": {"model": "*"}, "2.0.0": {"model": ">=3.0.0"}},
        "model": {"1.9.0": {}},
        "other": {"1.0.0": {"tool": "*"}},
        "tool": {"1.0.0": {"app": "<2.0.0"}},
    }

    assert chosen({"thing": {first: "*", "app": "*", "other": "*"}}, content)["app"] == "1.0.0"
    alone = chosen({"thing": {"app": "*"}}, content)
    assert alone.endswith("requirements of model: app 2.0.0 wants >=3.0.0; there is 1.9.0")
