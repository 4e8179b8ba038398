"""One's own pictures: a folder that holds a folder per class."""

from pathlib import Path

from backends.artifacts import Pictures
from backends.errors import InvalidInputError
from backends.ports import Progress

_REMEDY = "Give a folder that holds one folder of pictures per class, e.g. pets/cat and pets/dog."
_FEWEST_CLASSES = 2


class FolderSource:
    """Reads `<path>/<class>/**/<file>` where it is; nothing is copied."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fetch(self, progress: Progress) -> Pictures:
        """Check the folder. Raises InvalidInputError that says what is not as expected."""
        root = self._path.expanduser()
        if not root.exists():
            raise InvalidInputError(str(root), "there is no such folder", _REMEDY)
        if not root.is_dir():
            raise InvalidInputError(str(root), "it is a file, not a folder", _REMEDY)
        root = root.resolve()
        try:
            entries = sorted(e for e in root.iterdir() if not e.name.startswith("."))
        except PermissionError as error:
            raise InvalidInputError(str(root), "it may not be read", "Check its owner.") from error
        folders = [entry for entry in entries if entry.is_dir()]
        if not folders:
            raise InvalidInputError(str(root), "it holds no class folders", _REMEDY)
        if len(folders) < _FEWEST_CLASSES:
            only = folders[0].name
            raise InvalidInputError(str(root), f"it holds one class only, {only!r}", _REMEDY)
        _refuse_loose_pictures(root, [entry for entry in entries if not entry.is_dir()])
        for folder in folders:
            if not any(_pictures_in(folder)):
                reason = f"its class folder {folder.name!r} holds no files"
                raise InvalidInputError(str(root), reason, "Fill it or remove it.")
        progress(1, 1)
        return Pictures(source=f"folder:{self._path}", root=root)


def _refuse_loose_pictures(root: Path, files: list[Path]) -> None:
    """A picture beside the class folders has no class; a README beside them is nobody's harm."""
    from PIL import Image

    known = Image.registered_extensions()
    loose = [file.name for file in files if file.suffix.lower() in known]
    if loose:
        shown = ", ".join(loose[:3]) + (", …" if len(loose) > 3 else "")  # noqa: PLR2004
        reason = f"{len(loose)} pictures lie beside the class folders ({shown}), so have no class"
        raise InvalidInputError(str(root), reason, "Move them into a class folder.")


def _pictures_in(folder: Path) -> "filter[Path]":
    return filter(Path.is_file, folder.rglob("[!.]*"))
