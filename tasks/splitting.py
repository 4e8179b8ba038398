"""Deals pictures out to train, validation and test, so that no part knows another's."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from backends.artifacts import Dataset, Split
from backends.errors import InvalidInputError
from tasks.near_duplicates import LEAST_CONTRAST, NEAR_DISTANCE, near_duplicate_groups

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


class SplitPlan(BaseModel):
    """How pictures are dealt out. The held-out test part comes first, the rest is then divided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train_share: float = Field(
        0.8,
        gt=0,
        lt=1,
        description="Training's share of what is not held out; the rest is validation.",
    )
    test_share: float = Field(
        0.2, gt=0, lt=1, description="Held-out share of all pictures; never trained on."
    )
    seed: int = Field(
        7, ge=0, description="Which picture goes where: same seed and pictures, same parts."
    )


@dataclass(frozen=True, slots=True)
class _Picture:
    image_id: str
    path: str
    label: str
    phash: str
    contrast: float


def split_pictures(dataset: Dataset, plan: SplitPlan, into: Path) -> Split:
    """Deal a data set's usable pictures out to train, validation and test: `<into>/split.parquet`.

    Equal pictures are kept once (the first path), near-duplicates stay together, classes keep
    their shares. What decides is the SHA-256 of seed and image_id, so the same pictures and seed
    give the same parts whatever the machine, the paths or the order of files. The table's rows
    are in that shuffled order within each part.
    Raises InvalidInputError naming a class that cannot be in every part.
    """
    kept = _usable(dataset)
    parts = _deal(kept, plan)
    counts = {part: sum(1 for found in parts.values() if found == part) for part in PARTS}
    into.mkdir(parents=True, exist_ok=True)
    _write_table(into / "split.parquet", kept, parts, dataset.classes, plan.seed)
    return Split(table=into / "split.parquet", classes=dataset.classes, **counts)


def _usable(dataset: Dataset) -> list[_Picture]:
    """Every usable picture once, sorted by image_id."""
    from pyarrow import compute, parquet

    columns = ["image_id", "path", "label", "phash", "contrast"]
    usable = compute.field("problem").is_null()
    return _once(parquet.read_table(dataset.manifest, columns=columns, filters=usable).to_pylist())


def _once(rows: Sequence[dict[str, Any]]) -> list[_Picture]:
    first: dict[str, _Picture] = {}
    for row in sorted(rows, key=lambda row: (row["image_id"], row["label"], row["path"])):
        first.setdefault(row["image_id"], _Picture(**row))
    return list(first.values())


def _deal(pictures: list[_Picture], plan: SplitPlan) -> dict[str, Part]:
    """Which part each image_id goes to."""
    groups = _groups(pictures)
    by_class: dict[str, list[list[_Picture]]] = defaultdict(list)
    for group in groups:
        by_class[_label_of(group)].append(group)
    parts: dict[str, Part] = {}
    for label, members in by_class.items():
        parts.update(_deal_class(label, members, plan))
    for label in sorted({picture.label for picture in pictures}):
        _refuse_missing_part(label, [p for p in pictures if p.label == label], parts)
    return parts


def _groups(pictures: list[_Picture]) -> list[list[_Picture]]:
    """Put near-duplicates together, chains of them too; pictures of one colour stay alone."""
    groups = [[picture] for picture in pictures if picture.contrast < LEAST_CONTRAST]
    rich = [picture for picture in pictures if picture.contrast >= LEAST_CONTRAST]
    numbers = near_duplicate_groups([picture.phash for picture in rich], NEAR_DISTANCE)
    together: dict[int, list[_Picture]] = defaultdict(list)
    for picture, number in zip(rich, numbers, strict=True):
        together[number].append(picture)
    return groups + list(together.values())


def _label_of(group: list[_Picture]) -> str:
    """The commonest label; near-duplicates under two labels are the validation's business."""
    labels = [picture.label for picture in group]
    return min(set(labels), key=lambda label: (-labels.count(label), label))


def _deal_class(label: str, groups: list[list[_Picture]], plan: SplitPlan) -> dict[str, Part]:
    """Fill test, then validation, to their number of pictures; the rest is train.

    A group that is larger than what a part still lacks goes on to the next part.
    """
    total = sum(len(group) for group in groups)
    test = max(1, round(total * plan.test_share))
    lacking: dict[Part, int] = {
        "test": test,
        "validation": max(1, round((total - test) * (1 - plan.train_share))),
    }
    parts: dict[str, Part] = {}
    for group in sorted(groups, key=lambda group: _shuffled(plan.seed, group[0].image_id)):
        part: Part = next((p for p, lack in lacking.items() if len(group) <= lack), "train")
        if part != "train":
            lacking[part] -= len(group)
        parts.update((picture.image_id, part) for picture in group)
    return parts


def _refuse_missing_part(label: str, pictures: list[_Picture], parts: dict[str, Part]) -> None:
    found = {parts[picture.image_id] for picture in pictures}
    missing = [part for part in PARTS if part not in found]
    if missing:
        reason = f"its {len(pictures)} different pictures leave none for {' and '.join(missing)}"
        raise InvalidInputError(
            f"class {label!r}", reason, "Add pictures that differ, or remove the class."
        )


def _shuffled(seed: int, image_id: str) -> str:
    return hashlib.sha256(f"{seed}/{image_id}".encode()).hexdigest()


def _write_table(
    path: Path,
    pictures: list[_Picture],
    parts: dict[str, Part],
    classes: tuple[str, ...],
    seed: int,
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    def place(picture: _Picture) -> tuple[int, str]:
        return PARTS.index(parts[picture.image_id]), _shuffled(seed, picture.image_id)

    ordered = sorted(pictures, key=place)
    table = pa.table(
        {
            "image_id": pa.array([p.image_id for p in ordered], pa.string()),
            "path": pa.array([p.path for p in ordered], pa.string()),
            "label": pa.array([p.label for p in ordered], pa.string()),
            "class_index": pa.array([classes.index(p.label) for p in ordered], pa.int32()),
            "part": pa.array([parts[p.image_id] for p in ordered], pa.string()),
        }
    )
    unfinished = path.with_name(f".{path.name}.unfinished")
    parquet.write_table(table, unfinished)
    unfinished.replace(path)
