"""Run records and run folders of every outcome, in the form that tasks/recording.py writes."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image, ImageDraw

from edge.pictures import FEATURES

CLASSES = ("person", "child", "dog", "car", "empty")
PER_CLASS = 12
HELD_OUT = 4
COLOURS = {"person": "#b0413e", "child": "#e0a030", "dog": "#7b5b3a", "car": "#30609a", "empty": ""}

Record = dict[str, Any]


def deployed() -> Record:
    """A run that reached everything."""
    return {
        "run_id": "20261122-181500-ab12",
        "status": "deployed",
        "reason": "",
        "started_at": "2026-11-22T18:15:00+00:00",
        "objective": "Warn the people when a child is in the driveway.",
        "platform": "linux-x86_64",
        "thing": "hub-1",
        "versions": {"edgeward": "0.1.0", "prefect": "3.8.8"},
        "data": {
            "source": "driveway",
            "images": 60,
            "classes": list(CLASSES),
            "fingerprint": "f1" * 32,
            "root": "",
        },
        "data_docs": "data-docs/index.html",
        "data_findings": {"near_duplicates": 3, "class_balance": {"smallest": "dog", "ratio": 0.8}},
        "gates": gates(),
        "split": {"train": 30, "validation": 10, "test": 20, "classes": list(CLASSES)},
        "training": {
            "seconds": 84.2,
            "images_per_second": 268.4,
            "epochs": 8,
            "hyperparameters": {"num_layers": "20", "learning_rate": "0.1"},
        },
        "learning_curve": [
            {
                "epoch": epoch,
                "train_accuracy": 0.35 + 0.6 * (1 - 0.7**epoch),
                "validation_accuracy": 0.33 + 0.55 * (1 - 0.68**epoch),
                "seconds": 10.4,
            }
            for epoch in range(8)
        ],
        "evaluation": evaluation(),
        "compilation": {
            "compiler": "tvm",
            "compiler_version": "0.16.0",
            "target": "llvm -mtriple=x86_64-linux-gnu",
            "flags": {"opt_level": "3"},
            "platform": "linux-x86_64",
            "seconds": 15.9,
            "bytes": 6_412_300,
            "sha256": "c0" * 32,
        },
        "verification": verification(),
        "deployment": {
            "id": "dep-77",
            "thing": "hub-1",
            "status": "SUCCEEDED",
            "detailed_status": "SUCCESSFUL",
            "components": {
                "edgeward.ImageClassification": "1.0.3",
                "edgeward.ImageClassification.Model": "1.0.7",
            },
        },
        "first_results": [],
        "stages": {"ingest": 3.2, "validate": 9.8, "train": 91.0, "compile": 18.4, "deploy": 6.1},
        "model_version": "7",
    }


def gates() -> list[Record]:
    return [
        gate("data.integrity", True, 0, 0, "every file is a picture"),
        gate("data.drift", None, None, 0.25, "no baseline: this is the first accepted data"),
        gate("model.accuracy", True, 0.9, 0.75, "top-1 0.900 reaches 0.750"),
        gate("model.recall", True, {"child": 0.75}, {"child": 0.7}, "each class is found"),
        gate(
            "compiled.parity",
            True,
            {"max_abs_diff": 1.8e-7, "top1_agreement": 1.0},
            {"max_abs_diff": 0.001, "top1_agreement": 0.995},
            "the same answers",
        ),
        gate("compiled.latency", True, 2.31, 50, "p95 is 2.31 ms"),
        gate("compiled.size", True, 4.2, 20, "4.2 MB"),
        gate("device.first-result", True, 1.0, 1.0, "all labels agree"),
    ]


def gate(name: str, passed: bool | None, measured: Any, limit: Any, reason: str) -> Record:
    return {
        "name": name,
        "passed": passed,
        "measured": measured,
        "limit": limit,
        "reason": reason,
        "overridden": False,
    }


def evaluation() -> Record:
    return {
        "top1": 0.9,
        "top5": 1.0,
        "per_class": {
            "person": {"precision": 0.8, "recall": 1.0, "support": 4},
            "child": {"precision": 1.0, "recall": 0.75, "support": 4},
            "dog": {"precision": 0.75, "recall": 0.75, "support": 4},
            "car": {"precision": 1.0, "recall": 1.0, "support": 4},
            "empty": {"precision": None, "recall": None, "support": 0},
        },
        "confusion": [
            [4, 0, 0, 0, 0],
            [1, 3, 0, 0, 0],
            [0, 0, 3, 1, 0],
            [0, 0, 0, 4, 0],
            [0, 0, 0, 0, 0],
        ],
        "calibration_error": 0.041,
        "images": 16,
    }


def verification() -> Record:
    return {
        "executed": True,
        "runtime": "dlr",
        "runtime_version": "1.10.0",
        "images": 16,
        "max_abs_diff": 1.8e-7,
        "top1_agreement": 1.0,
        "latency_ms": {"p50": 1.98, "p95": 2.31},
        "peak_rss_mb": 61.4,
        "package_mb": 4.2,
        "reason": "",
        "trained": {
            "latency_ms": {"p50": 4.9, "p95": 5.775},
            "peak_rss_mb": 190.2,
            "archive_mb": 1.05,
        },
    }


def refused() -> Record:
    """A run that model.recall stopped after the evaluation."""
    reason = "recall of child 0.500 (at least 0.700 is asked)"
    kept = [g for g in gates() if g["name"] in ("data.integrity", "data.drift", "model.accuracy")]
    return deployed() | {
        "status": "refused",
        "reason": f"model.recall: {reason}",
        "gates": [*kept, gate("model.recall", False, {"child": 0.5}, {"child": 0.7}, reason)],
        "compilation": None,
        "verification": None,
        "deployment": None,
        "first_results": [],
        "model_version": None,
        "stages": {"ingest": 3.2, "train": 91.0},
    }


def failed_at_once() -> Record:
    """A run that ended before it had anything but a reason."""
    return {
        "run_id": "20261122-190000-ff00",
        "status": "failed",
        "reason": "the jobs environment is missing: no python there. Run `make setup`.",
        "started_at": "2026-11-22T19:00:00+00:00",
        "objective": "Tell the classes apart on the device.",
        "platform": "linux-x86_64",
        "thing": "hub-1",
        "versions": {"edgeward": "0.1.0"},
        "data": {"source": "", "images": 0, "classes": [], "fingerprint": ""},
        "gates": [],
        "split": None,
        "training": None,
        "evaluation": None,
        "compilation": None,
        "verification": None,
        "deployment": None,
        "first_results": [],
        "stages": {},
        "model_version": None,
    }


def make_run(folder: Path, record: Record) -> Path:
    """A run's folder with its record alone."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def make_full_run(folder: Path, record: Record, side: int = 160) -> Path:
    """A run's folder with pictures, their tables and Data Docs beside the record.

    The device's first results are the first held-out picture of each class; it takes the dog's for
    a car.
    """
    make_run(folder, record)
    pictures = draw_pictures(folder / "pictures", side)
    pictures.to_parquet(folder / "manifest.parquet")
    split = pictures[["image_id", "path", "label"]].assign(
        part=["test" if i % PER_CLASS < HELD_OUT else "train" for i in range(len(pictures))]
    )
    split.to_parquet(folder / "split.parquet")
    held_out = split[split["part"] == "test"]
    _predictions(held_out).to_parquet(folder / "predictions.parquet")
    (folder / "data-docs").mkdir()
    (folder / "data-docs/index.html").write_text("<p>docs</p>", encoding="utf-8")
    record["data"]["root"] = str(folder / "pictures")
    if record["status"] == "deployed":
        firsts = held_out.groupby("label", sort=False).first()
        record["first_results"] = [
            result(row.image_id, str(label), "car" if label == "dog" else str(label))
            for label, row in firsts.iterrows()
        ]
    return make_run(folder, record)


