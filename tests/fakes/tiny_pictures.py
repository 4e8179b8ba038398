"""Pictures small enough that a training takes a second, and separable by their colour."""

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image

from backends.artifacts import PackedData
from backends.local.jobs import LocalJobs
from backends.local.packer import LocalPacker

CLASSES = ("blue", "green", "red")
COLOURS = {"blue": (60, 80, 190), "green": (70, 180, 70), "red": (190, 70, 60)}
NOISE = 40.0
SIZES = {"train": 60, "validation": 21, "test": 24}


def write_lists(folder: Path, side: int = 8) -> Path:
    """Prepared pictures of `side` pixels, and the lists that the packer reads."""
    generator = np.random.default_rng(7)
    lists, pictures = folder / "lists", folder / "pictures"
    lists.mkdir(parents=True)
    for part, count in SIZES.items():
        rows = [_picture(pictures, number, side, generator) for number in range(count)]
        text = "".join(f"{i}\t{label}\t{name}\n" for i, (label, name) in enumerate(rows))
        (lists / f"{part}.lst").write_text(text, encoding="utf-8")
    (lists / "pictures.json").write_text(json.dumps({"root": str(pictures), "suffix": ".png"}))
    return lists


def pack(jobs_python: Path, folder: Path, side: int = 8) -> PackedData:
    """The same, packed by the real packer."""
    jobs = LocalJobs(folder / "home", jobs_python, 120)
    LocalPacker(jobs).pack("pack", write_lists(folder, side), folder / "packed", lambda _line: None)
    return PackedData(folder / "packed", side, side, CLASSES, *SIZES.values())


def _picture(
    folder: Path, number: int, side: int, generator: np.random.Generator
) -> tuple[int, str]:
    label = min(number % 5, 2)  # three times as many red ones
    noise = generator.normal(0.0, NOISE, (side, side, 3))
    pixels = np.clip(np.array(COLOURS[CLASSES[label]]) + noise, 0, 255).astype(np.uint8)
    name = hashlib.sha256(pixels.tobytes()).hexdigest()
    path = folder / name[:2] / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return label, name
