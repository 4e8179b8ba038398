"""Data understanding (CRISP-DM 2): what pictures are there, and what do they look like?"""

import contextlib
import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task

from backends.artifacts import Dataset, Pictures
from backends.errors import InvalidInputError
from backends.ports import Progress, Source
from backends.workers import Workers, map_in_order
from tasks.ingest_cache import IngestCache, open_cache
from tasks.manifest import COLUMNS, PictureFile, describe, look_at, picture_files
from tasks.progress import log_progress
from tasks.retrying import CALLS_BACKEND

_ROWS_AT_ONCE = 1024
_WORTH_A_POOL = 64  # files; starting processes takes as long as reading these


def build_manifest(
    pictures: Pictures, cache: Path, into: Path, workers: Workers, progress: Progress
) -> Dataset:
    """Look once at every file of a source and write `<into>/manifest.parquet`, sorted by path.

    `cache` is a folder that remembers files between runs. `workers` as in map_in_order. Files
    with a problem get a row that names it; they are not counted in `images` and `classes`.
    Raises InvalidInputError where there is no usable picture, JobError if a worker was killed.
    """
    root = pictures.root.resolve()
    total = sum(1 for _ in picture_files(root))
    into.mkdir(parents=True, exist_ok=True)
    with open_cache(cache, root) as known:
        _look_at_new_files(root, known, workers, total, progress)
        pairs = _write_manifest(into / "manifest.parquet", _rows(root, known))
    if not pairs:
        raise InvalidInputError(
            str(root), "none of its files is a usable picture", "Give folders of JPEG or PNG files."
        )
    return Dataset(
        source=pictures.source,
        root=root,
        manifest=into / "manifest.parquet",
        images=len(pairs),
        classes=tuple(sorted({label for _, label in pairs})),
        fingerprint=fingerprint(pairs),
    )


def fingerprint(pairs: list[tuple[str, str]]) -> str:
    """Name a data set by its (image_id, label) pairs, in any order."""
    digest = hashlib.sha256()
    for name, label in sorted(pairs):
        digest.update(f"{name}\t{label}\n".encode())
    return digest.hexdigest()


@task(**CALLS_BACKEND, task_run_name="ingest pictures")
def ingest_pictures(source: Source, cache: Path, into: Path, workers: Workers = 0) -> Dataset:
    """Fetch a source's pictures and write their manifest."""
    pictures = source.fetch(log_progress("fetching"))
    dataset = build_manifest(pictures, cache, into, workers, log_progress("ingesting"))
    get_run_logger().info(
        "%s: %d pictures of %d classes", dataset.source, dataset.images, len(dataset.classes)
    )
    return dataset


def _look_at_new_files(
    root: Path, known: IngestCache, workers: Workers, total: int, progress: Progress
) -> None:
    """Fill the cache with the rows that it lacks."""
    missing = sum(1 for _ in _new_files(root, known))
    done = total - missing
    progress(done, total)
    found = map_in_order(
        look_at,
        _new_files(root, known),
        workers if missing >= _WORTH_A_POOL else 1,
        what="ingest",
        preload=["tasks.manifest"],
    )
    with contextlib.closing(found) as rows:
        for number, (file, row) in enumerate(rows, done + 1):
            known.keep(file, row)
            if number % _ROWS_AT_ONCE == 0:
                known.commit()
            progress(number, total)


def _new_files(root: Path, known: IngestCache) -> Iterator[PictureFile]:
    return (file for file in picture_files(root) if known.row(file) is None)


def _rows(root: Path, known: IngestCache) -> Iterator[dict[str, Any]]:
    for file in picture_files(root):
        # A file that changed since it was looked at is looked at again.
        yield known.row(file) or describe(file)


def _write_manifest(path: Path, rows: Iterator[dict[str, Any]]) -> list[tuple[str, str]]:
    """Write rows in batches; return (image_id, label) of the usable ones."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()])
    pairs: list[tuple[str, str]] = []
    unfinished = path.with_name(f".{path.name}.unfinished")
    with parquet.ParquetWriter(unfinished, schema) as writer:
        for batch in itertools.batched(rows, _ROWS_AT_ONCE):
            writer.write_table(pa.Table.from_pylist(list(batch), schema=schema))
            pairs += [(row["image_id"], row["label"]) for row in batch if row["problem"] is None]
    unfinished.replace(path)
    return pairs
