"""Recipes that a classic nucleus or nucleus lite would stumble over are refused by name."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from backends.errors import PackageError
from backends.recipe_rules import check_recipe
from tasks.recipes import (
    PLATFORMS,
    challenger_recipe,
    inference_recipe,
    model_recipe,
    model_store_recipe,
    runtime_recipe,
)

Recipe = dict[str, Any]


def versioned(recipe: Recipe) -> Recipe:
    return {**copy.deepcopy(recipe), "ComponentVersion": "1.0.0"}


def put(*path: str | int, value: Any) -> Callable[[Recipe], None]:
    """A change of one place in a recipe."""

    def change(recipe: Recipe) -> None:
        place: Any = recipe
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "recipe",
    [
        model_recipe(PLATFORMS),
        challenger_recipe(PLATFORMS, "1.0.3"),
        model_store_recipe(PLATFORMS),
        runtime_recipe(),
        runtime_recipe(variant_dlr=True, wheels=PLATFORMS),
        inference_recipe(),
    ],
    ids=["model", "challenger", "model-store", "runtime", "runtime-of-others", "inference"],
)
def test_our_own_recipes_pass(recipe: Recipe) -> None:
    check_recipe(versioned(recipe))


FAULTS = {
    "unknown key": (put("Author", value="me"), "Author: is not a known key"),
    "format": (put("RecipeFormatVersion", value="2021-01-01"), "RecipeFormatVersion"),
    "version": (put("ComponentVersion", value="1.0"), "ComponentVersion: '1.0' is not a semantic"),
    "name": (put("ComponentName", value="two words"), "ComponentName"),
    "publisher": (put("ComponentPublisher", value=""), "ComponentPublisher: is missing"),
    "type": (put("ComponentType", value="aws.greengrass.lambda"), "ComponentType"),
    "no manifests": (put("Manifests", value=[]), "Manifests: there must be at least one"),
    "configuration": (put("ComponentConfiguration", value=[]), "ComponentConfiguration"),
    "caret": (
        put("ComponentDependencies", "edgeward.Runtime.DLR", "VersionRequirement", value="^1.0.0"),
        "edgeward.Runtime.DLR.VersionRequirement: '^1.0.0'",
    ),
    "dependency type": (
        put("ComponentDependencies", "edgeward.Runtime.DLR", "DependencyType", value="HARD"),
        "DependencyType: must be SOFT, or left out for a hard one",
    ),
    "too many values": (
        put("ComponentConfiguration", "DefaultConfiguration", value={str(n): n for n in range(99)}),
        "255 are allowed",
    ),
    "no lite runtime": (
        put("Manifests", 0, "Platform", value={"os": "linux", "architecture": "amd64"}),
        "runtime: must be '*'",
    ),
    "regex": (
        put("Manifests", 0, "Platform", "architecture", value="/arm.*/"),
        "architecture: nucleus lite knows no regular expressions",
    ),
    "architecture": (put("Manifests", 0, "Platform", "architecture", value="x64"), "architecture"),
    "selections": (put("Manifests", 0, "Selections", value=["all"]), "Selections"),
    "lower case step": (
        put("Manifests", 0, "Lifecycle", value={"run": "true"}),
        "Lifecycle.run: nucleus lite wants it spelt 'Run'",
    ),
    "unknown step": (
        put("Manifests", 0, "Lifecycle", value={"Start": "true"}),
        "Lifecycle.Start: is not a known key",
    ),
    "run and startup": (
        put("Manifests", 0, "Lifecycle", value={"Run": "true", "Startup": "true"}),
        "both Run and Startup",
    ),
    "no script": (put("Manifests", 0, "Lifecycle", "Run", value={"Timeout": 1}), "Run.Script"),
    "timeout": (
        put("Manifests", 0, "Lifecycle", "Run", "Timeout", value=1.5),
        "Run.Timeout: 1.5 is not a whole number",
    ),
    "step key": (put("Manifests", 0, "Lifecycle", "Run", "Retries", value=3), "Run.Retries"),
    "shell braces": (
        put("Manifests", 0, "Lifecycle", "Run", "Script", value="echo ${HOME}"),
        "Run.Script: nucleus lite cuts the text off",
    ),
    "variable of another component": (
        put("Manifests", 0, "Lifecycle", "Run", "Script", value="ls {a.B:artifacts:path}"),
        "nucleus lite knows no variables of other components",
    ),
    "unknown variable": (
        put("Manifests", 0, "Lifecycle", "Run", "Script", value="ls {artifacts:folder}"),
        "{artifacts:folder} is not a recipe variable",
    ),
    "environment": (
        put("Manifests", 0, "Lifecycle", "Setenv", "PORT", value=1883),
        "Setenv.PORT: must be a text",
    ),
    "tar": (
        put("Manifests", 0, "Artifacts", 0, "Unarchive", value="TAR"),
        "Unarchive: 'TAR' is neither NONE nor ZIP",
    ),
    "uri": (put("Manifests", 0, "Artifacts", 0, "Uri", value="model.zip"), "Uri: 'model.zip'"),
    "permission": (
        put("Manifests", 0, "Artifacts", 0, "Permission", "Read", value="EVERYONE"),
        "Permission.Read",
    ),
    "size": (put("ComponentDescription", value="long " * 2000), "8000 are allowed"),
}


@pytest.mark.parametrize(("change", "named"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_recipe_is_refused_by_the_field(
    change: Callable[[Recipe], None], named: str
) -> None:
    recipe = versioned(inference_recipe())
    change(recipe)

    with pytest.raises(PackageError) as refused:
        check_recipe(recipe)

    assert named in refused.value.reason
