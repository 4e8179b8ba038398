"""The baseline of a source is all there, or it is refused; it is never silently lost."""

import json
from pathlib import Path

import pytest

from backends.errors import InvalidInputError
from tasks.accepted_data import accept_data, accepted_folder, load_accepted, source_name
from tests.tasks.manifests import dataset_of, rows_of


def test_what_was_accepted_is_what_the_next_run_compares_with(tmp_path: Path) -> None:
    dataset = dataset_of(rows_of(cat=4, dog=2), tmp_path / "run")

    accept_data(dataset, tmp_path / "accepted")
    accepted = load_accepted(tmp_path / "accepted")

    assert accepted is not None
    assert (accepted.images, accepted.classes) == (6, ("cat", "dog"))
    assert accepted.fingerprint == dataset.fingerprint
    assert accepted.summary.labels == {"cat": 4, "dog": 2}
    assert accepted.manifest.read_bytes() == dataset.manifest.read_bytes()


def test_the_next_accepted_data_set_takes_the_place_of_the_last(tmp_path: Path) -> None:
    folder = tmp_path / "accepted"
    accept_data(dataset_of(rows_of(cat=4, dog=2), tmp_path / "1"), folder)

    accept_data(dataset_of(rows_of(cat=5, dog=5), tmp_path / "2"), folder)

    accepted = load_accepted(folder)
    assert accepted is not None
    assert accepted.images == 10
    assert len(list(folder.iterdir())) == 2


def test_nothing_accepted_is_no_baseline(tmp_path: Path) -> None:
    assert load_accepted(tmp_path / "accepted") is None


@pytest.mark.parametrize("damage", ["cut", "edited", "manifest", "lost"])
def test_a_damaged_baseline_is_refused_with_what_to_do(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "accepted"
    accepted = accept_data(dataset_of(rows_of(cat=4, dog=2), tmp_path / "run"), folder)
    record = folder / "summary.json"
    if damage == "cut":
        record.write_text(record.read_text()[:200])
    elif damage == "edited":
        document = json.loads(record.read_text())
        document["summary"]["count"] = -1
        record.write_text(json.dumps(document))
    elif damage == "manifest":
        accepted.manifest.write_bytes(b"something else")
    else:
        accepted.manifest.unlink()

    with pytest.raises(InvalidInputError, match=r"baseline is damaged.*Delete"):
        load_accepted(folder)


def test_each_source_has_a_baseline_of_its_own(tmp_path: Path) -> None:
    names = {source_name(source) for source in ("driveway", "folder:/a/b", "folder:/a-b", "://")}

    assert len(names) == 4
    assert all(name.replace("-", "").isalnum() for name in names)
    assert source_name("driveway?night=1") == source_name("driveway") == "driveway"
    assert accepted_folder(tmp_path, "driveway").parent == tmp_path
