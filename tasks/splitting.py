"""Deals pictures out to train, validation and test, so that no part knows another's."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from backends.artifacts import Dataset, Split
from backends.errors import InvalidInputError
from tasks.held_out import Fate, Known, Ledger
from tasks.near_duplicates import LEAST_CONTRAST, NEAR_DISTANCE, near_duplicate_groups
from tasks.origins import SOURCE, origin_of

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
_OPEN_TO: dict[str, tuple[Part, ...]] = {
    "": ("test", "validation", "train"),
    "trained": ("validation", "train"),
    "test": ("test",),
}
"""Where pictures of a fate may go, in the order in which parts are filled."""


class SplitPlan(BaseModel):
    """How pictures are dealt out. The held-out test part comes first, the rest is then divided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train_share: float = Field(
        0.8,
        gt=0,
        lt=1,
        description="Training's share of what is not held out; the rest is validation.",
    )
    test_share: float = Field(
        0.2, gt=0, lt=1, description="Held-out share of all pictures; never trained on."
    )
    seed: int = Field(
        7, ge=0, description="Which picture goes where: same seed and pictures, same parts."
    )


@dataclass(frozen=True, slots=True)
class _Picture:
    image_id: str
    path: str
    label: str
    phash: str
    contrast: float

    @property
    def origin(self) -> str:
        return origin_of(self.path)


@dataclass(frozen=True, slots=True)
class _Group:
    """Pictures that look alike, and what is known of the fate of one that they look like."""

    members: list[_Picture]
    fates: set[Fate] = field(default_factory=set)

    @property
    def label(self) -> str:
        """The commonest; near-duplicates under two labels are the validation's business."""
        labels = [picture.label for picture in self.members]
        return min(set(labels), key=lambda label: (-labels.count(label), label))

    @property
    def origin(self) -> str:
        origins = {picture.origin for picture in self.members}
        return SOURCE if SOURCE in origins else min(origins)

    def place(self, seed: int) -> str:
        return _shuffled(seed, self.members[0].image_id)


def split_pictures(
    dataset: Dataset, plan: SplitPlan, into: Path, ledger: Ledger | None = None
) -> Split:
    """Deal a data set's usable pictures out to train, validation and test: `<into>/split.parquet`.

    Equal pictures are kept once (the first path), near-duplicates stay together, and each class
    of each origin keeps its shares. What decides is the SHA-256 of seed and image_id, so the same
    pictures, seed and ledger give the same parts whatever the machine, the paths or the order of
    files. The table's rows are in that shuffled order within each part.

    What the ledger knows comes first: a test picture stays one, and so do its near-duplicates;
    what was trained on never becomes one. A picture that looks like both is left out. The ledger
    learns what is decided. Raises InvalidInputError naming a class that cannot be in every part.
    """
    ledger = ledger if ledger is not None else Ledger()
    usable = _usable(dataset)
    parts = _deal(usable, plan, ledger)
    kept = [picture for picture in usable if picture.image_id in parts]
    for label in sorted({picture.label for picture in usable}):
        _refuse_missing_part(label, [p for p in kept if p.label == label], parts)
    ledger.add(_known(picture, parts[picture.image_id]) for picture in kept)
    counts = {part: sum(1 for found in parts.values() if found == part) for part in PARTS}
    into.mkdir(parents=True, exist_ok=True)
    _write_table(into / "split.parquet", kept, parts, dataset.classes, plan.seed)
    return Split(
        table=into / "split.parquet",
        classes=dataset.classes,
        fingerprint=_fingerprint(kept, parts),
        aside=len(usable) - len(kept),
        **counts,
    )


def _usable(dataset: Dataset) -> list[_Picture]:
    """Every usable picture once, sorted by image_id."""
    from pyarrow import compute, parquet

    columns = ["image_id", "path", "label", "phash", "contrast"]
    usable = compute.field("problem").is_null()
    return _once(parquet.read_table(dataset.manifest, columns=columns, filters=usable).to_pylist())


def _once(rows: Sequence[dict[str, Any]]) -> list[_Picture]:
    first: dict[str, _Picture] = {}
    for row in sorted(rows, key=lambda row: (row["image_id"], row["label"], row["path"])):
        first.setdefault(row["image_id"], _Picture(**row))
    return list(first.values())


def _deal(pictures: list[_Picture], plan: SplitPlan, ledger: Ledger) -> dict[str, Part]:
    """Which part each image_id goes to; those left out are not in it."""
    groups = [decided for group in _groups(pictures, ledger) for decided in _decided(group, ledger)]
    own = {picture.label for picture in pictures if picture.origin == SOURCE}
    strata: dict[tuple[str, str], list[_Group]] = defaultdict(list)
    for group in groups:
        label = group.label
        strata[label, group.origin if label in own else SOURCE].append(group)
    parts: dict[str, Part] = {}
    for (_, origin), members in strata.items():
        parts.update(_deal_stratum(members, plan, least=1 if origin == SOURCE else 0))
    return parts


