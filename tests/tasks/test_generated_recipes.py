"""Every recipe that we generate runs on both kinds of nucleus, on every platform, and is published.

The builders are found, not listed: a function `…_recipe` of a module of tasks/ is one. A builder
with a new kind of argument must be given a value for it in ARGUMENTS.
"""

import importlib
import inspect
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from backends.local.nucleus.kind import NUCLEI, Kind
from backends.local.nucleus.recipe_reader import load
from backends.local.nucleus.recipe_text import parse
from backends.recipe_rules import check_recipe
from backends.settings import PROJECT
from tasks.recipes import ARCHITECTURE, PLATFORMS
from tests.tasks.gdk_schema import SCHEMA, lower_keys

Recipe = dict[str, Any]
ARGUMENTS: dict[str, list[object]] = {
    "platforms": [PLATFORMS, *([platform] for platform in PLATFORMS)],
    "platform": list(PLATFORMS),
    "version": ["1.2.3"],
    "wheels": [(), PLATFORMS],
}


def builders() -> Iterator[tuple[str, Callable[..., Recipe]]]:
    for path in sorted((PROJECT / "tasks").glob("*.py")):
        if not re.search(r"^def [a-z]\w*_recipe\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            continue  # importing all of them takes seconds
        module = importlib.import_module(f"tasks.{path.stem}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            own = function.__module__ == module.__name__
            if own and name.endswith("_recipe") and not name.startswith("_"):
                yield name, function


def recipes() -> Iterator[Any]:
    """Each builder with each combination of what its arguments may be."""
    for name, build in builders():
        values = [
            [(parameter.name, value) for value in _values(name, parameter)]
            for parameter in inspect.signature(build).parameters.values()
        ]
        for number, arguments in enumerate(itertools.product(*values)):
            yield pytest.param(build(**dict(arguments)), id=f"{name}-{number}")


def _values(builder: str, parameter: inspect.Parameter) -> list[object]:
    if parameter.name in ARGUMENTS:
        return ARGUMENTS[parameter.name]
    if isinstance(parameter.default, bool):
        return [True, False]
    assert parameter.default is not parameter.empty, (
        f"{builder} takes {parameter.name!r}: say in ARGUMENTS what that may be"
    )
    return [parameter.default]


RECIPES = list(recipes())


def as_published(recipe: Recipe) -> Recipe:
    """With a version, and artifacts that lie somewhere, as the component store completes it."""
    done: Recipe = json.loads(json.dumps({**recipe, "ComponentVersion": "1.2.3"}))
    for manifest in done["Manifests"]:
        for artifact in manifest.get("Artifacts", []):
            artifact |= {"Digest": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                         "Algorithm": "SHA-256"}  # fmt: skip
    return done


def platforms_of(recipe: Recipe) -> set[str]:
    offered = {manifest["Platform"].get("architecture", "*") for manifest in recipe["Manifests"]}
    return set(ARCHITECTURE.values()) if "*" in offered else offered


def test_builders_are_found() -> None:
    assert {"model_recipe", "runtime_recipe", "inference_recipe"} <= dict(builders()).keys()


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_component_store_and_the_development_kit_take_it(recipe: Recipe) -> None:
    published = as_published(recipe)

    check_recipe(published)
    jsonschema.validate(lower_keys(published), SCHEMA)
    assert len(yaml.safe_dump(published, sort_keys=False).encode()) <= 16_000


@pytest.mark.parametrize("kind", NUCLEI)
@pytest.mark.parametrize("recipe", RECIPES)
def test_either_kind_of_nucleus_reads_it_on_each_of_its_platforms(
    recipe: Recipe, kind: Kind
) -> None:
    published = as_published(recipe)
    text = yaml.safe_dump(published, sort_keys=False)
    wanted = platforms_of(recipe)

    read = [
        load(text, {"os": "linux", "architecture": architecture}, NUCLEI[kind])
        for architecture in sorted(wanted)
    ]

    assert wanted
    assert all(one.steps or one.artifacts for one in read)
    assert read[0].defaults == _defaults(published, text_only=kind == "lite")


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_steps_run_on_both(recipe: Recipe) -> None:
    """A manifest for one kind may start the component in another way; it must install the same."""
    text = yaml.safe_dump(as_published(recipe), sort_keys=False)

    for architecture in platforms_of(recipe):
        attributes = {"os": "linux", "architecture": architecture}
        classic, lite = (load(text, attributes, nucleus) for nucleus in NUCLEI.values())
        assert classic.artifacts == lite.artifacts
        assert classic.environment == lite.environment
        assert classic.steps.get("install") == lite.steps.get("install")
        started = {"run", "startup"}
        assert bool(started & set(classic.steps)) is bool(started & set(lite.steps))


def _defaults(recipe: Recipe, *, text_only: bool) -> Any:
    parsed = parse(yaml.safe_dump(recipe), text_scalars=text_only)
    return parsed.get("ComponentConfiguration", {}).get("DefaultConfiguration", {})
