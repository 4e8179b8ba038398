"""The recipes' scripts, run by a plain shell as a nucleus runs them, do what components rely on."""

import re
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest

from backends.archives import unpack
from tasks.packaging import package_runtime
from tasks.recipes import PLATFORMS, inference_recipe, model_recipe, runtime_recipe

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


def install_script(recipe: dict[str, Any]) -> str:
    return str(recipe["Manifests"][0]["Lifecycle"]["Install"]["Script"])


def test_the_model_component_says_where_the_model_is_and_which_version(tmp_path: Path) -> None:
    """The inference component reads this file, and no other way works on both nuclei."""
    unpacked = tmp_path / "a folder" / "1.0.7"
    (unpacked / MODEL).mkdir(parents=True)
    (unpacked / MODEL / "compiled.meta").touch()
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


def test_every_component_is_offered_for_every_platform() -> None:
    architectures = ["amd64", "aarch64", "arm"]

    for recipe in (model_recipe(PLATFORMS), runtime_recipe(), inference_recipe()):
        offered = [manifest["Platform"]["architecture"] for manifest in recipe["Manifests"]]
        assert offered == architectures


def test_only_compiled_platforms_are_in_the_model_s_recipe() -> None:
    (manifest,) = model_recipe(["linux-aarch64"])["Manifests"]

    assert manifest["Platform"]["architecture"] == "aarch64"
    assert manifest["Artifacts"][0]["Uri"].endswith("/edgeward-model-linux-aarch64.zip")
