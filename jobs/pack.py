"""Pack prepared pictures as RecordIO, the files that SageMaker's built-in algorithm reads.

Channel `lists`: `<part>.lst` (index TAB class TAB image_id; a picture per line) for each part, and
`pictures.json` {"root": folder of the pictures, "suffix": ".png"}; a picture lies at
`<root>/<image_id[:2]>/<image_id><suffix>`.

Output: `output/data/<part>/<part>.{rec,idx,lst}`; the picture files' bytes go into the records
as they are, in the order of the list. The same lists give the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import container
from mxnet import recordio

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = ("train", "validation", "test")
PROGRESS_EVERY = 1000


@dataclass(frozen=True)
class Listed:
    """One line of a list."""

    index: int
    label: float
    image_id: str


def main(job: container.Container) -> None:
    lists = job.channel("lists")
    pictures = json.loads((lists / "pictures.json").read_text(encoding="utf-8"))
    root, suffix = Path(pictures["root"]), str(pictures["suffix"])
    for part in PARTS:
        source = lists / f"{part}.lst"
        if source.exists():
            pack(part, list(rows(source)), root, suffix, job.output / part)


def rows(source: Path) -> Iterator[Listed]:
    """The lines of a list file; a malformed one is refused by its number."""
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        try:
            index, label, image_id = line.split("\t")
            yield Listed(int(index), float(label), image_id)
        except ValueError:
            raise container.RefusedError(
                f"{source.name} line {number}: expected index, class and image_id with tabs between"
            ) from None


def pack(part: str, listed: list[Listed], root: Path, suffix: str, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    writer = recordio.MXIndexedRecordIO(str(into / f"{part}.idx"), str(into / f"{part}.rec"), "w")
    try:
        for done, row in enumerate(listed, 1):
            header = recordio.IRHeader(0, row.label, row.index, 0)
            writer.write_idx(row.index, recordio.pack(header, picture(row, root, suffix)))
            if done % PROGRESS_EVERY == 0 or done == len(listed):
                print(f"packed {part}: {done} of {len(listed)}", flush=True)
    finally:
        writer.close()
    text = "".join(f"{row.index}\t{row.label:g}\t{row.image_id}\n" for row in listed)
    (into / f"{part}.lst").write_text(text, encoding="utf-8")


def picture(row: Listed, root: Path, suffix: str) -> bytes:
    path = root / row.image_id[:2] / f"{row.image_id}{suffix}"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise container.RefusedError(
            f"picture {row.image_id} is listed, but not in {root}"
        ) from None


if __name__ == "__main__":
    container.run(main)
