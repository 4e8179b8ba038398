"""The recipes' scripts, run by a plain shell as a nucleus runs them, do what components rely on."""

import re
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest

from backends.archives import unpack
from tasks.packaging import package_inference, package_runtime
from tasks.recipes import (
    PLATFORMS,
    challenger_recipe,
    inference_recipe,
    model_recipe,
    runtime_recipe,
)

MODEL = "edgeward-model-linux-x86_64"


def run(script: str, work: Path, unpacked: Path, **configuration: str) -> Any:
    """Replace the recipe variables and run the script in its work folder."""
    values = {"artifacts:decompressedPath": str(unpacked)}
    values |= {f"configuration:/{key}": value for key, value in configuration.items()}
    text = re.sub(r"\{([^{}]+)\}", lambda found: values[found[1]], script)
    work.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        ["/bin/sh", "-c", text], cwd=work, capture_output=True, text=True, check=False
    )


def with_model(unpacked: Path) -> Path:
    (unpacked / MODEL).mkdir(parents=True)
    (unpacked / MODEL / "compiled.meta").touch()
    return unpacked


def install_script(recipe: dict[str, Any]) -> str:
    return str(recipe["Manifests"][0]["Lifecycle"]["Install"]["Script"])


def test_the_model_component_says_where_the_model_is_and_which_version(tmp_path: Path) -> None:
    """The inference component reads this file, and no other way works on both nuclei."""
    unpacked = with_model(tmp_path / "a folder" / "1.0.7")
    work = tmp_path / "work" / "edgeward.ImageClassification.Model"

    finished = run(install_script(model_recipe(["linux-x86_64"])), work, unpacked)

    assert finished.returncode == 0, finished.stderr
    assert (work / "location").read_text() == f"{unpacked / MODEL}\n1.0.7\n"
    assert [path.name for path in work.iterdir()] == ["location"]


def test_a_model_that_was_not_unpacked_keeps_the_earlier_location(tmp_path: Path) -> None:
    """Nucleus lite does not unpack archives of local deployments."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "location").write_text("earlier\n")

    finished = run(install_script(model_recipe(["linux-x86_64"])), work, tmp_path / "1.0.0")

    assert finished.returncode != 0
    assert "was not unpacked" in finished.stderr
    assert (work / "location").read_text() == "earlier\n"


@pytest.mark.device
def test_the_runtime_component_hands_out_the_configured_interpreter(
    device_python: Path, tmp_path: Path
) -> None:
    archive = package_runtime(tmp_path)
    unpacked, work = tmp_path / "1.0.0", tmp_path / "work"
    unpack(archive, unpacked)

    for _ in ("installed", "installed again"):
        finished = run(install_script(runtime_recipe()), work, unpacked, Python=str(device_python))
        assert finished.returncode == 0, finished.stderr

    shown = subprocess.run(
        [work / "python", "-c", "import sys; print(sys.prefix, sys.argv[1])", "two words"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == f"{device_python.parents[1]} two words"


def test_an_interpreter_without_the_runtime_is_refused_by_module(tmp_path: Path) -> None:
    """Found out at installation, a rollback is possible; at the first picture it is not."""
    archive = package_runtime(tmp_path)
    unpacked, work = tmp_path / "1.0.0", tmp_path / "work"
    unpack(archive, unpacked)
    venv.create(tmp_path / "bare")

    finished = run(
        install_script(runtime_recipe()), work, unpacked, Python=str(tmp_path / "bare/bin/python")
    )

    assert finished.returncode != 0
    assert "lacks dlr, numpy, PIL, awsiot" in finished.stderr
    assert not (work / "python").exists()


@pytest.mark.parametrize("nucleus", ["aws_nucleus_lite", "*"])
def test_every_component_is_offered_for_every_platform(nucleus: str) -> None:
    """On either nucleus the first manifest that matches is taken."""
    for recipe in (
        model_recipe(PLATFORMS),
        challenger_recipe(PLATFORMS),
        runtime_recipe(),
        inference_recipe(),
    ):
        offered = [
            manifest["Platform"].get("architecture", "any")
            for manifest in recipe["Manifests"]
            if manifest["Platform"]["runtime"] in (nucleus, "*")
        ]
        assert list(dict.fromkeys(offered)) in (["amd64", "aarch64", "arm"], ["any"])


def test_only_the_classic_nucleus_waits_for_the_component_s_word() -> None:
    """Lite's Startup is unreliable with older systemd; on the classic one, Run proves nothing."""
    manifests = inference_recipe()["Manifests"]

    for first, second in zip(manifests[::2], manifests[1::2], strict=True):
        assert first["Platform"]["runtime"] == "aws_nucleus_lite"
        assert second["Platform"] == {**first["Platform"], "runtime": "*"}
        assert {"Run", "Startup"} & set(first["Lifecycle"]) == {"Run"}
        assert {"Run", "Startup"} & set(second["Lifecycle"]) == {"Startup"}
        assert first["Artifacts"] == second["Artifacts"]


