"""The manifest is what every later step believes: each file once, as it is, and cheaply."""

import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pyarrow import parquet

from backends.artifacts import Dataset, Pictures
from backends.errors import InvalidInputError
from tasks.data_understanding import build_manifest
from tasks.manifest import COLUMNS, MAX_BYTES, describe, picture_files


def silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def encoded(seed: int, kind: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    gradient = Image.linear_gradient("L").resize((40, 30)).rotate(seed * 17)
    Image.merge("RGB", (gradient, gradient.rotate(90), gradient)).save(stream, kind)
    return stream.getvalue()


def folder(root: Path, each: int = 4) -> Pictures:
    for number, label in enumerate(("cat", "dog")):
        (root / label / "sub").mkdir(parents=True)
        for index in range(each):
            path = root / label / ("sub" if index % 2 else "") / f"{index}.jpg"
            path.write_bytes(encoded(index + 50 * number))
    return Pictures("folder:test", root)


def rows(dataset: Dataset) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parquet.read_table(dataset.manifest).to_pylist()
    return found


def ingest(pictures: Pictures, home: Path, workers: int = 1) -> Dataset:
    return build_manifest(pictures, home / "cache", home / "run", workers, silent)


def test_the_manifest_has_the_agreed_columns_and_a_row_per_file_by_path(tmp_path: Path) -> None:
    dataset = ingest(folder(tmp_path / "in"), tmp_path)

    table = parquet.read_table(dataset.manifest)

    assert table.column_names == list(COLUMNS)
    paths = table.column("path").to_pylist()
    assert paths == sorted(paths)
    assert (dataset.images, dataset.classes) == (8, ("cat", "dog"))
    assert {row["problem"] for row in rows(dataset)} == {None}
    assert rows(dataset)[0]["width"] == 40


def test_files_with_a_problem_have_a_row_that_names_it_and_are_not_counted(tmp_path: Path) -> None:
    pictures = folder(tmp_path / "in")
    cat = tmp_path / "in" / "cat"
    (cat / "zero.jpg").write_bytes(b"")
    (cat / "cut.jpg").write_bytes(encoded(1)[:-200])
    (cat / "text.png").write_text("no picture")
    (cat / "really-png.jpg").write_bytes(encoded(3, "PNG"))
    (cat / "no-extension").write_bytes(encoded(3))
    (cat / "lost.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (cat / ".hidden.jpg").write_bytes(b"x")
    (tmp_path / "in" / ".thumbnails").mkdir()
    (tmp_path / "in" / ".thumbnails" / "a.jpg").write_bytes(encoded(9))

    dataset = ingest(pictures, tmp_path)

    found = {Path(row["path"]).name: row for row in rows(dataset) if row["problem"]}
    assert {name: row["problem"] for name, row in found.items()} == {
        "zero.jpg": "empty",
        "cut.jpg": "truncated",
        "text.png": "not-an-image",
        "really-png.jpg": "wrong-extension",
        "no-extension": "wrong-extension",
        "lost.jpg": "unreadable",
    }
    assert found["really-png.jpg"]["format"] == "PNG"
    assert {row["brightness"] for row in found.values()} == {None}
    assert dataset.images == 8


def test_equal_bytes_have_equal_ids_under_different_names(tmp_path: Path) -> None:
    pictures = folder(tmp_path / "in")
    (tmp_path / "in" / "dog" / "copy.jpg").write_bytes(encoded(0))

    found = {row["path"]: row["image_id"] for row in rows(ingest(pictures, tmp_path))}

    assert found["cat/0.jpg"] == found["dog/copy.jpg"] != found["cat/sub/1.jpg"]


def test_processes_write_the_same_manifest_as_one(tmp_path: Path) -> None:
    pictures = folder(tmp_path / "in", each=50)

    alone = ingest(pictures, tmp_path / "one", workers=1)
    together = ingest(pictures, tmp_path / "two", workers=2)

    assert alone.manifest.read_bytes() == together.manifest.read_bytes()
    assert alone.fingerprint == together.fingerprint


def known_at_start(pictures: Pictures, home: Path) -> int:
    """How many files an ingest does not look at again."""
    seen: list[int] = []
    build_manifest(
        pictures, home / "cache", home / "run", 1, lambda done, _total: seen.append(done)
    )
    return seen[0]


def test_a_second_run_looks_only_at_what_has_changed(tmp_path: Path) -> None:
    pictures = folder(tmp_path / "in")
    first = ingest(pictures, tmp_path)

    known = known_at_start(pictures, tmp_path)
    again = ingest(pictures, tmp_path)
    (pictures.root / "cat" / "0.jpg").write_bytes(encoded(99))
    os.utime(pictures.root / "cat" / "2.jpg", ns=(1, 1))
    (pictures.root / "dog" / "2.jpg").unlink()
    known_after_changes = known_at_start(pictures, tmp_path)
    changed = ingest(pictures, tmp_path)

    assert (known, known_after_changes) == (8, 5)
    assert again == first
    assert changed.images == 7
    assert changed.fingerprint != first.fingerprint


@pytest.mark.parametrize("damage", [b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_cache_is_ignored(tmp_path: Path, damage: bytes) -> None:
    pictures = folder(tmp_path / "in")
    first = ingest(pictures, tmp_path)
    (cache,) = (tmp_path / "cache").glob("*.sqlite")
    cache.write_bytes(damage)

    assert ingest(pictures, tmp_path) == first
    assert cache.read_bytes()[:15] == b"SQLite format 3"


def test_an_interrupted_run_keeps_what_it_has_seen_and_leaves_no_manifest(tmp_path: Path) -> None:
    pictures = folder(tmp_path / "in", each=70)

    def interrupt(done: int, _total: int) -> None:
        if done == 45:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_manifest(pictures, tmp_path / "cache", tmp_path / "run", 2, interrupt)

    assert list((tmp_path / "run").iterdir()) == []
    assert known_at_start(pictures, tmp_path) == 45


def test_progress_counts_to_the_number_of_files(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    pictures = folder(tmp_path / "in")
    build_manifest(pictures, tmp_path / "c", tmp_path / "r", 1, lambda *at: seen.append(at))

    assert seen == [(done, 8) for done in range(9)]


def test_the_fingerprint_follows_content_and_label_and_nothing_else(tmp_path: Path) -> None:
    pictures = folder(tmp_path / "in")
    before = ingest(pictures, tmp_path).fingerprint
    (pictures.root / "cat" / "0.jpg").rename(pictures.root / "cat" / "renamed.jpg")
    renamed = ingest(pictures, tmp_path).fingerprint
    (pictures.root / "cat" / "renamed.jpg").rename(pictures.root / "dog" / "moved.jpg")
    moved = ingest(pictures, tmp_path).fingerprint

    assert before == renamed != moved


def test_a_folder_without_a_usable_picture_is_refused(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "in" / label).mkdir(parents=True)
        (tmp_path / "in" / label / "x.jpg").write_bytes(b"")

    with pytest.raises(InvalidInputError, match="usable picture"):
        ingest(Pictures("folder:x", tmp_path / "in"), tmp_path)


def test_a_file_too_large_for_a_picture_is_not_read_into_memory(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    with (tmp_path / "cat" / "film.jpg").open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)

    (file,) = picture_files(tmp_path)

    assert describe(file)["problem"] == "too-large"
