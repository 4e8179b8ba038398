"""From a compiled model to published components: what is unchanged keeps its version."""

import base64
import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from prefect.logging import disable_run_logger

from backends.artifacts import CompiledModel, ComponentVersion, Wheels
from backends.errors import PackageError
from backends.local.components import LocalComponents
from backends.local.objects import LocalObjects
from backends.recipe_rules import check_recipe
from edge.contract import INFERENCE_COMPONENT, MODEL_COMPONENT, RUNTIME_COMPONENT
from tasks.deployment import Package, publish_components
from tests.fakes.wheels import make_wheels

COMPILED = CompiledModel(
    Path("compiled"), "linux-x86_64", "tvm", "0.10", "llvm", {}, 1.0, 4, "digest"
)


@pytest.fixture
def store(tmp_path: Path) -> LocalComponents:
    return LocalComponents(tmp_path / "components", LocalObjects(tmp_path / "objects"))


def package(folder: Path, code: bytes, platform: str = "linux-x86_64") -> Package:
    folder.mkdir(exist_ok=True)
    archive = folder / f"edgeward-model-{platform}.zip"
    with ZipFile(archive, "w") as stream:
        stream.writestr("compiled.so", code)
    return Package(archive, dataclasses.replace(COMPILED, platform=platform))  # type: ignore[arg-type]


def publish(
    store: LocalComponents, packed: Package, folder: Path
) -> Mapping[str, ComponentVersion]:
    with disable_run_logger():
        published: Mapping[str, ComponentVersion] = publish_components.fn(store, packed, folder)
        return published


def recipe(component: ComponentVersion) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(component.recipe.read_text())
    return read


def test_three_components_are_published_that_a_nucleus_takes(
    store: LocalComponents, tmp_path: Path
) -> None:
    published = publish(store, package(tmp_path, b"code"), tmp_path / "run")

    assert set(published) == {MODEL_COMPONENT, RUNTIME_COMPONENT, INFERENCE_COMPONENT}
    for name, component in published.items():
        assert (component.name, component.version) == (name, "1.0.0")
        check_recipe(recipe(component))
    assert set(recipe(published[INFERENCE_COMPONENT])["ComponentDependencies"]) == {
        MODEL_COMPONENT,
        RUNTIME_COMPONENT,
    }


def test_what_is_stored_is_the_very_package_that_was_verified(
    store: LocalComponents, tmp_path: Path
) -> None:
    packed = package(tmp_path, b"code")

    published = publish(store, packed, tmp_path / "run")

    (manifest,) = recipe(published[MODEL_COMPONENT])["Manifests"]
    (artifact,) = manifest["Artifacts"]
    digest = hashlib.sha256(packed.zip.read_bytes()).digest()
    assert base64.b64decode(artifact["Digest"]) == digest
    stored = tmp_path / "objects" / artifact["Uri"].removeprefix("s3://")
    assert stored.read_bytes() == packed.zip.read_bytes()


def test_only_what_changed_gets_a_new_version(store: LocalComponents, tmp_path: Path) -> None:
    first = publish(store, package(tmp_path / "a", b"code"), tmp_path / "run-1")
    again = publish(store, package(tmp_path / "b", b"code"), tmp_path / "run-2")
    newer = publish(store, package(tmp_path / "c", b"better code"), tmp_path / "run-3")

    assert again[INFERENCE_COMPONENT] == first[INFERENCE_COMPONENT]
    assert again[RUNTIME_COMPONENT] == first[RUNTIME_COMPONENT]
    assert newer[MODEL_COMPONENT].version == store.versions(MODEL_COMPONENT)[-1]
    assert newer[MODEL_COMPONENT].version > first[MODEL_COMPONENT].version
    assert newer[INFERENCE_COMPONENT] == first[INFERENCE_COMPONENT]


def test_a_model_for_another_platform_is_another_version(
    store: LocalComponents, tmp_path: Path
) -> None:
    publish(store, package(tmp_path, b"code"), tmp_path / "run")
    other = publish(store, package(tmp_path, b"code", "linux-armv7l"), tmp_path / "run")

    component = other[MODEL_COMPONENT]
    (manifest,) = recipe(component)["Manifests"]
    assert component.version == "1.0.1"
    assert manifest["Platform"]["architecture"] == "arm"
    assert manifest["Artifacts"][0]["Uri"].endswith("/edgeward-model-linux-armv7l.zip")


def test_an_archive_that_is_none_is_not_published(store: LocalComponents, tmp_path: Path) -> None:
    broken = package(tmp_path, b"code")
    broken.zip.write_bytes(b"no archive")

    with pytest.raises(PackageError):
        publish(store, broken, tmp_path / "run")

    assert store.versions(MODEL_COMPONENT) == ()


def test_a_runtime_with_wheels_leaves_other_platforms_their_archive(
    store: LocalComponents, tmp_path: Path
) -> None:
    wheels = Wheels(make_wheels(tmp_path / "wheels", "3.11"), "linux-aarch64", "3.11")

    with disable_run_logger():
        published = publish_components.fn(
            store, package(tmp_path, b"code"), tmp_path / "run", wheels=wheels
        )

    manifests = recipe(published[RUNTIME_COMPONENT])["Manifests"]
    files = {each["Name"]: each["Artifacts"][0]["Uri"].rpartition("/")[2] for each in manifests}
    assert files == {
        "linux-x86_64": "edgeward-runtime.zip",
        "linux-aarch64": "edgeward-runtime-linux-aarch64.zip",
        "linux-armv7l": "edgeward-runtime.zip",
    }
    check_recipe(recipe(published[RUNTIME_COMPONENT]))


def test_aws_s_runtime_is_a_dependency_where_it_is_chosen(
    store: LocalComponents, tmp_path: Path
) -> None:
    with disable_run_logger():
        published = publish_components.fn(
            store, package(tmp_path, b"code"), tmp_path / "run", variant_dlr=True
        )

    made = recipe(published[RUNTIME_COMPONENT])
    check_recipe(made)
    assert made["ComponentDependencies"] == {
        "variant.DLR": {"VersionRequirement": ">=1.6.5 <1.7.0"}
    }
