"""What the tables beside a run record tell a reader: class balance, statistics, mistakes, pictures.

A run may have ended before it wrote one of them, or while it did: then that part is empty.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from PIL import Image

from edge.pictures import FEATURES, UnreadablePictureError, read_picture

BINS = 20
THUMBNAIL_SIDE = 96
PARTS = ("train", "validation", "test")
_MANIFEST = ["image_id", "path", "label", "problem", "handled", *FEATURES]


@dataclass(frozen=True, slots=True)
class ClassCount:
    """Usable pictures of a class; `parts` is empty before the split."""

    label: str
    total: int
    parts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Values in [0, 1] over equal-width bins."""

    feature: str
    counts: tuple[int, ...]
    median: float


@dataclass(frozen=True, slots=True)
class Mistake:
    """A held-out picture that the model took for something else, with its probability for that."""

    image_id: str
    label: str
    taken_for: str
    score: float


@dataclass(frozen=True, slots=True)
class RunTables:
    """manifest.parquet, split.parquet and predictions.parquet, as far as they are there."""

    manifest: pd.DataFrame
    split: pd.DataFrame
    predictions: pd.DataFrame

    @property
    def usable(self) -> pd.DataFrame:
        return self.manifest[self.manifest["problem"].isna()]

    def label_of(self, image_id: str) -> str:
        """The label that people gave the picture; empty if it is not in the data."""
        found = self.manifest.loc[self.manifest["image_id"] == image_id, "label"]
        return str(found.iloc[0]) if len(found) else ""


def read_tables(run_folder: Path) -> RunTables:
    return RunTables(
        manifest=_read(run_folder / "manifest.parquet", _MANIFEST),
        split=_read(run_folder / "split.parquet", ["image_id", "label", "part"]),
        predictions=_read(run_folder / "predictions.parquet", None),
    )


def class_counts(tables: RunTables) -> list[ClassCount]:
    """Usable pictures per class, by name; the parts too, once there is a split."""
    totals = tables.usable["label"].value_counts().sort_index()
    parts = tables.split.groupby(["label", "part"]).size().to_dict()
    split = bool(parts)
    return [
        ClassCount(
            str(label),
            int(total),
            {part: int(parts.get((label, part), 0)) for part in PARTS} if split else {},
        )
        for label, total in totals.items()
    ]


def histograms(tables: RunTables) -> list[Histogram]:
    """The five image statistics over the usable pictures."""
    found = []
    for feature in FEATURES:
        values = tables.usable[feature].dropna().to_numpy(dtype=np.float64)
        if len(values):
            counts, _ = np.histogram(values, bins=BINS, range=(0, 1))
            found.append(
                Histogram(feature, tuple(int(n) for n in counts), float(np.median(values)))
            )
    return found


def noticed(tables: RunTables) -> dict[str, int]:
    """How many pictures have which problem, and how many were converted for which reason."""
    problems = tables.manifest["problem"].dropna().value_counts()
    handled = tables.usable["handled"].dropna().astype(str).str.split(",").explode()
    converted = handled[handled != ""].value_counts()
    return {f"not usable: {name}": int(n) for name, n in problems.items()} | {
        f"converted: {name}": int(n) for name, n in converted.items()
    }


def worst_mistakes(tables: RunTables, classes: Sequence[str], most: int) -> list[Mistake]:
    """The held-out pictures that the model got wrong with most confidence, worst first."""
    columns = [f"p{index}" for index in range(len(classes))]
    wanted = {"image_id", "class_index", *columns}
    if not columns or not wanted <= set(tables.predictions.columns):
        return []
    probabilities = tables.predictions[columns].to_numpy(dtype=np.float64)
    truth = tables.predictions["class_index"].to_numpy(dtype=np.int64)
    guesses, scores = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(guesses != truth)
    worst = wrong[np.argsort(-scores[wrong], kind="stable")][:most]
    ids = tables.predictions["image_id"]
    return [
        Mistake(str(ids.iloc[i]), classes[truth[i]], classes[guesses[i]], float(scores[i]))
        for i in worst
    ]


def samples(tables: RunTables, label: str, most: int) -> list[str]:
    """Ids of pictures of a class, spread evenly over the manifest: the same ones each time."""
    ids = tables.usable.loc[tables.usable["label"] == label, "image_id"].tolist()
    step = max(1, len(ids) // max(1, most))
    return [str(image_id) for image_id in ids[::step][:most]]


@dataclass(slots=True)
class Thumbnails:
    """Small copies of the run's pictures as data URIs; no more than `budget` of them in a page."""

    root: Path
    paths: dict[str, str]
    budget: int
    _made: dict[str, str] = field(default_factory=dict)

    def of(self, image_id: str) -> str:
        """A JPEG as a data URI; empty where the picture is gone, unreadable or one too many."""
        if image_id not in self._made and len(self._made) < self.budget and image_id in self.paths:
            self._made[image_id] = _thumbnail(self.root / self.paths[image_id])
        return self._made.get(image_id, "")


def thumbnails(tables: RunTables, root: str, budget: int) -> Thumbnails:
    """Over the pictures of the manifest, under `root`; an empty root gives none."""
    usable = tables.usable
    paths = dict(zip(usable["image_id"], usable["path"], strict=True)) if root else {}
    return Thumbnails(Path(root), paths, budget)


def _thumbnail(path: Path) -> str:
    try:
        small = read_picture(path.read_bytes()).rgb
    except (OSError, UnreadablePictureError):
        return ""
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BICUBIC)
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode("ascii")


def _read(path: Path, columns: list[str] | None) -> pd.DataFrame:
    try:
        present = pq.read_schema(path).names
        table = pd.read_parquet(path, columns=[c for c in columns or present if c in present])
    except (OSError, ValueError):  # not there, or cut off: pyarrow's ArrowInvalid is a ValueError
        table = pd.DataFrame()
    return table if columns is None else table.reindex(columns=columns)
