"""Near-duplicates are found exactly, however many pictures there are."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.near_duplicates import near_duplicate_groups


def _groups_by_all_pairs(values: list[int], max_distance: int) -> list[int]:
    groups = list(range(len(values)))
    for i, one in enumerate(values):
        for j in range(i):
            if (one ^ values[j]).bit_count() <= max_distance:
                low, high = sorted((groups[i], groups[j]))
                groups = [low if group == high else group for group in groups]
    names: dict[int, int] = {}
    return [names.setdefault(group, len(names)) for group in groups]


@st.composite
def _clustered_hashes(draw: st.DrawFn) -> list[int]:
    centres = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    flips = st.lists(st.integers(0, 63), max_size=6)
    return [
        centre ^ sum({1 << bit for bit in draw(flips)})
        for centre in centres
        for _ in range(draw(st.integers(1, 5)))
    ]


@given(_clustered_hashes(), st.integers(0, 8))
def test_gives_the_groups_that_comparing_all_pairs_gives(
    values: list[int], max_distance: int
) -> None:
    groups = near_duplicate_groups([f"{value:016x}" for value in values], max_distance)

    assert groups == _groups_by_all_pairs(values, max_distance)


def test_fifty_thousand_pictures_take_seconds_and_not_hours() -> None:
    draw = random.Random(7)
    hashes = [f"{draw.getrandbits(64):016x}" for _ in range(25_000)] * 2

    started = time.perf_counter()
    groups = near_duplicate_groups(hashes, 3)

    assert groups[:25_000] == groups[25_000:]
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize("phash", ["", "12", "zzzzzzzzzzzzzzzz", "0" * 17])
def test_what_is_no_hash_is_refused(phash: str) -> None:
    with pytest.raises(ValueError, match="16 hex digits"):
        near_duplicate_groups([phash], 3)


def test_a_distance_that_would_match_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="max_distance"):
        near_duplicate_groups(["0" * 16], 64)
