"""The picture that a model carries: one that it is sure of, with the answer that it must give."""

import hashlib
import json
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
from PIL import Image

from backends.artifacts import Predictions, Split
from edge.contract import read_metadata
from tasks.packaging import package_model
from tasks.self_test import MAX_BYTES, KnownPicture, choose_self_test
from tests.tiny_model import Compile, TinyModel

CLASSES = ("car", "cat")


def judged(root: Path, rows: dict[str, tuple[int, float]]) -> tuple[Predictions, Split]:
    """Held-out pictures with their truth and what the model gives to "car"."""
    names = list(rows)
    for number, name in enumerate(names):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(root / f"{name}.png")
    table = pd.DataFrame(
        {
            "image_id": names,
            "class_index": [truth for truth, _ in rows.values()],
            "p0": [share for _, share in rows.values()],
            "p1": [1 - share for _, share in rows.values()],
        }
    )
    table.to_parquet(root / "predictions.parquet")
    paths = [f"{name}.png" for name in names]
    listed = pd.DataFrame({"image_id": names, "path": paths, "part": "test"})
    listed.to_parquet(root / "split.parquet")
    predictions = Predictions(root / "predictions.parquet", CLASSES, len(names))
    return predictions, Split(root / "split.parquet", 0, 0, len(names), CLASSES)


def test_the_surest_of_the_right_answers_is_taken(tmp_path: Path) -> None:
    """A picture on the fence falls on either side, and a wrong answer is nothing to rely on."""
    rows = {"fence": (0, 0.51), "wrong": (1, 0.99), "sure": (0, 0.97), "less": (1, 0.1)}

    known = choose_self_test(*judged(tmp_path, rows), tmp_path)

    assert known.path == tmp_path / "sure.png"
    assert known.probabilities == pytest.approx((0.97, 0.03))


def test_a_model_that_is_never_right_still_gets_a_picture(tmp_path: Path) -> None:
    known = choose_self_test(*judged(tmp_path, {"wrong": (1, 0.9), "worse": (1, 0.8)}), tmp_path)

    assert known.path.name == "wrong.png"


def test_a_large_picture_is_passed_over_as_long_as_there_is_a_smaller_one(tmp_path: Path) -> None:
    """Every device downloads it."""
    tables = judged(tmp_path, {"large": (0, 0.99), "small": (0, 0.9)})
    with (tmp_path / "large.png").open("ab") as file:
        file.write(b"\0" * MAX_BYTES)

    assert choose_self_test(*tables, tmp_path).path.name == "small.png"


@pytest.mark.jobs
def test_the_package_carries_the_very_bytes_and_is_the_same_each_time(
    compile_for: Compile, tiny_model: TinyModel, tmp_path: Path
) -> None:
    compiled = compile_for("linux-x86_64")
    before = {path.name: path.read_bytes() for path in compiled.folder.iterdir()}

    first = package_model(compiled, tmp_path / "first", tiny_model.known)
    again = package_model(compiled, tmp_path / "again", tiny_model.known)

    assert first.read_bytes() == again.read_bytes()
    with ZipFile(first) as archive:
        archive.extractall(tmp_path / "unpacked")
    test = read_metadata(tmp_path / "unpacked").self_test
    assert test is not None
    data = (tmp_path / "unpacked" / test.picture).read_bytes()
    assert data == tiny_model.known.path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == test.image_id
    assert test.probabilities == pytest.approx(tiny_model.known.probabilities)
    after = {path.name: path.read_bytes() for path in compiled.folder.iterdir()}
    assert after == before, "the job's folder is what a later run joins"


@pytest.mark.jobs
def test_another_picture_makes_another_package(
    compile_for: Compile, tiny_model: TinyModel, tmp_path: Path
) -> None:
    compiled, known = compile_for("linux-x86_64"), tiny_model.known
    other = tmp_path / "other.png"
    Image.new("RGB", (9, 9), (1, 2, 3)).save(other)

    one = package_model(compiled, tmp_path / "one", known)
    two = package_model(compiled, tmp_path / "two", KnownPicture(other, known.probabilities))

    with ZipFile(two) as archive:
        meta = json.loads(archive.read("compiled.meta"))
    assert meta["Edgeward"]["self_test"]["picture"] == "self-test.png"
    assert one.read_bytes() != two.read_bytes()
