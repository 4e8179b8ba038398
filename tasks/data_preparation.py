"""Data preparation (CRISP-DM 3): which pictures teach, which judge, and in what form."""

import contextlib
import functools
import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prefect import get_run_logger, task
from pydantic import BaseModel, ConfigDict, Field

from backends.artifacts import Dataset, Gate, PackedData, Split
from backends.errors import InvalidInputError
from backends.ports import Packer, Progress
from backends.workers import map_in_order
from tasks.leakage import LEAST_CONTRAST, NEAR_DISTANCE, judge_leakage
from tasks.near_duplicates import near_duplicate_groups
from tasks.preparing import Preparation, prepare_file
from tasks.progress import log_progress
from tasks.retrying import CALLS_BACKEND

Part = Literal["train", "validation", "test"]
_WORTH_A_POOL = 64  # pictures; starting processes takes as long as preparing these
PARTS: tuple[Part, ...] = ("train", "validation", "test")


class SplitPlan(BaseModel):
    """How pictures are dealt out. The held-out test part comes first, the rest is then divided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train_share: float = Field(0.8, gt=0, lt=1, description="Of what is not test: 0.8 or 0.7.")
    test_share: float = Field(0.2, gt=0, lt=1, description="Of all pictures; never trained on.")
    seed: int = Field(7, ge=0)


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


def prepare_lists(
    dataset: Dataset,
    split: Split,
    width: int,
    height: int,
    cache: Path,
    into: Path,
    workers: int,
    progress: Progress,
) -> Path:
    """Write every picture of a split at the model's size, and the lists that the packer reads.

    Pictures go to `<cache>/prepared/<width>x<height>/<image_id[:2]>/<image_id>.png`; one that is
    there is not written again. `<into>` gets train.lst, validation.lst, test.lst (index, class,
    image_id) and pictures.json. Returns `into`. Raises InvalidInputError if a picture has vanished
    or changed since ingest.
    """
    from pyarrow import parquet

    rows = parquet.read_table(split.table).to_pylist()
    root = (cache / "prepared" / f"{width}x{height}").resolve()
    _prepare(dataset, rows, root, Preparation(str(root), width, height), workers, progress)
    into.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        lines = [
            f"{index}\t{row['class_index']}\t{row['image_id']}\n"
            for index, row in enumerate(row for row in rows if row["part"] == part)
        ]
        _write_text(into / f"{part}.lst", "".join(lines))
    _write_text(into / "pictures.json", json.dumps({"root": str(root), "suffix": ".png"}))
    return into


@task(**CALLS_BACKEND)
def split_data(dataset: Dataset, plan: SplitPlan, into: Path) -> Split:
    """Deal the pictures out to train, validation and test."""
    split = split_pictures(dataset, plan, into)
    get_run_logger().info(
        "split: %d train, %d validation, %d test", split.train, split.validation, split.test
    )
    return split


@task(**CALLS_BACKEND)
def check_leakage(dataset: Dataset, split: Split) -> Gate:
    """Judge by the finished table whether a picture, or its near-duplicate, is in two parts."""
    return judge_leakage(dataset, split)


@task(**CALLS_BACKEND)
def prepare_pictures(
    dataset: Dataset,
    split: Split,
    width: int,
    height: int,
    cache: Path,
    into: Path,
    workers: int = 0,
) -> Path:
    """Bring the pictures to the model's size; return the folder of lists for the packer."""
    return prepare_lists(
        dataset, split, width, height, cache, into, workers, log_progress("preparing")
    )


@task(**CALLS_BACKEND)
def pack_data(
    packer: Packer, job: str, lists: Path, split: Split, width: int, height: int, into: Path
) -> PackedData:
    """Write the prepared pictures as RecordIO channels."""
    logger = get_run_logger()
    packer.pack(job, lists, into, logger.info)
    return PackedData(
        root=into,
        width=width,
        height=height,
        classes=split.classes,
        train=split.train,
        validation=split.validation,
        test=split.test,
    )


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


def _prepare(
    dataset: Dataset,
    rows: list[dict[str, Any]],
    root: Path,
    preparation: Preparation,
    workers: int,
    progress: Progress,
) -> None:
    missing = [
        (row["image_id"], str(dataset.root / row["path"]))
        for row in rows
        if not preparation.place(row["image_id"]).is_file()
    ]
    for folder in {root / name[:2] for name, _ in missing}:
        folder.mkdir(parents=True, exist_ok=True)
    written = map_in_order(
        functools.partial(prepare_file, preparation),
        missing,
        workers if len(missing) > _WORTH_A_POOL else 1,
        what="prepare pictures",
        preload=["tasks.preparing"],
    )
    ready = len(rows) - len(missing)
    progress(ready, len(rows))
    with contextlib.closing(written) as done:
        for number, _ in enumerate(done, ready + 1):
            progress(number, len(rows))


def _write_text(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
