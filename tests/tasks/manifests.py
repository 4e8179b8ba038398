"""Manifests for tests that need no pictures."""

import hashlib
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from backends.artifacts import Dataset
from edge.statistics import PICTURE_FEATURES
from tasks.manifest import COLUMNS

Row = dict[str, Any]


def rows_of(seed: int = 1, brightness: float = 0.5, **classes: int) -> list[Row]:
    """Rows of as many pictures as each class has; the statistics are seeded."""
    draw = random.Random(seed)
    rows = []
    for label, count in sorted(classes.items()):
        for number in range(count):
            path = f"{label}/{seed}-{number:04}.png"
            row: Row = {
                "image_id": hashlib.sha256(path.encode()).hexdigest(),
                "path": path,
                "label": label,
                "format": "PNG",
                "mode": "RGB",
                "width": draw.choice([100, 150, 200]),
                "height": draw.choice([80, 160]),
                "channels": 3,
                "bytes": 1000 + number,
                "phash": f"{draw.getrandbits(64):016x}",
                "orientation": 1,
                "frames": 1,
                "problem": None,
                "handled": "",
            }
            for name in PICTURE_FEATURES:
                centre = brightness if name == "brightness" else 0.5
                row[name] = min(max(draw.gauss(centre, 0.1), 0.0), 1.0)
            rows.append(row)
    return rows


def dataset_of(rows: list[Row], folder: Path, columns: dict[str, str] = COLUMNS) -> Dataset:
    """Write rows as a manifest, as the ingest does."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
    manifest = folder / "manifest.parquet"
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), manifest)
    usable = [row for row in rows if row["problem"] is None]
    pairs = sorted(f"{row['image_id']} {row['label']}" for row in usable)
    return Dataset(
        source="folder:/pictures",
        root=folder,
        manifest=manifest,
        images=len(usable),
        classes=tuple(sorted({row["label"] for row in usable})),
        fingerprint=hashlib.sha256("\n".join(pairs).encode()).hexdigest(),
    )
