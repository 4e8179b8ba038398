"""What the camera of a local device sees: a folder of pictures."""

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path


def set_scene(folder: Path, pictures: Sequence[Path]) -> Path:
    """Make `folder` hold copies of these pictures and nothing else; give it back.

    A picture appears whole or not at all: it is renamed into place. Names keep their suffix, and
    do not repeat.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before = list(folder.iterdir())
    for picture in pictures:
        name = uuid.uuid4().hex + picture.suffix.lower()
        shutil.copyfile(picture, unseen := folder / f".{name}.new")
        unseen.replace(folder / name)
    for picture in before:
        picture.unlink()
    return folder
