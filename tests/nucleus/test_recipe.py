"""Recipes are refused with the field's name, and read as both kinds of nucleus read them."""

import contextlib
import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.local.nucleus.kind import NUCLEI, Nucleus
from backends.local.nucleus.recipe import RecipeError
from backends.local.nucleus.recipe_reader import load
from backends.local.nucleus.spelling import (
    ARTIFACT,
    DEPENDENCY,
    LIFECYCLE,
    MANIFEST,
    PERMISSION,
    PLATFORM,
    STEP,
    TOP,
)

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
    ("lifecycle", "selections", "steps"),
    [
        ({"Install": {"mac": "m"}, "Run": {"mac": "m", "lin": "l"}}, ["lin"], {"run": "l"}),
        ({"mac": {"Run": "m"}, "all": {"Run": "a"}}, ["lin"], {"run": "a"}),
        ({"mac": {"Run": "m"}}, ["lin"], {}),
        ({"mac": {"Run": "m"}}, [], {}),
        ({"lin": {"Run": {"mac": "m", "all": "a"}}, "Install": "i"}, ["lin"], {"run": "a"}),
        ({"Run": {"Script": "r", "Setenv": {"mac": {"A": "1"}}}}, ["lin"], {"run": "r"}),
        ({"Install": "i", "Run": "r"}, ["lin"], {"install": "i", "run": "r"}),
    ],
    ids=["step", "all", "nothing", "no selection", "top first", "inside", "without"],
)
def test_what_is_for_other_manifests_selections_only_is_left_out(
    lifecycle: dict[str, Any], selections: list[str], steps: dict[str, str]
) -> None:
    manifests = [
        {"Platform": {"os": "darwin"}, "Selections": ["mac"]},
        {"Platform": {"os": "linux"}, "Selections": selections},
        None,
    ]

    read = load(json.dumps(recipe(Lifecycle=lifecycle, Manifests=manifests)), LINUX)

    assert {name: step.script for name, step in read.steps.items()} == steps


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (recipe(RecipeFormatVersion="2021"), "RecipeFormatVersion"),
        (with_manifest(Platform={"os": r"/\p{Alpha}+/"}), "Platform.os: .*Python's .* not Java's"),
        (
            with_manifest(Artifacts=[{"Uri": "s3://b/1/a.zip"}, {"Uri": "s3://b/2/a.zip"}]),
            "Artifacts[1].Uri: the file 'a.zip' is that of s3://b/1/a.zip",
        ),
        (
            with_manifest(
                Artifacts=[
                    {"Uri": "s3://b/a.zip", "Unarchive": "ZIP"},
                    {"Uri": "s3://b/a.jar", "Unarchive": "ZIP"},
                ]
            ),
            "Artifacts[1].Uri: the folder 'a' is that of s3://b/a.zip",
        ),
        (recipe(ComponentName="../up"), "ComponentName"),
        (recipe(ComponentName=".."), "ComponentName"),
        (recipe(ComponentName="x" * 129), "ComponentName"),
        (recipe(ComponentVersion="1.0"), "ComponentVersion"),
        (recipe(ComponentVersion=1), "ComponentVersion"),
        (recipe(ComponentVersion="1.0.0-" + "a" * 60), "ComponentVersion: has 66 characters"),
        (recipe(ComponentType="aws.greengrass.lambda"), "ComponentType"),
        (recipe(Author="me"), "Author: there is no such key"),
        (recipe(ComponentVersions="1.0.0"), "ComponentVersions: .*is 'ComponentVersion' meant"),
        (recipe(ComponentConfiguration={"Defaults": {}}), "ComponentConfiguration.Defaults"),
        (recipe(ComponentConfiguration={"DefaultConfiguration": []}), "DefaultConfiguration"),
        (recipe(ComponentDependencies=["b"]), "ComponentDependencies: must be a map"),
        (recipe(ComponentDependencies={"b": {}}), "b.VersionRequirement: must be text"),
        (recipe(ComponentDependencies={"b": {"Version": "1"}}), "b.Version: there is no such key"),
        (recipe(ComponentDependencies={"b": {"VersionRequirement": "9" * 5000}}), "VersionReq"),
        (recipe(Manifests={"Platform": {}}), "Manifests: must be a list"),
        (recipe(Manifests=["linux"]), "Manifests[0]: must be a map"),
        (with_manifest(Platforms={}), "Manifests[0].Platforms: .*is 'Platform' meant"),
        (with_manifest(Platform={"os": 1}), "Manifests[0].Platform.os: must be text"),
        (with_manifest(Platform={"architecure": "arm"}), "Platform.architecure: .*'architecture'"),
        (with_manifest(Platform={"os": "/(/"}), "Platform.os: .*no regular expression"),
        (with_manifest(Selections="all"), "Manifests[0].Selections: must be a list"),
        (with_manifest(Lifecycle={"Run": 5}), "Lifecycle.Run: must be a map"),
        (with_manifest(Lifecycle={"Setenv": {"A": {}}}), "Lifecycle.Setenv.A: must be text"),
        (with_manifest(Lifecycle={"Setenv": {"A=B": "x"}}), "'A=B' is no name of a variable"),
        (with_manifest(Lifecycle={"Run": {"Script": "a", "Timeout": 1.5}}), "Run.Timeout: 1.5"),
        (with_manifest(Lifecycle={"Run": {"Script": "a", "Timeout": 0}}), "Run.Timeout: must be 1"),
        (with_manifest(Lifecycle={"Run": {"Script": "a", "Timeout": True}}), "Run.Timeout"),
        (with_manifest(Lifecycle={"Run": {"Script": "a", "Skipif": "true"}}), "Run.Skipif"),
        (
            with_manifest(Lifecycle={"Run": {"Script": "a", "RequiresPrivilege": "yes"}}),
            "Run.RequiresPrivilege: 'yes' is none of true, false",
        ),
        (with_manifest(Lifecycle={"errorResetTime": "never"}), "Lifecycle.errorResetTime"),
        (with_manifest(Lifecycle={"Run": "a", "run": "b"}), "Lifecycle.run: comes in two"),
        (with_manifest(Lifecycle={"Run": "a\0b"}), "NUL"),
        (with_manifest(Artifacts={}), "Manifests[0].Artifacts: must be a list"),
        (with_manifest(Artifacts=[{"Uri": "s3://b/k", "Mode": 1}]), "Artifacts[0].Mode"),
        (with_manifest(Artifacts=[{"Uri": "s3://b/.."}]), "Artifacts[0].Uri"),
        (recipe(ComponentDescription="long " * 4000), "16000 are allowed"),
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
    pattern = re.escape(field).replace(r"\.\*", ".*")

    with pytest.raises(RecipeError, match=pattern):
        load(json.dumps(wrong), LINUX)


