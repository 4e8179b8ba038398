from pathlib import Path

import pytest

from backends.errors import InvalidInputError
from backends.local.objects import LocalObjects


def test_an_object_is_stored_under_its_uri_and_comes_back(tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(b"model")
    objects = LocalObjects(tmp_path / "objects")

    digest = objects.put(tmp_path / "model.zip", "s3://edgeward/components/model.zip")
    back = objects.get("s3://edgeward/components/model.zip", tmp_path / "back.zip")

    assert back.read_bytes() == b"model"
    assert digest == "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
    assert (tmp_path / "objects/edgeward/components/model.zip").read_bytes() == b"model"


def test_a_failed_upload_leaves_the_earlier_object_and_no_remains(tmp_path: Path) -> None:
    """A device must never download half an artifact."""
    objects = LocalObjects(tmp_path / "objects")
    (tmp_path / "good").write_bytes(b"good")
    objects.put(tmp_path / "good", "s3://edgeward/key")

    with pytest.raises(IsADirectoryError):
        objects.put(tmp_path, "s3://edgeward/key")

    assert [path.name for path in (tmp_path / "objects/edgeward").iterdir()] == ["key"]
    assert objects.path("s3://edgeward/key").read_bytes() == b"good"


@pytest.mark.parametrize(
    "uri",
    [
        "https://edgeward/key",
        "s3://edgeward",
        "s3://edgeward/",
        "s3:///key",
        "s3://edgeward//key",
        "s3://../key",
        "s3://edgeward/../../etc/passwd",
    ],
)
def test_what_is_no_object_uri_is_refused_by_name(tmp_path: Path, uri: str) -> None:
    """An artifact's Uri comes from a recipe, and must not reach outside of the store."""
    with pytest.raises(InvalidInputError) as refused:
        LocalObjects(tmp_path).path(uri)

    assert refused.value.what == uri


def test_a_missing_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="s3://edgeward/none"):
        LocalObjects(tmp_path).get("s3://edgeward/none", tmp_path / "into")
