"""A home with a batch of small pictures that wait for labels."""

import hashlib
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from PIL import Image

from tasks.labelling.batches import Batch, Example, Why, make_batch

CLASSES = ("car", "cat", "dog")
NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)


def examples(folder: Path, count: int, first: int = 0, kind: str = "png") -> list[Example]:
    """Pictures of one colour each, as devices gave them."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(first, first + count):
        buffer = BytesIO()
        Image.new("RGB", (60, 40), (number * 7 % 256, 120, 60)).save(buffer, kind)
        image_id = hashlib.sha256(buffer.getvalue()).hexdigest()
        path = folder / f"{image_id}.{kind}"
        path.write_bytes(buffer.getvalue())
        guess = CLASSES[number % len(CLASSES)]
        found.append(Example(image_id, path, "hub-1", guess, 0.4, "1.0.0", "2026-11-25T09:00:00Z"))
    return found


def batch_of(home: Path, count: int = 5, first: int = 0, kind: str = "png") -> Batch:
    why = Why("hub-1", "driveway", "brightness moved from 0.5 to 0.1", "hub-1/2026-11-25")
    batch = make_batch(home, why, CLASSES, examples(home / "came", count, first, kind), NOW)
    assert batch
    return batch
