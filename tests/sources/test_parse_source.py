"""The word after --data must reach the right source, and a wrong one must say what there is."""

from pathlib import Path

import pytest

from backends.errors import InvalidInputError
from backends.sources import parse_source
from backends.sources.caltech256 import Caltech256Source
from backends.sources.driveway import DrivewaySource
from backends.sources.folder import FolderSource
from backends.sources.recordio import RecordIOSource


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("driveway", DrivewaySource),
        ("folder:/some/where", FolderSource),
        ("caltech256", Caltech256Source),
        ("caltech256:http://localhost/a.tar", Caltech256Source),
        ("recordio:/a/b.rec", RecordIOSource),
    ],
)
def test_every_form_names_its_source(text: str, kind: type, tmp_path: Path) -> None:
    assert isinstance(parse_source(text, tmp_path), kind)


@pytest.mark.parametrize("text", ["", "drive-way", "driveway:x", "folder", "folder:", "recordio:"])
def test_any_other_text_is_refused_with_the_list_of_forms(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="folder:PATH") as caught:
        parse_source(text, tmp_path)

    assert repr(text) in str(caught.value)
