"""Deployment (CRISP-DM 6): the picture that a model carries, with the answer that it must give."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from backends.artifacts import Predictions, Split
from edge.contract import SELF_TEST_STEM, SelfTest
from edge.pictures import image_id

MAX_BYTES = 512 * 1024
"""A picture larger than this is passed over, as long as there is a smaller one: devices pay."""

TOLERANCE = 0.02
"""Readers of JPEG differ by a grey level between devices; another model differs by far more."""


@dataclass(frozen=True, slots=True)
class KnownPicture:
    """A picture and what the trained model says to it, in the order of the classes."""

    path: Path
    probabilities: tuple[float, ...]
    tolerance: float = TOLERANCE


def choose_self_test(
    predictions: Predictions, split: Split, root: Path, tolerance: float = TOLERANCE
) -> KnownPicture:
    """The held-out picture that the model is surest of, and right about if it is about any.

    `root` is the data set's. A sure answer moves least where a device computes or reads a picture
    a little differently.
    """
    table = pd.read_parquet(predictions.table)
    columns = [f"p{index}" for index in range(len(predictions.classes))]
    table["is_right"] = table[columns].to_numpy().argmax(axis=1) == table["class_index"]
    table["confidence"] = table[columns].max(axis=1)
    table["path"] = table["image_id"].map(_paths(split))
    table["bytes"] = [(root / path).stat().st_size for path in table["path"]]
    table["is_small"] = table["bytes"] <= MAX_BYTES
    best = table.sort_values(
        ["is_small", "is_right", "confidence", "image_id"], ascending=[False, False, False, True]
    ).iloc[0]
    probabilities = tuple(float(best[column]) for column in columns)
    return KnownPicture(root / str(best["path"]), probabilities, tolerance)


def add_self_test(meta: Path, known: KnownPicture, into: Path) -> tuple[Path, Path]:
    """Write into the folder `into` the picture, and `meta` (a compiled.meta) with its answer."""
    data = known.path.read_bytes()
    picture = into / f"{SELF_TEST_STEM}{known.path.suffix.lower()}"
    picture.write_bytes(data)
    test = SelfTest(picture.name, image_id(data), known.probabilities, known.tolerance)
    value = json.loads(meta.read_text(encoding="utf-8"))
    value["Edgeward"]["self_test"] = test.to_dict()
    written = into / meta.name
    written.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return picture, written


def _paths(split: Split) -> dict[str, str]:
    table = pd.read_parquet(split.table, columns=["image_id", "path", "part"])
    table = table[table["part"] == "test"].drop_duplicates("image_id")
    return dict(zip(table["image_id"], table["path"].astype(str), strict=True))