def test_a_new_model_does_not_restart_what_serves() -> None:
    needed = inference_recipe()["ComponentDependencies"]

    assert needed["edgeward.ImageClassification.Model"]["DependencyType"] == "SOFT"
    assert "DependencyType" not in needed["edgeward.Runtime.DLR"]  # hard, without lite's BindsTo=


def test_a_challenger_is_known_by_its_version_as_a_model(tmp_path: Path) -> None:
    """Results, baselines and the registry know it by that one."""
    unpacked = with_model(tmp_path / "1.0.0")
    work = tmp_path / "work" / "edgeward.ImageClassification.Challenger"

    finished = run(install_script(challenger_recipe(["linux-x86_64"], "1.0.7")), work, unpacked)

    assert finished.returncode == 0, finished.stderr
    assert (work / "location").read_text() == f"{unpacked / MODEL}\n1.0.7\n"


@pytest.mark.parametrize(("status", "moves"), [(0, True), (3, False), (132, False)])
def test_a_model_is_pointed_at_only_if_the_component_could_serve_it(
    tmp_path: Path, status: int, moves: bool
) -> None:
    """The check is the component's own, in its work folder; 132: the library killed it."""
    unpacked = with_model(tmp_path / "1.0.1")
    work = tmp_path / "work" / "edgeward.ImageClassification.Model"
    work.mkdir(parents=True)
    (work / "location").write_text("earlier\n")
    check = tmp_path / "work" / "edgeward.ImageClassification" / "check-model"
    check.parent.mkdir()
    check.write_text(f'#!/bin/sh\necho "$1" > "{tmp_path}/asked"\nexit {status}\n')
    check.chmod(0o755)

    finished = run(install_script(model_recipe(["linux-x86_64"])), work, unpacked)

    assert (finished.returncode == 0) is moves
    assert (tmp_path / "asked").read_text() == f"{unpacked / MODEL}\n"
    assert ((work / "location").read_text() != "earlier\n") is moves


def offered_check(tmp_path: Path, python: str | None) -> Any:
    """What check-model says to a model, where the runtime is `python` (None: not installed)."""
    unpacked, work = tmp_path / "1.0.0", tmp_path / "work" / "edgeward.ImageClassification"
    unpack(package_inference(tmp_path), unpacked)
    finished = run(install_script(inference_recipe()), work, unpacked)
    assert finished.returncode == 0, finished.stderr
    if python:
        runtime = tmp_path / "work" / "edgeward.Runtime.DLR" / "python"
        runtime.parent.mkdir()
        runtime.write_text(f"#!/bin/sh\n{python}\n")
        runtime.chmod(0o755)
    return subprocess.run(
        ["../edgeward.ImageClassification/check-model", str(tmp_path / "none")],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_check_stands_in_no_model_s_way_where_there_is_nothing_to_check_with(
    tmp_path: Path,
) -> None:
    """On a new device the model may come first; and a component that is gone leaves its check."""
    without_runtime = offered_check(tmp_path, None)

    assert without_runtime.returncode == 0
    assert "not checked: " in without_runtime.stdout


def test_the_check_says_that_a_library_killed_it(tmp_path: Path) -> None:
    killed = offered_check(tmp_path, "kill -SEGV $$")

    assert killed.returncode == 139
    assert "the model's library ended the check with signal 11" in killed.stderr


@pytest.mark.device
def test_the_check_runs_this_very_component_on_the_runtime(
    device_python: Path, tmp_path: Path
) -> None:
    refused = offered_check(tmp_path, f'exec {device_python} "$@"')

    assert refused.returncode == 3
    assert refused.stderr.strip().endswith("there is no such folder")


def test_only_compiled_platforms_are_in_the_model_s_recipe() -> None:
    (manifest,) = model_recipe(["linux-aarch64"])["Manifests"]

    assert manifest["Platform"]["architecture"] == "aarch64"
    assert manifest["Artifacts"][0]["Uri"].endswith("/edgeward-model-linux-aarch64.zip")
