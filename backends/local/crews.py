"""Things that one process plays together: a file that says which, and that the process follows."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from backends.local.files import read_json, write_json

_MARK = "config/crew"


class Crew:
    """`<folder>/<name>.json` lists the roots of the things that are to run."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.process_name = f"crew-{name}"
        self.path = folder / f"{name}.json"

    def roots(self) -> list[Path]:
        return [Path(root) for root in (read_json(self.path) or {}).get("roots", [])]

    def play(self, roots: Sequence[Path]) -> None:
        """These, and no others."""
        with self._locked():
            self._write(roots)

    def add(self, roots: Sequence[Path]) -> None:
        with self._locked():
            self._write(list(dict.fromkeys([*self.roots(), *roots])))

    def remove(self, root: Path) -> list[Path]:
        """Those that are left."""
        with self._locked():
            left = [known for known in self.roots() if known != root]
            self._write(left)
            return left

    def enrol(self, root: Path) -> None:
        """Says in the thing's own folder who plays it."""
        mark = root / _MARK
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(self.name, encoding="utf-8")

    def _write(self, roots: Sequence[Path]) -> None:
        write_json(self.path, {"roots": [str(root) for root in roots]})

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def crew_of(folder: Path, root: Path) -> Crew | None:
    """Who plays the thing at `root`; None: it has a process of its own."""
    try:
        return Crew(folder, (root / _MARK).read_text(encoding="utf-8"))
    except OSError:
        return None
