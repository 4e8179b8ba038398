"""The ledger of held-out pictures: what once judged a model judges its successors, for ever.

`<home>/held-out/<source>/NNNN.parquet`, one file for each split that met new pictures: image_id,
phash (empty where there is nothing to hash) and part, `test` or `trained`. Files are only added.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from backends.errors import InvalidInputError

Fate = Literal["test", "trained"]
"""`trained`: a training has seen it, or chose its best epoch by it."""


@dataclass(frozen=True, slots=True)
class Known:
    """A picture that was dealt out before."""

    image_id: str
    phash: str
    fate: Fate


@dataclass(slots=True)
class Ledger:
    """What the splits of a source have decided so far. Without a folder it starts empty."""

    folder: Path | None = None
    known: dict[str, Known] = field(default_factory=dict)

    def add(self, dealt: Iterable[Known]) -> None:
        """Remember new pictures; on the disk when this returns. What is known stays as it is."""
        fresh = [one for one in dealt if one.image_id not in self.known]
        if fresh and self.folder:
            _write(self.folder, fresh)
        self.known |= {one.image_id: one for one in fresh}


@contextmanager
def open_ledger(folder: Path) -> Iterator[Ledger]:
    """The ledger of a source, for one process at a time.

    Raises InvalidInputError for one that is damaged: it is never taken for none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known: dict[str, Known] = {}
        for path in sorted(folder.glob("[0-9]*.parquet")):
            for one in _read(path):
                known.setdefault(one.image_id, one)
        yield Ledger(folder, known)


def _read(path: Path) -> Iterator[Known]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, columns=["image_id", "phash", "part"])
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        reason = f"the ledger of held-out pictures is damaged: {error}"
        remedy = "Bring it back from a backup; without it, old test pictures could be trained on."
        raise InvalidInputError(str(path), reason, remedy) from error
    for row in table.to_pylist():
        yield Known(row["image_id"], row["phash"], row["part"])


def _write(folder: Path, fresh: list[Known]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    taken = [int(path.stem) for path in folder.glob("[0-9]*.parquet")]
    path = folder / f"{max(taken, default=0) + 1:06d}.parquet"
    table = pa.table(
        {
            "image_id": pa.array([one.image_id for one in fresh], pa.string()),
            "phash": pa.array([one.phash for one in fresh], pa.string()),
            "part": pa.array([one.fate for one in fresh], pa.string()),
        }
    )
    unfinished = folder / ".unfinished"
    with unfinished.open("wb") as stream:
        parquet.write_table(table, stream)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(path)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)  # the name as well
    finally:
        os.close(handle)
