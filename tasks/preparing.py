"""One picture at the model's size, on disk, without loss: the very pixels the device will see.

Nothing heavy is imported: every worker loads this module.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from backends.errors import InvalidInputError
from edge.pictures import (
    Preprocessing,
    UnreadablePictureError,
    image_id,
    prepare,
    read_picture,
)


@dataclass(frozen=True, slots=True)
class Preparation:
    root: str
    width: int
    height: int

    def place(self, name: str) -> Path:
        return Path(self.root, name[:2], f"{name}.png")


def prepare_file(preparation: Preparation, picture: tuple[str, str]) -> None:
    """Write (image_id, path) as a PNG. Raises InvalidInputError if the file has changed."""
    name, path = picture
    remedy = "Leave the pictures alone while a run reads them, and run again."
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InvalidInputError(path, "it has vanished since it was ingested", remedy) from error
    if image_id(data) != name:
        raise InvalidInputError(path, "it has changed since it was ingested", remedy)
    try:
        image = prepare(read_picture(data), Preprocessing(preparation.width, preparation.height))
    except UnreadablePictureError as error:
        raise InvalidInputError(path, str(error), "Remove it from the folder.") from error
    target = preparation.place(name)
    unfinished = target.with_name(f".{name}.{os.getpid()}.unfinished")
    image.save(unfinished, "PNG", compress_level=1)
    unfinished.replace(target)
