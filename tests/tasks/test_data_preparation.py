"""A split that leaks makes every later number a lie; a split that wanders cannot be repeated."""

import io
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image, ImageDraw
from pyarrow import parquet
from pydantic import ValidationError

from backends.artifacts import Dataset, Pictures, Split
from backends.errors import InvalidInputError
from edge.pictures import Preprocessing, prepare, read_picture
from tasks.data_preparation import prepare_lists
from tasks.data_understanding import build_manifest
from tasks.leakage import judge_leakage
from tasks.splitting import SplitPlan, split_pictures


def silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def scene(seed: int, size: int = 48) -> Image.Image:
    rng = Random(seed)
    image = Image.new("RGB", (size, size), (rng.randrange(256), rng.randrange(256), 90))
    draw = ImageDraw.Draw(image)
    for _ in range(9):
        x, y, r = (rng.uniform(0, size) for _ in range(3))
        colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        draw.ellipse((x - r / 2, y - r / 2, x + r / 2, y + r / 2), fill=colour)
    return image


def save(image: Image.Image, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def data(root: Path, home: Path, each: int = 60) -> Dataset:
    """Two classes of pictures that differ, in PNG files."""
    for number, label in enumerate(("cat", "dog")):
        for index in range(each):
            save(scene(index + 1000 * number), root / label / f"{index:03d}.png")
    return ingested(root, home)


def ingested(root: Path, home: Path) -> Dataset:
    return build_manifest(Pictures("folder:x", root), home / "cache", home / "run", 1, silent)


def table(split: Split) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parquet.read_table(split.table).to_pylist()
    return found


def parts_of(split: Split) -> dict[str, str]:
    return {row["image_id"]: row["part"] for row in table(split)}


@pytest.mark.parametrize(
    ("train_share", "expected"), [(0.8, (76, 20, 24)), (0.7, (68, 28, 24))], ids=["80/20", "70/30"]
)
def test_parts_have_their_shares_in_every_class(
    tmp_path: Path, train_share: float, expected: tuple[int, int, int]
) -> None:
    split = split_pictures(
        data(tmp_path / "in", tmp_path), SplitPlan(train_share=train_share), tmp_path
    )

    assert (split.train, split.validation, split.test) == expected
    counted = Counter((row["label"], row["part"]) for row in table(split))
    for part in ("train", "validation", "test"):
        assert counted["cat", part] == counted["dog", part]
    assert {row["label"]: row["class_index"] for row in table(split)} == {"cat": 0, "dog": 1}


def test_each_key_of_the_plan_changes_the_split(tmp_path: Path) -> None:
    dataset = data(tmp_path / "in", tmp_path)
    plans = (SplitPlan(), SplitPlan(train_share=0.7), SplitPlan(test_share=0.3), SplitPlan(seed=8))

    splits = [parts_of(split_pictures(dataset, plan, tmp_path / "out")) for plan in plans]

    assert all(splits[0] != other for other in splits[1:])


@pytest.mark.parametrize("wrong", [{"train_share": 1.0}, {"test_share": 0}, {"shares": 1}])
def test_an_impossible_plan_is_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        SplitPlan.model_validate(wrong)


def test_other_paths_and_another_order_give_the_same_split(tmp_path: Path) -> None:
    here = data(tmp_path / "in", tmp_path)
    for number, path in enumerate(sorted((tmp_path / "in").rglob("*.png"), reverse=True)):
        target = tmp_path / "elsewhere" / path.parent.name / "deep" / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    there = ingested(tmp_path / "elsewhere", tmp_path / "home")

    one = split_pictures(here, SplitPlan(), tmp_path / "one")
    other = split_pictures(there, SplitPlan(), tmp_path / "other")

    assert [row["image_id"] for row in table(one)] == [row["image_id"] for row in table(other)]
    assert parts_of(one) == parts_of(other)


def test_more_pictures_leave_most_of_the_old_ones_where_they_were(tmp_path: Path) -> None:
    before = parts_of(split_pictures(data(tmp_path / "in", tmp_path), SplitPlan(), tmp_path / "1"))
    grown = data(tmp_path / "in", tmp_path, each=66)
    after = parts_of(split_pictures(grown, SplitPlan(), tmp_path / "2"))

    same = sum(after[name] == part for name, part in before.items())
    assert same > 0.8 * len(before)


def test_copies_are_kept_once_and_near_copies_stay_together(tmp_path: Path) -> None:
    root = tmp_path / "in"
    data(root, tmp_path)
    for index in range(0, 60, 2):
        original = root / "cat" / f"{index:03d}.png"
        shutil.copy(original, root / "cat" / f"copy-{index}.png")
        save(scene(index).resize((96, 96)), root / "cat" / f"large-{index}.png")
        save(scene(index), root / "cat" / f"lossy-{index}.jpg", quality=85)
    dataset = ingested(root, tmp_path)

    split = split_pictures(dataset, SplitPlan(), tmp_path)

    ids = [row["image_id"] for row in table(split)]
    assert len(ids) == len(set(ids)) == 120 + 60
    parts: dict[str, set[str]] = {}
    for row in table(split):
        stem = Path(row["path"]).stem.rpartition("-")[2]
        parts.setdefault(f"{row['label']}{int(stem)}", set()).add(row["part"])
    together = sum(len(found) == 1 for found in parts.values())
    assert together >= 0.97 * len(parts)  # a few drawings change by more than the hash allows
    gate = judge_leakage(dataset, split)
    assert (gate.name, gate.passed, gate.measured) == ("split.leakage", True, 0)


def test_pictures_of_one_colour_are_not_all_one_group(tmp_path: Path) -> None:
    root = tmp_path / "in"
    data(root, tmp_path)
    for shade in range(40):
        save(Image.new("RGB", (32, 32), (shade * 6, 100, 100)), root / "dog" / f"flat{shade}.png")
    dataset = ingested(root, tmp_path)

    split = split_pictures(dataset, SplitPlan(), tmp_path)

    flat = Counter(row["part"] for row in table(split) if "flat" in row["path"])
    assert set(flat) == {"train", "validation", "test"}
    assert judge_leakage(dataset, split).passed


def tampered(split: Split, into: Path, change: Any) -> Split:
    rows = table(split)
    change(rows)
    parquet.write_table(pa.Table.from_pylist(rows), into / "tampered.parquet")
    return replace(split, table=into / "tampered.parquet")


def test_the_gate_refuses_a_picture_that_is_in_two_parts(tmp_path: Path) -> None:
    dataset = data(tmp_path / "in", tmp_path)
    split = split_pictures(dataset, SplitPlan(), tmp_path)
    known = next(row for row in table(split) if row["part"] == "train")

    bad = tampered(split, tmp_path, lambda rows: rows.append({**known, "part": "test"}))
    gate = judge_leakage(dataset, bad)

    assert gate.refuses
    assert gate.measured == 1
    assert known["image_id"][:12] in gate.reason


def test_the_gate_refuses_a_near_duplicate_in_another_part(tmp_path: Path) -> None:
    root = tmp_path / "in"
    data(root, tmp_path)
    save(scene(5).resize((144, 144)), root / "cat" / "large.png")
    dataset = ingested(root, tmp_path)
    split = split_pictures(dataset, SplitPlan(), tmp_path)
    where = {row["path"]: row["part"] for row in table(split)}

    def move(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["path"] == "cat/large.png":
                row["part"] = "test" if where["cat/005.png"] == "train" else "train"

    gate = judge_leakage(dataset, tampered(split, tmp_path, move))

    assert where["cat/large.png"] == where["cat/005.png"]
    assert gate.refuses
    assert gate.measured == 1
    assert "~" in gate.reason


def test_a_class_that_cannot_be_in_every_part_is_named(tmp_path: Path) -> None:
    data(tmp_path / "in", tmp_path)
    for index in (1, 2):
        save(scene(5000 + index), tmp_path / "in" / "owl" / f"{index}.png")

    with pytest.raises(InvalidInputError, match="class 'owl'"):
        split_pictures(ingested(tmp_path / "in", tmp_path), SplitPlan(), tmp_path)


def test_lists_and_pictures_are_what_the_packer_reads(tmp_path: Path) -> None:
    dataset = data(tmp_path / "in", tmp_path)
    split = split_pictures(dataset, SplitPlan(), tmp_path)

    lists = prepare_lists(dataset, split, 20, 16, tmp_path / "cache", tmp_path / "lists", 1, silent)

    where = json.loads((lists / "pictures.json").read_text())
    lines = [line.split("\t") for line in (lists / "train.lst").read_text().splitlines()]
    assert [int(index) for index, _, _ in lines] == list(range(split.train))
    assert Counter(number for _, number, _ in lines) == {"0": 38, "1": 38}
    assert [number for _, number, _ in lines] != sorted(number for _, number, _ in lines)
    name = lines[0][2]
    row = next(row for row in table(split) if row["image_id"] == name)
    picture = read_picture((dataset.root / row["path"]).read_bytes())
    stored = Image.open(Path(where["root"], name[:2], name + where["suffix"]))
    assert stored.size == (20, 16)
    assert stored.tobytes() == prepare(picture, Preprocessing(20, 16)).tobytes()


def test_prepared_pictures_are_not_written_again(tmp_path: Path) -> None:
    dataset = data(tmp_path / "in", tmp_path)
    split = split_pictures(dataset, SplitPlan(), tmp_path)
    prepare_lists(dataset, split, 16, 16, tmp_path / "c", tmp_path / "l", 2, silent)
    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "c" / "prepared").rglob("*.png")}

    prepare_lists(dataset, split, 16, 16, tmp_path / "c", tmp_path / "m", 2, silent)

    assert {p: p.stat().st_mtime_ns for p in written} == written
    assert len(written) == 120


def test_a_picture_that_changed_after_ingest_is_refused_by_name(tmp_path: Path) -> None:
    dataset = data(tmp_path / "in", tmp_path)
    split = split_pictures(dataset, SplitPlan(), tmp_path)
    stream = io.BytesIO()
    scene(7777).save(stream, "PNG")
    (tmp_path / "in" / "cat" / "003.png").write_bytes(stream.getvalue())

    with pytest.raises(InvalidInputError, match=r"003.png: it has changed"):
        prepare_lists(dataset, split, 16, 16, tmp_path / "c", tmp_path / "l", 1, silent)
