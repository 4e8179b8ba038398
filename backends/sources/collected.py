"""A source together with what devices collected for it and people labelled.

`<collected>/<batch>/<label>/<file>` joins the source's own pictures in one folder per class, by
hard links, so that nothing is on the disk twice and what is known of a file stays known.
"""

import contextlib
import hashlib
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from backends.artifacts import Pictures
from backends.errors import InvalidInputError
from backends.ports import Progress, Source
from backends.sources.origins import SOURCE, collected_name, origin_of


@dataclass(frozen=True, slots=True)
class Entry:
    """When a class that is new enters: with `pictures` of it at least.

    And with `share` of what each class would have if all had the same: fewer would only be
    refused by the check of the classes' balance.
    """

    pictures: int
    share: float

    def needed(self, images: int, classes: int) -> int:
        """How many pictures of a new class are enough, among `images` of `classes` known ones."""
        return max(self.pictures, math.ceil(self.share * images / (classes + 1)))


@dataclass(frozen=True, slots=True)
class Collected:
    """What is there to learn from beside the source. Counts are of different pictures.

    `batches`: pictures by label, by batch, of labels that enter. `aside`: labels that do not.
    """

    batches: dict[str, dict[str, int]]
    aside: dict[str, int]
    needed: int

    def pictures(self, without: Set[str] = frozenset()) -> int:
        """How many there are, but for the batches `without`."""
        return sum(sum(held.values()) for name, held in self.batches.items() if name not in without)


def survey(folder: Path, known: Set[str], images: int, entry: Entry) -> Collected:
    """What lies below `folder`, beside `images` pictures of the classes `known`.

    A picture that is in two batches is the later one's.
    """
    found = list(_labelled(folder))
    counts = Counter(label for _, label, _ in found)
    needed = entry.needed(images + len(found), len(known))
    aside = {
        label: count
        for label, count in sorted(counts.items())
        if label not in known and count < needed
    }
    batches: dict[str, dict[str, int]] = {}
    for batch, label, _ in reversed(found):
        if label not in aside:
            held = batches.setdefault(batch, {})
            held[label] = held.get(label, 0) + 1
    return Collected(batches, aside, needed)


class CollectedSource:
    """Gives the pictures of `inner` and of `collected(<its name>)`, as one source of that name."""

    def __init__(
        self, inner: Source, collected: Callable[[str], Path], home: Path, entry: Entry
    ) -> None:
        self._inner = inner
        self._collected = collected
        self._home = home
        self._entry = entry

    def fetch(self, progress: Progress) -> Pictures:
        """As the Source port; raises InvalidInputError for a picture that is named like ours."""
        pictures = self._inner.fetch(progress)
        folder = self._collected(pictures.source)
        if not any(_batches(folder)):
            return pictures
        inner = pictures.root.resolve()
        digest = hashlib.sha256(str(inner).encode()).hexdigest()[:16]
        root = self._home / "sources" / f"with-collected-{digest}"
        root.mkdir(parents=True, exist_ok=True)
        known = {entry.name for entry in _classes(inner)}
        total = sum(1 for _ in _files(inner))
        enters = survey(folder, known, total, self._entry)
        wanted = _Wanted(inner, folder, enters.aside)
        _link_all(wanted, root, total, progress)
        _remove_others(wanted, root)
        return Pictures(source=pictures.source, root=root)


class _Wanted:
    """Which files belong into the combined folder, by their path there."""

    def __init__(self, inner: Path, folder: Path, aside: dict[str, int]) -> None:
        self._inner = inner
        self._collected = {
            f"{label}/{collected_name(batch, file.name)}": file
            for batch, label, file in _labelled(folder)
            if label not in aside
        }
        self._sizes = {file.stat().st_size for file in self._collected.values()}
        self._ids = {file.stem: path for path, file in self._collected.items()}

    def own(self) -> Iterator[tuple[str, Path]]:
        """The source's pictures. One that was collected as well is the source's."""
        for path in _files(self._inner):
            file = self._inner / path
            if origin_of(path) != SOURCE:
                reason = "its name says that a device collected it, and it lies in the source"
                raise InvalidInputError(str(file), reason, "Give it another name.")
            if not file.is_symlink() and file.stat().st_size in self._sizes:
                twin = self._ids.pop(hashlib.sha256(file.read_bytes()).hexdigest(), "")
                self._collected.pop(twin, None)
            yield path, file

    def collected(self) -> Iterator[tuple[str, Path]]:
        """What is left of the collected ones, once `own` is through."""
        yield from self._collected.items()

    def has(self, path: str) -> bool:
        if origin_of(path) != SOURCE:
            return path in self._collected
        return os.path.lexists(self._inner / path)


def _link_all(wanted: _Wanted, root: Path, total: int, progress: Progress) -> None:
    for number, (path, file) in enumerate(wanted.own(), 1):
        _link(file, root / path)
        progress(number, total)
    for path, file in wanted.collected():
        _link(file, root / path)


def _link(file: Path, to: Path) -> None:
    """Put `file` at `to` unless it is there; a broken or foreign file there is replaced."""
    if file.is_symlink():
        if not to.is_symlink():
            _put(to, lambda new: new.symlink_to(file.resolve()))
        return
    facts = file.stat()
    with contextlib.suppress(OSError):
        there = to.stat(follow_symlinks=False)
        if (there.st_size, there.st_mtime_ns) == (facts.st_size, facts.st_mtime_ns):
            return
    _put(to, lambda new: _link_or_copy(file, new))


def _link_or_copy(file: Path, new: Path) -> None:
    try:
        os.link(file, new)
    except OSError:  # another disk, or one without links
        shutil.copy2(file, new)


def _put(to: Path, make: Callable[[Path], None]) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    unfinished = to.with_name(f".{to.name}.new")
    unfinished.unlink(missing_ok=True)
    make(unfinished)
    unfinished.replace(to)


def _remove_others(wanted: _Wanted, root: Path) -> None:
    """What the source or a batch no longer has; then folders that hold nothing any more."""
    for path in _files(root):
        if not wanted.has(path):
            (root / path).unlink()
    for folder, _, _ in os.walk(root, topdown=False):
        if folder != str(root):
            with contextlib.suppress(OSError):  # it holds something
                Path(folder).rmdir()


def _batches(folder: Path) -> Iterator[Path]:
    """Whole batches, the newest first."""
    if folder.is_dir():
        found = (each for each in folder.iterdir() if each.is_dir() and each.name[0] != ".")
        yield from sorted(found, reverse=True)


def _labelled(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Batch, label and file of each collected picture, once: of its newest batch."""
    seen: set[str] = set()
    for batch in _batches(folder):
        for path in _files(batch):
            label, file = path.partition("/")[0], batch / path
            if file.stem not in seen:
                seen.add(file.stem)
                yield batch.name, label, file


def _classes(root: Path) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(root) as found:
        yield from (entry for entry in found if entry.is_dir() and entry.name[0] != ".")


def _files(root: Path) -> Iterator[str]:
    """Paths below the class folders of `root`, posix; hidden files and folders are none."""
    for entry in _classes(root):
        yield from _walk(root, entry.name)


def _walk(root: Path, folder: str) -> Iterator[str]:
    with os.scandir(root / folder) as found:
        entries = [entry for entry in found if entry.name[0] != "."]
    for entry in entries:
        path = f"{folder}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, path)
        else:
            yield path
