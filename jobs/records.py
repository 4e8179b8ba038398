"""What a RecordIO file holds, and the pictures in it as batches.

Framing: {u32 magic, u32 flag << 29 | length, data, padding to 4}; an image record starts with
{u32 flag, f32 label, u64 id, u64 id2}. Source: dmlc-core recordio.h, mxnet image_recordio.h.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mxnet as mx
import numpy as np
from container import RefusedError
from mxnet import recordio

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = 0xCED7230A
FRAME = struct.Struct("<II")
HEADER = struct.Struct("<IfQQ")
WHOLE, FIRST = 0, 1
GREY = 127
DECODERS = 2


@dataclass(frozen=True)
class Records:
    """One packed part: where each record starts, and its class and id, in the file's order."""

    path: Path
    index: Path
    offsets: tuple[int, ...]
    labels: Any  # [N] float32
    ids: Any  # [N] uint64

    def __len__(self) -> int:
        return len(self.offsets)


def scan(folder: Path, scratch: Path) -> Records:
    """Read the one .rec of a channel, headers only; write its index to `scratch` if it has none."""
    found = sorted(folder.glob("*.rec"))
    if len(found) != 1:
        raise RefusedError(f"channel {folder.name!r} holds {len(found)} .rec files: expected one")
    path = found[0]
    offsets, labels, ids = [], [], []
    with path.open("rb") as file:
        while frame := file.read(FRAME.size):
            kind, length, start = _frame(frame, path, file.tell())
            if kind in (WHOLE, FIRST):
                _, label, number, _ = HEADER.unpack(file.read(HEADER.size))
                offsets.append(start)
                labels.append(label)
                ids.append(number)
            file.seek(start + FRAME.size + (length + 3) // 4 * 4)
    if not offsets:
        raise RefusedError(f"{path.name} holds no pictures")
    index = path.with_suffix(".idx")
    if not index.exists():
        index = scratch / index.name
        lines = (f"{number}\t{offset}\n" for number, offset in enumerate(offsets))
        index.write_text("".join(lines), encoding="utf-8")
    return Records(
        path, index, tuple(offsets), np.array(labels, np.float32), np.array(ids, np.uint64)
    )


def _frame(frame: bytes, path: Path, position: int) -> tuple[int, int, int]:
    magic, word = FRAME.unpack(frame) if len(frame) == FRAME.size else (0, 0)
    if magic != MAGIC:
        raise RefusedError(f"{path.name} is not RecordIO, or damaged, at byte {position}")
    return word >> 29, word & (2**29 - 1), position - FRAME.size


def picture_size(records: Records) -> tuple[int, int]:
    """Height and width of the first picture."""
    reader = recordio.MXRecordIO(str(records.path), "r")
    try:
        _, encoded = recordio.unpack(reader.read())
    finally:
        reader.close()
    height, width, _ = mx.image.imdecode(encoded).shape
    return int(height), int(width)


@dataclass(frozen=True)
class Reader:
    """Gives the pictures of a part as batches of float32 NCHW, 0..255, cropped to `shape`."""

    records: Records
    shape: tuple[int, int, int]
    batch: int
    resize: int | None = None

    def in_order(self) -> Any:
        """The file's order, centre-cropped; the last batch says how much of it is padding."""
        return self._batches({})

    def shuffled(self, augmentation: str | None, seed: str) -> Any:
        """One epoch. The same seed gives the same order and the same augmented pixels."""
        number = zlib.crc32(seed.encode()) % 2**30
        options = {"shuffle": True, "seed": number, "seed_aug": number}
        if augmentation:
            options |= _augmented(augmentation, self.shape, enlarged=self._has_more_to_crop_from())
        return self._batches(options)

    def _batches(self, options: dict[str, Any]) -> Any:
        return mx.io.ImageRecordIter(
            path_imgrec=str(self.records.path),
            path_imgidx=str(self.records.index),
            data_shape=self.shape,
            batch_size=self.batch,
            resize=self.resize or -1,
            preprocess_threads=DECODERS,
            ctx="cpu",
            verbose=False,
            **options,
        )

    def _has_more_to_crop_from(self) -> bool:
        """Otherwise shifting a picture needs a margin around it."""
        height, width = picture_size(self.records)
        scale = (self.resize or min(height, width)) / min(height, width)
        return height * scale > self.shape[1] or width * scale > self.shape[2]


def _augmented(kind: str, shape: tuple[int, int, int], *, enlarged: bool) -> dict[str, Any]:
    """The built-in algorithm's augmentations as options of the reader."""
    margin = 0 if enlarged else max(1, shape[1] // 8)
    options = {"rand_crop": True, "rand_mirror": True, "pad": margin, "fill_value": GREY}
    if kind in ("crop_color", "crop_color_transform"):
        options |= {"random_h": 36, "random_s": 50, "random_l": 50}
    if kind == "crop_color_transform":
        options |= {"max_rotate_angle": 10, "max_shear_ratio": 0.1, "max_aspect_ratio": 0.25}
    return options