def test_what_a_manifest_for_another_platform_says_is_that_platforms_affair() -> None:
    """No nucleus looks at it either; our own recipes are checked before they are published."""
    manifests = [
        {"Platform": {"os": "linux"}, "Lifecycle": {"Run": "go"}},
        {
            "Platform": {"os": "windows"},
            "Lifecycle": {"Start": "go"},
            "Selections": 5,
            "Registry": {},
        },
    ]
    other = {"os": "windows", "architecture": "amd64"}

    assert load(json.dumps(recipe(Manifests=manifests)), LINUX).steps["run"].script == "go"
    with pytest.raises(RecipeError, match=r"Manifests\[1\].Registry"):
        load(json.dumps(recipe(Manifests=manifests)), other)


def test_a_device_attribute_of_ones_own_is_no_spelling_mistake() -> None:
    manifests = [
        {"Platform": {"os": "linux", "camera": "thermal"}, "Lifecycle": {"Run": "thermal"}},
        {"Platform": {"os": "linux", "camera": "*"}, "Lifecycle": {"Run": "other"}},
    ]
    text = json.dumps(recipe(Manifests=manifests))

    assert load(text, LINUX).steps["run"].script == "other"
    assert load(text, {**LINUX, "camera": "thermal"}).steps["run"].script == "thermal"


def test_the_detail_of_an_architecture_tells_arm_cpus_apart() -> None:
    manifests = [
        {
            "Platform": {"architecture": "arm", "architecture.detail": detail},
            "Lifecycle": {"Run": detail},
        }
        for detail in ("armv6l", "/armv7.*/")
    ]
    arm = {"os": "linux", "architecture": "arm", "architecture.detail": "armv7l"}

    taken = load(json.dumps(recipe(Manifests=manifests)), arm)

    assert taken.steps["run"].script == "/armv7.*/"


EVERYTHING = {
    "Setenv": {"pi": {"WHO": "pi"}, "all": {"WHO": "all"}},
    "Install": {"Script": {"pi": "install pi", "arm": "install arm"}},
    "Run": {"arm": {"Script": "run arm"}, "all": {"Script": "run all"}},
    "Shutdown": "down",
}


