"""The gate split.leakage: judges a finished split by its table alone, not by how it was made."""

from itertools import combinations

import numpy as np
import numpy.typing as npt

from backends.artifacts import Dataset, Gate, Split
from tasks.near_duplicates import LEAST_CONTRAST, NEAR_DISTANCE

_ROWS_AT_ONCE = 512
_SHOWN = 3


def judge_leakage(dataset: Dataset, split: Split) -> Gate:
    """Count the pictures that are in two parts, and the near-duplicates across parts.

    Every pair across parts is compared, which shares no code with the grouping that the split
    used: XOR and bit count of 64-bit hashes, in blocks.
    """
    from pyarrow import parquet

    table = parquet.read_table(split.table).to_pandas()
    columns = ["image_id", "phash", "contrast"]
    facts = parquet.read_table(dataset.manifest, columns=columns).to_pandas()
    facts = facts[facts["contrast"] >= LEAST_CONTRAST]
    phashes = {str(row.image_id): str(row.phash) for row in facts.itertuples()}
    parts = {str(part): list(ids) for part, ids in table.groupby("part")["image_id"]}
    same: set[str] = set()
    near: list[tuple[str, str]] = []
    for one, other in combinations(sorted(parts), 2):
        same |= set(parts[one]) & set(parts[other])
        near += _near(parts[one], parts[other], phashes)
    near = [pair for pair in near if pair[0] != pair[1]]
    crossing = len(same) + len(near)
    if not crossing:
        reason = "no picture and no near-duplicate is in two parts"
    else:
        examples = [name[:12] for name in sorted(same)[:_SHOWN]]
        examples += [f"{a[:12]} ~ {b[:12]}" for a, b in near[:_SHOWN]]
        reason = (
            f"{len(same)} pictures and {len(near)} near-duplicate pairs are in two parts: "
            + ", ".join(examples)
        )
    return Gate("split.leakage", crossing == 0, crossing, 0, reason)


def _near(one: list[str], other: list[str], phashes: dict[str, str]) -> list[tuple[str, str]]:
    one, other = ([name for name in names if name in phashes] for names in (one, other))
    left, right = _hashes(one, phashes), _hashes(other, phashes)
    found: list[tuple[str, str]] = []
    for start in range(0, len(left), _ROWS_AT_ONCE):
        block = left[start : start + _ROWS_AT_ONCE, None] ^ right[None, :]
        rows, columns = np.nonzero(np.bitwise_count(block) <= NEAR_DISTANCE)
        found += [
            (one[start + row], other[column])
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
    return found


def _hashes(names: list[str], phashes: dict[str, str]) -> npt.NDArray[np.uint64]:
    return np.array([int(phashes[name], 16) for name in names], dtype=np.uint64)
