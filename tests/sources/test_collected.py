"""A source with what devices collected for it: one folder per class, and nothing twice."""

import os
from pathlib import Path

import pytest

from backends.errors import InvalidInputError
from backends.sources.collected import CollectedSource, Entry, survey
from backends.sources.folder import FolderSource
from backends.sources.origins import SOURCE, origin_of

ENTRY = Entry(pictures=3, share=0.0)


def silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for label in ("cat", "dog"):
        for number in range(3):
            write(tmp_path / f"pictures/{label}/deep/{number}.png", f"{label} {number}")
    return tmp_path / "pictures"


@pytest.fixture
def collected(tmp_path: Path) -> Path:
    for number in range(2):
        write(tmp_path / f"collected/night_1/cat/c{number}.png", f"night cat {number}")
    write(tmp_path / "collected/.night_2/cat/half.png", "not whole yet")
    return tmp_path / "collected"


def fetched(pictures: Path, collected: Path, entry: Entry = ENTRY) -> dict[str, str]:
    """Path to content of all that the combined source gives."""
    home = collected.parent / "home"
    source = CollectedSource(FolderSource(pictures), lambda _: collected, home, entry)
    found = source.fetch(silent)
    assert found.source == f"folder:{pictures}"
    files = [path for path in found.root.rglob("*") if path.is_file()]
    return {path.relative_to(found.root).as_posix(): path.read_text() for path in files}


def test_both_are_in_one_folder_and_told_apart_by_name(pictures: Path, collected: Path) -> None:
    found = fetched(pictures, collected)

    origins = sorted(origin_of(path) for path in found)
    assert origins == ["night_1"] * 2 + [SOURCE] * 6
    assert found["cat/collected--night_1--c0.png"] == "night cat 0"
    assert found["cat/deep/0.png"] == "cat 0"


def test_without_anything_collected_the_source_is_as_it_was(pictures: Path, tmp_path: Path) -> None:
    source = CollectedSource(
        FolderSource(pictures), lambda _: tmp_path / "none", tmp_path / "home", ENTRY
    )

    assert source.fetch(silent).root == pictures.resolve()
    assert not (tmp_path / "home").exists()


def test_nothing_is_on_the_disk_twice_and_a_file_stays_what_it_was(
    pictures: Path, collected: Path
) -> None:
    fetched(pictures, collected)
    root = next((collected.parent / "home/sources").iterdir())
    before = {path: path.stat() for path in root.rglob("*.png")}

    fetched(pictures, collected)

    assert {path: path.stat().st_ino for path in root.rglob("*.png")} == {
        path: facts.st_ino for path, facts in before.items()
    }
    own = (pictures / "cat/deep/0.png").stat()
    assert before[root / "cat/deep/0.png"].st_ino == own.st_ino
    assert before[root / "cat/deep/0.png"].st_mtime_ns == own.st_mtime_ns


def test_it_follows_what_is_changed_taken_away_and_left_half_done(
    pictures: Path, collected: Path
) -> None:
    fetched(pictures, collected)
    root = next((collected.parent / "home/sources").iterdir())
    (pictures / "cat/deep/0.png").unlink()
    (pictures / "dog/deep/1.png").unlink()
    write(pictures / "dog/deep/1.png", "another dog")
    write(collected / "fog_1/dog/d0.png", "fog dog")
    (root / "cat" / ".left.png.new").write_text("of a kill")

    found = fetched(pictures, collected)

    assert "cat/deep/0.png" not in found
    assert found["dog/deep/1.png"] == "another dog"
    assert found["dog/collected--fog_1--d0.png"] == "fog dog"


def test_a_picture_that_the_source_has_is_not_taken_twice(pictures: Path, collected: Path) -> None:
    import hashlib

    name = hashlib.sha256(b"dog 0").hexdigest()
    write(collected / f"night_1/cat/{name}.png", "dog 0")

    found = fetched(pictures, collected)

    assert list(found.values()).count("dog 0") == 1
    assert found["dog/deep/0.png"] == "dog 0"


def test_of_two_batches_with_a_picture_the_later_label_counts(
    pictures: Path, collected: Path
) -> None:
    write(collected / "night_2/dog/c0.png", "night cat 0")

    found = fetched(pictures, collected)

    assert "dog/collected--night_2--c0.png" in found
    assert "cat/collected--night_1--c0.png" not in found


def test_a_new_class_enters_only_with_enough_pictures(pictures: Path, collected: Path) -> None:
    for number in range(2):
        write(collected / f"night_1/deer/d{number}.png", f"deer {number}")
    few = fetched(pictures, collected)
    seen = survey(collected, {"cat", "dog"}, 6, ENTRY)
    write(collected / "night_2/deer/d2.png", "deer 2")

    enough = fetched(pictures, collected)

    assert not any(path.startswith("deer/") for path in few)
    assert (seen.aside, seen.needed) == ({"deer": 2}, 3)
    assert sum(path.startswith("deer/") for path in enough) == 3
    assert survey(collected, {"cat", "dog"}, 6, ENTRY).aside == {}


def test_enough_is_also_what_the_balance_of_classes_asks() -> None:
    assert Entry(20, 0.1).needed(images=2100, classes=7) == 27
    assert Entry(40, 0.1).needed(images=2100, classes=7) == 40


def test_a_picture_of_the_source_cannot_pass_for_collected(pictures: Path, collected: Path) -> None:
    write(pictures / "cat/collected--night_1--mine.png", "mine")

    with pytest.raises(InvalidInputError, match="says that a device collected it"):
        fetched(pictures, collected)


def test_links_of_the_source_lead_where_they_led(pictures: Path, collected: Path) -> None:
    (pictures / "cat/link.png").symlink_to("deep/0.png")
    (pictures / "cat/broken.png").symlink_to("nowhere.png")

    found = fetched(pictures, collected)

    assert found["cat/link.png"] == "cat 0"
    root = next((collected.parent / "home/sources").iterdir())
    assert os.path.lexists(root / "cat/broken.png")