@pytest.mark.parametrize(
    ("selections", "who", "install", "run"),
    [
        (["pi", "arm"], "pi", "install pi", "run arm"),
        (["arm", "pi"], "pi", "install arm", "run arm"),
        (["pi"], "pi", "install pi", "run all"),
    ],
    ids=["pi first", "arm first", "pi"],
)
def test_at_each_level_the_first_selector_that_is_there_wins_else_all(
    selections: list[str], who: str, install: str, run: str
) -> None:
    """With ["arm", "pi"] there is no `arm` under Setenv: `pi`, which is there, wins over `all`."""
    manifest = {"Platform": {"os": "linux"}, "Selections": selections}

    taken = load(json.dumps(recipe(Lifecycle=EVERYTHING, Manifests=[manifest])), LINUX)

    scripts = [taken.steps[name].script for name in ("install", "run", "shutdown")]
    assert taken.environment == {"WHO": who}
    assert scripts == [install, run, "down"]


def test_a_lifecycle_of_the_manifest_s_own_hides_the_global_one() -> None:
    own = {"Platform": {"os": "linux"}, "Lifecycle": {"Run": "own"}}
    empty = {"Platform": {"os": "linux"}, "Lifecycle": {}}
    everything = {"Run": "global", "Install": "global"}

    of_its_own = load(json.dumps(recipe(Lifecycle=everything, Manifests=[own])), LINUX)
    of_all = load(json.dumps(recipe(Lifecycle=everything, Manifests=[empty])), LINUX)

    assert {name: step.script for name, step in of_its_own.steps.items()} == {"run": "own"}
    assert set(of_all.steps) == {"run", "install"}


@pytest.mark.parametrize("nucleus", NUCLEI.values(), ids=NUCLEI)
@pytest.mark.parametrize(
    "text",
    [
        "{", "- a\n- b", "a: [", "", "\0", "!!python/object:os.system {}", "&a [*a]",
        "!!int x: 1", "? [a]\n: b", "a: 1\na: 2", '{"a": 1, "a": 2}', '{"a": NaN}',
        '{"a": "\\ud800"}', "{" + '"a":{' * 5000, "[" * 7000, "a: !!binary YQ==", "a: 1e999",
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
        "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
        "e: [*d,*d,*d,*d,*d,*d,*d,*d,*d]",
    ],
    ids=range(18),
)  # fmt: skip
def test_noise_is_refused(text: str, nucleus: Nucleus) -> None:
    with pytest.raises(RecipeError):
        load(text, LINUX, nucleus)


KEYS = st.sampled_from(
    [*TOP, *MANIFEST, *LIFECYCLE, *STEP, *ARTIFACT, *PERMISSION, *DEPENDENCY, *PLATFORM, "all", ""]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["2020-01-25", "app", "1.0.0", "linux", "*", "/[/", "s3://b/k", ">=1.0.0"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.sampled_from(list(NUCLEI.values())))
@settings(deadline=None, max_examples=300)
def test_whatever_a_recipe_says_it_is_read_or_refused_and_never_a_crash(
    changes: dict[str, Any], nucleus: Nucleus
) -> None:
    for text in (json.dumps(recipe() | changes), yaml.safe_dump(recipe() | changes)):
        with contextlib.suppress(RecipeError):
            load(text, LINUX, nucleus)


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_a_damaged_file_is_read_or_refused_and_never_a_crash(data: st.DataObject) -> None:
    whole = recipe(Lifecycle=EVERYTHING)
    text = data.draw(st.sampled_from([json.dumps(whole), yaml.safe_dump(whole)]))
    at = data.draw(st.integers(0, len(text)))
    width = data.draw(st.integers(0, 6))
    damaged = text[:at] + data.draw(st.text(max_size=6)) + text[at + width :]

    for nucleus in NUCLEI.values():
        with contextlib.suppress(RecipeError):
            load(damaged, LINUX, nucleus)


def test_yaml_is_read_with_the_types_of_json() -> None:
    text = """
RecipeFormatVersion: 2020-01-25
ComponentName: app
ComponentVersion: 1.0.0
ComponentConfiguration:
  DefaultConfiguration: {date: 2020-01-25, on: yes, time: 12:30, count: 7, share: .5, none: ~}
Manifests: [{Platform: {os: linux}}]
"""

    assert load(text, LINUX).defaults == {
        "date": "2020-01-25", "on": "yes", "time": "12:30", "count": 7, "share": 0.5, "none": None
    }  # fmt: skip
