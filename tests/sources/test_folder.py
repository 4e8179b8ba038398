"""A person's own folder is taken as it is, or refused with what is the matter with it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from backends.errors import InvalidInputError
from backends.sources.folder import FolderSource


def silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(path)


def test_class_folders_are_taken_where_they_are(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "deep" / "a.jpg")
    picture(tmp_path / "dog" / "b.png")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").write_text("about these pictures")

    pictures = FolderSource(tmp_path).fetch(silent)

    assert pictures.root == tmp_path.resolve()
    assert pictures.source == f"folder:{tmp_path}"


def a_file(root: Path) -> Path:
    picture(root / "a.jpg")
    return root / "a.jpg"


def no_folders(root: Path) -> Path:
    picture(root / "a.jpg")
    return root


def one_class(root: Path) -> Path:
    picture(root / "cat" / "a.jpg")
    return root


def loose_pictures(root: Path) -> Path:
    picture(root / "cat" / "a.jpg")
    picture(root / "dog" / "a.jpg")
    picture(root / "mystery.jpg")
    return root


def an_empty_class(root: Path) -> Path:
    picture(root / "cat" / "a.jpg")
    (root / "dog").mkdir()
    (root / "dog" / ".DS_Store").write_bytes(b"x")
    return root


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda root: root / "nowhere", "no such folder"),
        (a_file, "a file, not a folder"),
        (no_folders, "no class folders"),
        (one_class, "one class only, 'cat'"),
        (loose_pictures, r"beside the class folders \(mystery.jpg\)"),
        (an_empty_class, "'dog' holds no files"),
    ],
)
def test_an_unfit_folder_is_refused_by_what_is_wrong(
    make: Callable[[Path], Path], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        FolderSource(make(tmp_path)).fetch(silent)
