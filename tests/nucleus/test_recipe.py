"""Recipes are refused with the field's name, and read as both kinds of nucleus read them."""

import json
from typing import Any

import pytest
import yaml

from backends.local.nucleus.recipe import RecipeError
from backends.local.nucleus.recipe_reader import load

LINUX = {"os": "linux", "architecture": "amd64"}


def recipe(**changes: Any) -> dict[str, Any]:
    return {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": "app",
        "ComponentVersion": "1.0.0",
        "Manifests": [{"Platform": {"os": "linux", "runtime": "*"}, "Lifecycle": {"Run": "go"}}],
        **changes,
    }


def with_manifest(**manifest: Any) -> dict[str, Any]:
    return recipe(Manifests=[manifest])


@pytest.mark.parametrize("dump", [json.dumps, yaml.safe_dump], ids=["json", "yaml"])
def test_json_and_yaml_are_read_alike(dump: Any) -> None:
    read = load(dump(recipe()), LINUX)

    assert (read.name, str(read.version)) == ("app", "1.0.0")
    assert read.steps["run"].script == "go"
    assert read.steps["run"].timeout is None


def test_the_first_manifest_for_the_platform_wins() -> None:
    manifests = [
        {"Platform": {"os": "windows"}, "Lifecycle": {"Run": "windows"}},
        {"Platform": {"os": "linux", "architecture": "arm"}, "Lifecycle": {"Run": "arm"}},
        {"Platform": {"os": "/lin.*/", "architecture": "/amd64|x86/"}, "Lifecycle": {"Run": "re"}},
        {"Lifecycle": {"Run": "any"}},
    ]

    assert load(json.dumps(recipe(Manifests=manifests)), LINUX).steps["run"].script == "re"
    other = {"os": "darwin", "architecture": "aarch64"}
    assert load(json.dumps(recipe(Manifests=manifests)), other).steps["run"].script == "any"


def test_a_manifest_of_nucleus_lite_alone_is_not_for_this_device() -> None:
    manifest = with_manifest(Platform={"runtime": "aws_nucleus_lite"}, Lifecycle={"Run": "lite"})

    with pytest.raises(RecipeError, match="none is for this platform"):
        load(json.dumps(manifest), LINUX)


def test_lower_case_steps_text_booleans_and_text_numbers_are_read() -> None:
    step = {"script": "go", "requiresPrivilege": "true", "timeout": "7"}
    manifest = with_manifest(Lifecycle={"setEnv": {"A": 1, "B": True}, "run": step})

    read = load(json.dumps(manifest), LINUX)

    assert read.steps["run"].privileged
    assert read.steps["run"].timeout == 7
    assert read.environment == {"A": "1", "B": "true"}


def test_a_global_lifecycle_is_chosen_by_the_manifests_selections() -> None:
    text = json.dumps(
        recipe(
            Lifecycle={"Run": {"pi": {"Script": "pi"}, "all": {"Script": "all"}}},
            Manifests=[{"Platform": {"os": "linux"}, "Selections": ["pi"]}],
        )
    )
    without = json.dumps(
        recipe(
            Lifecycle={"Run": {"pi": {"Script": "pi"}, "all": {"Script": "all"}}},
            Manifests=[{"Platform": {"os": "linux"}}],
        )
    )

    assert load(text, LINUX).steps["run"].script == "pi"
    assert load(without, LINUX).steps["run"].script == "all"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (recipe(RecipeFormatVersion="2021"), "RecipeFormatVersion"),
        (recipe(ComponentName="../up"), "ComponentName"),
        (recipe(ComponentName=".."), "ComponentName"),
        (recipe(ComponentVersion="1.0"), "ComponentVersion"),
        (recipe(Manifests=[]), "Manifests"),
        (recipe(ComponentDependencies={"b": {"VersionRequirement": "new"}}), "VersionRequirement"),
        (recipe(ComponentDependencies={"b": {"DependencyType": "WEAK"}}), "DependencyType"),
        (with_manifest(Lifecycle={"Start": "go"}), "Lifecycle.Start"),
        (with_manifest(Lifecycle={"Run": "a", "Startup": "b"}), "Run and Startup"),
        (with_manifest(Lifecycle={"Run": {"Skript": "a"}}), "Lifecycle.Run.Skript"),
        (with_manifest(Lifecycle={"Run": {"Timeout": 5}}), "Lifecycle.Run.Script"),
        (with_manifest(Lifecycle={"Run": {"Script": "a", "Timeout": "soon"}}), "Lifecycle.Run"),
        (with_manifest(Artifacts=[{"Uri": "s3://b/k", "Unarchive": "TAR"}]), "Unarchive"),
        (with_manifest(Artifacts=[{"Uri": "https://x/y"}]), "Uri"),
        (with_manifest(Artifacts=[{"Uri": "s3://b/k", "Algorithm": "MD5"}]), "Algorithm"),
        (
            with_manifest(Artifacts=[{"Uri": "s3://b/k", "Permission": {"Read": "SOME"}}]),
            "Permission.Read",
        ),
    ],
)
def test_a_wrong_recipe_is_refused_by_field(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(RecipeError, match=field.replace(".", r"\.")):
        load(json.dumps(wrong), LINUX)


def test_noise_is_refused() -> None:
    for text in ("{", "- a\n- b", "a: [", ""):
        with pytest.raises(RecipeError):
            load(text, LINUX)
