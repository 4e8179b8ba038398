"""Component versions as CreateComponentVersion keeps them: immutable, numbered, with digests."""

import base64
import hashlib
import multiprocessing
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.errors import InvalidInputError, PackageError
from backends.local.components import LocalComponents
from backends.local.objects import LocalObjects
from tasks.recipes import model_recipe

NAME = "edgeward.ImageClassification.Model"
FILE = "edgeward-model-linux-x86_64.zip"


def store(root: Path) -> LocalComponents:
    return LocalComponents(root / "components", LocalObjects(root / "objects"))


def artifact(folder: Path, content: bytes = b"model") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / FILE, "w") as archive:
        archive.writestr(zipfile.ZipInfo("compiled.so"), content)
    return folder / FILE


def recipe() -> dict[str, Any]:
    return model_recipe(["linux-x86_64"])


def test_a_published_version_names_its_artifact_and_the_digest_of_it(tmp_path: Path) -> None:
    """A nucleus refuses an artifact whose SHA-256 is another than the recipe's."""
    published = store(tmp_path).publish(recipe(), [artifact(tmp_path)])

    kept = yaml.safe_load(published.recipe.read_text())
    (listed,) = kept["Manifests"][0]["Artifacts"]
    assert published.version == kept["ComponentVersion"] == "1.0.0"
    assert listed["Uri"] == f"s3://edgeward/components/{NAME}/1.0.0/{FILE}"
    assert listed["Algorithm"] == "SHA-256"
    stored = (tmp_path / "objects/edgeward/components" / NAME / "1.0.0" / FILE).read_bytes()
    assert base64.b64decode(listed["Digest"]) == hashlib.sha256(stored).digest()


def test_the_same_content_again_gives_the_same_version(tmp_path: Path) -> None:
    components = store(tmp_path)
    first = components.publish(recipe(), [artifact(tmp_path)])
    components.publish(recipe(), [artifact(tmp_path, b"another model")])

    again = store(tmp_path).publish(recipe(), [artifact(tmp_path / "elsewhere")])

    assert again == first
    assert components.versions(NAME) == ("1.0.0", "1.0.1")


@pytest.mark.parametrize("changed", ["artifact", "recipe"])
def test_changed_content_gets_the_next_patch_version(tmp_path: Path, changed: str) -> None:
    components = store(tmp_path)
    components.publish(recipe(), [artifact(tmp_path)])

    other = recipe() | ({"ComponentDescription": "Other."} if changed == "recipe" else {})
    content = b"other" if changed == "artifact" else b"model"
    published = components.publish(other, [artifact(tmp_path, content)])

    assert published.version == "1.0.1"
    assert components.find(NAME, "1.0.1") == published


def test_versions_count_as_numbers(tmp_path: Path) -> None:
    """As text, 1.0.9 comes after 1.0.10, and the eleventh model would replace the tenth."""
    components = store(tmp_path)

    for number in range(12):
        components.publish(recipe(), [artifact(tmp_path, bytes([number]))])

    assert components.versions(NAME)[-2:] == ("1.0.10", "1.0.11")


def test_an_unknown_version_is_not_found(tmp_path: Path) -> None:
    assert store(tmp_path).find(NAME, "1.0.0") is None
    assert store(tmp_path).find(NAME, "../../secret") is None


def test_a_recipe_that_a_nucleus_would_refuse_is_not_published(tmp_path: Path) -> None:
    wrong = recipe() | {"Manifests": []}

    with pytest.raises(PackageError, match="Manifests"):
        store(tmp_path).publish(wrong, [])

    assert store(tmp_path).versions(NAME) == ()


def test_the_artifacts_must_be_those_of_the_recipe(tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    other.write_bytes(b"other")

    with pytest.raises(PackageError, match=FILE):
        store(tmp_path).publish(recipe(), [])
    with pytest.raises(PackageError, match=r"other\.zip"):
        store(tmp_path).publish(recipe(), [artifact(tmp_path), other])
    with pytest.raises(InvalidInputError, match="no such file"):
        store(tmp_path).publish(recipe(), [tmp_path / "nowhere" / FILE])


def test_an_artifact_that_is_not_what_its_unarchive_says_is_not_published(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\x1f\x8b a tarball of Neo")

    with pytest.raises(PackageError, match="Unarchive says ZIP, but it is a gzip file"):
        store(tmp_path).publish(recipe(), [tmp_path / FILE])


def test_a_name_cannot_leave_the_store(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="ComponentName"):
        store(tmp_path).publish(recipe() | {"ComponentName": "../outside"}, [])


def _publish(root: Path, number: int) -> str:
    made = artifact(root / str(number), f"model {number}".encode())
    return store(root).publish(recipe(), [made]).version


def test_two_runs_that_publish_at_once_get_two_versions(tmp_path: Path) -> None:
    """A version is what a device trusts: two models must never share one."""
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        versions = pool.starmap(_publish, [(tmp_path, number) for number in range(6)])

    assert sorted(versions) == [f"1.0.{number}" for number in range(6)]
    for version in versions:
        assert store(tmp_path).find(NAME, version) is not None


def test_a_component_may_begin_above_the_versions_that_others_published(tmp_path: Path) -> None:
    """A device takes the newest version in the account: ours, or AWS's own."""
    components = store(tmp_path)

    first = components.publish(recipe(), [artifact(tmp_path)], first="2.1.100")
    again = components.publish(recipe(), [artifact(tmp_path)], first="2.1.100")
    second = components.publish(recipe(), [artifact(tmp_path, b"newer")], first="2.1.100")

    assert (first.version, again.version, second.version) == ("2.1.100", "2.1.100", "2.1.101")
