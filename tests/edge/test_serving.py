"""How the component finds its model: a pointer file beside it, or where it is told to look."""

from pathlib import Path

import pytest

from edge.model_folder import ModelFolderError
from edge.serving import Location, read_location
from edge.surroundings import Surroundings


def test_the_pointer_lies_in_the_model_components_work_folder(tmp_path: Path) -> None:
    own = tmp_path / "work" / "edgeward.ImageClassification"

    found = Surroundings.read({"AWS_IOT_THING_NAME": "porch"}, own)

    beside = tmp_path / "work" / "edgeward.ImageClassification.Model" / "location"
    assert (found.thing, found.model_pointer) == ("porch", beside)
    assert found.outbox.parent == found.accepted_configuration.parent == own


def test_the_environment_can_say_another_pointer(tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "elsewhere")

    found = Surroundings.read({"EDGEWARD_MODEL_LOCATION": elsewhere}, tmp_path)

    assert found.model_pointer == Path(elsewhere)
    assert found.thing


def test_a_pointer_is_a_folder_and_a_version(tmp_path: Path) -> None:
    (tmp_path / "location").write_text("/models/a b \n1.0.3\n")

    assert read_location(tmp_path / "location") == Location(Path("/models/a b"), "1.0.3")


@pytest.mark.parametrize("content", [None, b"", b"/models/a\n", b"\n1.0.3\n", b"\xff\xfe\n1\n"])
def test_a_pointer_that_says_less_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "location").write_bytes(content)

    with pytest.raises(ModelFolderError, match="location"):
        read_location(tmp_path / "location")