def _groups(pictures: list[_Picture], ledger: Ledger) -> list[_Group]:
    """Put near-duplicates together, chains of them too; pictures of one colour stay alone.

    Pictures that the ledger knows, and that are gone since, still say what is like them.
    """
    groups = [_Group([picture]) for picture in pictures if picture.contrast < LEAST_CONTRAST]
    rich = [picture for picture in pictures if picture.contrast >= LEAST_CONTRAST]
    present = {picture.image_id for picture in pictures}
    gone = [one for one in ledger.known.values() if one.phash and one.image_id not in present]
    hashes = [picture.phash for picture in rich] + [one.phash for one in gone]
    numbers = near_duplicate_groups(hashes, NEAR_DISTANCE)
    together: dict[int, _Group] = defaultdict(lambda: _Group([]))
    for picture, number in zip(rich, numbers, strict=False):
        together[number].members.append(picture)
    for one, number in zip(gone, numbers[len(rich) :], strict=True):
        if number in together:
            together[number].fates.add(one.fate)
    return groups + list(together.values())


def _decided(group: _Group, ledger: Ledger) -> Iterator[_Group]:
    """The group with what is known of its fate; one with both fates is parted."""
    known = {p.image_id: one.fate for p in group.members if (one := ledger.known.get(p.image_id))}
    fates = group.fates | set(known.values())
    if len(fates) <= 1:
        yield _Group(group.members, fates)
        return
    for fate in sorted(fates):
        members = [p for p in group.members if known.get(p.image_id) == fate]
        if members:
            yield _Group(members, {fate})


def _deal_stratum(groups: list[_Group], plan: SplitPlan, least: int) -> dict[str, Part]:
    """Fill test, then validation, to their number of pictures; the rest is train.

    A group that is larger than what a part still lacks goes on to the next part.
    """
    total = sum(len(group.members) for group in groups)
    there = sum(len(group.members) for group in groups if group.fates == {"test"})
    test = max(there, least, round(total * plan.test_share))
    lacking: dict[Part, int] = {
        "test": test - there,
        "validation": max(least, round((total - test) * (1 - plan.train_share))),
    }
    parts: dict[str, Part] = {}
    for group in sorted(groups, key=lambda group: group.place(plan.seed)):
        size = len(group.members)
        allowed = _OPEN_TO[min(group.fates, default="")]
        fits = (p for p in allowed if p not in lacking or size <= lacking[p])
        part: Part = "test" if group.fates == {"test"} else next(fits)
        if part in lacking and group.fates != {"test"}:
            lacking[part] -= size
        parts.update((picture.image_id, part) for picture in group.members)
    return parts


def _known(picture: _Picture, part: Part) -> Known:
    phash = picture.phash if picture.contrast >= LEAST_CONTRAST else ""
    return Known(picture.image_id, phash, "test" if part == "test" else "trained")


def _fingerprint(pictures: list[_Picture], parts: dict[str, Part]) -> str:
    """Names the split by what is in which part, in any order."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.image_id}\t{parts[picture.image_id]}\n".encode())
    return digest.hexdigest()


def _refuse_missing_part(label: str, pictures: list[_Picture], parts: dict[str, Part]) -> None:
    found = {parts[picture.image_id] for picture in pictures}
    missing = [part for part in PARTS if part not in found]
    if missing:
        reason = f"its {len(pictures)} different pictures leave none for {' and '.join(missing)}"
        raise InvalidInputError(
            f"class {label!r}", reason, "Add pictures that differ, or remove the class."
        )


def _shuffled(seed: int, image_id: str) -> str:
    return hashlib.sha256(f"{seed}/{image_id}".encode()).hexdigest()


def _write_table(
    path: Path,
    pictures: list[_Picture],
    parts: dict[str, Part],
    classes: tuple[str, ...],
    seed: int,
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    def place(picture: _Picture) -> tuple[int, str]:
        return PARTS.index(parts[picture.image_id]), _shuffled(seed, picture.image_id)

    ordered = sorted(pictures, key=place)
    table = pa.table(
        {
            "image_id": pa.array([p.image_id for p in ordered], pa.string()),
            "path": pa.array([p.path for p in ordered], pa.string()),
            "label": pa.array([p.label for p in ordered], pa.string()),
            "class_index": pa.array([classes.index(p.label) for p in ordered], pa.int32()),
            "part": pa.array([parts[p.image_id] for p in ordered], pa.string()),
        }
    )
    unfinished = path.with_name(f".{path.name}.unfinished")
    parquet.write_table(table, unfinished)
    unfinished.replace(path)
