"""What works on the classic nucleus and not on nucleus lite must fail here as it fails there."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.local.nucleus.configuration import Configuration
from backends.local.nucleus.kind import CLASSIC, LITE, NUCLEI, Kind
from backends.local.nucleus.layout import Layout
from backends.local.nucleus.packages import Packages
from backends.local.nucleus.recipe import Recipe, RecipeError
from backends.local.nucleus.recipe_reader import load
from backends.local.nucleus.variables import Variables
from backends.local.nucleus.versions import parse_version
from tests.fakes.component_store import Store
from tests.nucleus.test_lifecycle import Device
from tests.nucleus.test_recipe import LINUX, recipe, with_manifest

ANY = {"os": "linux", "runtime": "*"}


def read(wanted: dict[str, Any]) -> Recipe:
    return load(json.dumps(wanted), LINUX, LITE)


@pytest.mark.parametrize(
    ("runtime", "chosen"),
    [({"runtime": "*"}, "both"), ({"runtime": "aws_nucleus_lite"}, "lite"), ({}, "classic")],
    ids=["any", "lite", "none"],
)
def test_a_manifest_is_for_the_kind_that_its_runtime_names(
    runtime: dict[str, str], chosen: str
) -> None:
    text = json.dumps(
        recipe(
            Manifests=[
                {"Platform": {"os": "linux", **runtime}, "Lifecycle": {"Run": "first"}},
                {"Platform": ANY, "Lifecycle": {"Run": "second"}},
            ]
        )
    )

    taken = {
        kind
        for kind, nucleus in NUCLEI.items()
        if load(text, LINUX, nucleus).steps["run"].script == "first"
    }

    assert taken == ({"classic", "lite"} if chosen == "both" else {chosen})


def test_scalars_of_yaml_are_text_and_those_of_json_keep_their_types() -> None:
    defaults = {"Number": 7, "Share": 0.25, "Flag": True, "List": [1, None], "Text": "x"}
    given = recipe(ComponentConfiguration={"DefaultConfiguration": defaults})

    assert load(yaml.safe_dump(given), LINUX, LITE).defaults == {
        "Number": "7", "Share": "0.25", "Flag": "true", "List": ["1", "null"], "Text": "x"
    }  # fmt: skip
    assert load(json.dumps(given), LINUX, LITE).defaults == defaults
    assert load(yaml.safe_dump(given), LINUX, CLASSIC).defaults == defaults


def test_skipif_shutdown_and_recover_are_ignored() -> None:
    lifecycle = {
        "Install": {"Script": "install", "Skipif": "exists here"},
        "Run": "run",
        "Shutdown": "down",
        "Recover": "again",
    }

    taken = read(with_manifest(Platform=ANY, Lifecycle=lifecycle))

    assert set(taken.steps) == {"install", "run"}
    assert taken.steps["install"].skip_if == ""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (with_manifest(Platform=ANY, Lifecycle={"run": "go"}), "wants it spelt 'Run'"),
        (with_manifest(Platform=ANY, Lifecycle={"Run": {"script": "go"}}), "spelt 'Script'"),
        (recipe(manifests=[]), "wants it spelt 'Manifests'"),
        (with_manifest(Platform={"os": "/lin.*/", "runtime": "*"}), "none is for this platform"),
        (with_manifest(Platform={"os": "linux"}), "none is for this platform"),
        (recipe(Lifecycle={"Run": "go"}, Manifests=[{"Platform": ANY}]), "under all"),
        (
            recipe(
                Lifecycle={"Run": {"pi": "go", "all": "go"}},
                Manifests=[{"Platform": ANY, "Selections": ["pi"]}],
            ),
            "under pi or all",
        ),
        (recipe(ComponentType="aws.greengrass.plugin"), "ComponentType"),
        *(
            (
                recipe(ComponentDependencies={"b": {"VersionRequirement": wanted}}),
                "nothing that nucleus lite reads",
            )
            for wanted in ("^1.0.0", "~1.0.0", "1.x", "*", "1.0.0 || 2.0.0", "1.0")
        ),
    ],
)
def test_what_lite_does_not_understand_is_refused_by_name(wrong: dict[str, Any], said: str) -> None:
    wrong.pop("Manifests") if "manifests" in wrong else None

    with pytest.raises(RecipeError, match=said.replace("*", r"\*")):
        read(wrong)


def test_comparators_and_no_requirement_at_all_are_understood() -> None:
    needs = {
        "a": {"VersionRequirement": ">=1.0.0 <2.0.0"},
        "b": {"VersionRequirement": "1.2.3"},
        "c": {"VersionRequirement": ""},
    }

    dependencies = read(recipe(ComponentDependencies=needs)).dependencies

    wanted = {name: dependency.requirement for name, dependency in dependencies.items()}
    assert wanted["a"].admits(parse_version("1.9.0"))
    assert not wanted["a"].admits(parse_version("2.0.0"))
    assert not wanted["b"].admits(parse_version("1.2.4"))
    assert wanted["c"].admits(parse_version("9.0.0"))


def test_a_global_lifecycle_is_found_under_its_selector() -> None:
    everything = {"pi": {"Run": "pi"}, "all": {"Run": "all"}}

    def chosen(**manifest: Any) -> str:
        given = recipe(Lifecycle=everything, Manifests=[{"Platform": ANY, **manifest}])
        return read(given).steps["run"].script

    assert chosen(Selections=["pi"]) == "pi"
    assert chosen(Selections=["other"]) == "all"
    assert chosen() == "all"


@pytest.mark.parametrize(
    ("script", "left"),
    [
        ("echo ${HOME}; exec work", "echo $"),
        ("a() { true; }; work", "a() "),
        ("x {configuration:/Missing} y", "x "),
        ("x {other.component:artifacts:path} y", "x "),
        ("x {configuration:/Word} y }", "x hello y }"),
        ("cd {work:path}; echo $HOME {", "cd /thing/work/app; echo $HOME "),
    ],
    ids=["shell", "function", "missing", "another's", "good", "open"],
)
def test_a_stray_brace_cuts_a_script_off(script: str, left: str, tmp_path: Path) -> None:
    """The trap: lite runs what is left, and reports success."""
    taken = read(
        with_manifest(Platform=ANY, Lifecycle={"Run": script})
        | {"ComponentDependencies": {"other.component": {"VersionRequirement": ""}}}
    )
    configuration = Configuration(exact_keys=True)
    configuration.merge("app", {"Word": "hello"}, 1)
    lite = Variables(taken, {}, configuration, Layout(Path("/thing")), "hub", LITE)

    assert lite.replace(script) == left


def test_the_cut_script_runs_and_its_component_counts_as_well(tmp_path: Path) -> None:
    async def play() -> str:
        device = Device(tmp_path, LITE)
        device.add("app", {"Run": "echo before; echo ${HOME}; echo after"})
        try:
            await device.start()
            await device.until(lambda: str(device.services["app"].state) == "FINISHED")
        finally:
            await device.services.stop_all()
        return device.log("app")

    log = asyncio.run(play())

    assert "stdout. before" in log
    assert "stdout. after" not in log


@pytest.mark.parametrize("local", [False, True], ids=["from the cloud", "local"])
@pytest.mark.parametrize("kind", NUCLEI)
def test_an_archive_is_unpacked_unless_the_deployment_is_local_to_lite(
    kind: Kind, local: bool, tmp_path: Path
) -> None:
    store = Store(tmp_path / "home")
    store.add("app", "1.0.0", {"Run": "true"}, files={"run.sh": "hi"})
    layout = Layout(tmp_path / "thing")
    layout.create()
    packages = Packages(layout, store.components, store.objects, LINUX, NUCLEI[kind])

    packages.fetch(packages.recipe("app", parse_version("1.0.0")), local=local)

    unpacked = layout.unarchived("app", "1.0.0") / "code" / "run.sh"
    assert unpacked.is_file() is not (local and kind == "lite")
    assert (layout.artifacts("app", "1.0.0") / "code.zip").is_file()


def test_configuration_keys_are_case_sensitive() -> None:
    configuration = Configuration(exact_keys=True)
    configuration.merge("app", {"Word": "one"}, 1)
    configuration.merge("app", {"word": "two"}, 2)
    again = Configuration.from_json(configuration.to_json(), exact_keys=True).copy()

    again.reset("app", "/WORD")

    assert again.value("app") == {"Word": "one", "word": "two"}
    with pytest.raises(KeyError):
        again.value("app", ("wORD",))