def result(image_id: str, expected: str, label: str) -> Record:
    return {
        "image_id": image_id,
        "label": label,
        "expected": expected,
        "score": 0.874,
        "latency_ms": 2.4,
        "taken_at": "2026-11-22T18:18:00+00:00",
        "agrees": label == expected,
    }


def draw_pictures(root: Path, side: int = 160) -> pd.DataFrame:
    """A manifest of small drawn pictures, some of which are not usable."""
    dice = random.Random(1)
    rows = []
    for label in CLASSES:
        (root / label).mkdir(parents=True)
        for number in range(PER_CLASS):
            path = root / label / f"{number}.jpg"
            _draw(label, side, dice).save(path, quality=85)
            rows.append(_row(path, root, label, dice))
    rows[-1] |= {"problem": "truncated", **dict.fromkeys(FEATURES)}
    return pd.DataFrame(rows)


def _row(path: Path, root: Path, label: str, dice: random.Random) -> Record:
    return {
        "image_id": hashlib.sha256(path.read_bytes()).hexdigest(),
        "path": path.relative_to(root).as_posix(),
        "label": label,
        "problem": None,
        "handled": "exif-rotated" if dice.random() < 0.1 else "",
        **{name: min(1.0, max(0.0, dice.gauss(0.45, 0.12))) for name in FEATURES},
    }


def _draw(label: str, side: int, dice: random.Random) -> Image.Image:
    height = side * 3 // 4
    image = Image.new("RGB", (side, height), (150 + dice.randrange(60), 190, 210))
    draw = ImageDraw.Draw(image)
    draw.polygon(
        [(side * 0.3, height * 0.4), (side * 0.7, height * 0.4), (side, height), (0, height)],
        fill=(110, 110, 115),
    )
    x, tall = side * dice.uniform(0.25, 0.7), {"person": 0.5, "child": 0.3}.get(label, 0.18)
    if colour := COLOURS[label]:
        wide = 0.28 if label == "car" else 0.09
        box = [x - side * wide / 2, height * (0.8 - tall), x + side * wide / 2, height * 0.8]
        draw.rounded_rectangle(box, radius=6, fill=colour)
    if label in ("person", "child"):
        draw.ellipse(
            [x - 8, height * (0.8 - tall) - 14, x + 8, height * (0.8 - tall) + 2], "#e8c39e"
        )
    return image


def _predictions(held_out: pd.DataFrame) -> pd.DataFrame:
    """Right but for the second picture of each class, which is taken for the next class."""
    rows = []
    for index, (image_id, label) in enumerate(
        zip(held_out["image_id"], held_out["label"], strict=True)
    ):
        truth = CLASSES.index(label)
        guess = (truth + 1) % len(CLASSES) if index % HELD_OUT == 1 else truth
        scores = {f"p{c}": 0.6 + 0.05 * truth if c == guess else 0.05 for c in range(len(CLASSES))}
        rows.append({"image_id": image_id, "class_index": truth, **scores})
    return pd.DataFrame(rows)
