"""Data preparation (CRISP-DM 3): which pictures teach, which judge, and in what form."""

import contextlib
import functools
import json
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task

from backends.artifacts import Dataset, Gate, PackedData, Split
from backends.files import replace_file
from backends.ports import Packer, Progress
from backends.workers import Workers, map_in_order
from tasks.held_out import open_ledger
from tasks.leakage import judge_leakage
from tasks.preparing import Preparation, prepare_file
from tasks.progress import log_progress
from tasks.retrying import CALLS_BACKEND
from tasks.splitting import PARTS, split_pictures
from tasks.splitting import SplitPlan as SplitPlan  # noqa: PLC0414 - flows find it here

_WORTH_A_POOL = 64  # pictures; starting processes takes as long as preparing these


def prepare_lists(
    dataset: Dataset,
    split: Split,
    width: int,
    height: int,
    cache: Path,
    into: Path,
    workers: Workers,
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
        replace_file(into / f"{part}.lst", "".join(lines))
    replace_file(into / "pictures.json", json.dumps({"root": str(root), "suffix": ".png"}))
    return into


@task(**CALLS_BACKEND, task_run_name="split data")
def split_data(dataset: Dataset, plan: SplitPlan, into: Path, held_out: Path) -> Split:
    """Deal the pictures out to train, validation and test; `held_out` is the source's ledger."""
    with open_ledger(held_out) as ledger:
        split = split_pictures(dataset, plan, into, ledger)
    get_run_logger().info(
        "split: %d train, %d validation, %d test, %d left out",
        split.train,
        split.validation,
        split.test,
        split.aside,
    )
    return split


@task(**CALLS_BACKEND, task_run_name="look for leaks")
def check_leakage(dataset: Dataset, split: Split) -> Gate:
    """Judge by the finished table whether a picture, or its near-duplicate, is in two parts."""
    return judge_leakage(dataset, split)


@task(**CALLS_BACKEND, task_run_name="prepare pictures")
def prepare_pictures(
    dataset: Dataset,
    split: Split,
    width: int,
    height: int,
    cache: Path,
    into: Path,
    workers: Workers = 0,
) -> Path:
    """Bring the pictures to the model's size; return the folder of lists for the packer."""
    return prepare_lists(
        dataset, split, width, height, cache, into, workers, log_progress("preparing")
    )


@task(**CALLS_BACKEND, task_run_name="pack data")
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


def _prepare(
    dataset: Dataset,
    rows: list[dict[str, Any]],
    root: Path,
    preparation: Preparation,
    workers: Workers,
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
