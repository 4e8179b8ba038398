"""A candidate must lose nothing on old pictures, and really be better on new ones."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from backends.artifacts import Predictions, Split
from tasks.business_understanding import AccuracyTargets, RetrainingTargets
from tasks.champion import ChampionScore, Duel, collected_batches, compare, judge_new, judge_old
from tasks.origins import collected_name

CLASSES = ("car", "cat")


@pytest.fixture
def split(tmp_path: Path) -> Split:
    """Four test pictures of the source, four of the batch `night`, and one that was trained on."""
    names = [f"s{n}.jpg" for n in range(4)] + [
        collected_name("night", f"n{n}.jpg") for n in range(4)
    ]
    rows = [
        {"image_id": str(n), "path": f"{CLASSES[n % 2]}/{name}", "label": CLASSES[n % 2]}
        for n, name in enumerate(names)
    ]
    table = pd.DataFrame(rows).assign(part="test")
    trained = {"image_id": "t", "path": "cat/t.jpg", "label": "cat", "part": "train"}
    table.loc[len(table)] = trained
    table.to_parquet(tmp_path / "split.parquet")
    return Split(tmp_path / "split.parquet", 1, 0, 8, CLASSES)


@pytest.fixture
def saying(tmp_path: Path) -> Callable[[Sequence[str]], Predictions]:
    """Predictions of a model that says these labels, of the classes that it has."""

    def saying(labels: Sequence[str], classes: tuple[str, ...] = CLASSES) -> Predictions:
        table = pd.DataFrame({"image_id": [str(n) for n in range(len(labels))]})
        for index, label in enumerate(classes):
            table[f"p{index}"] = [float(said == label) for said in labels]
        path = tmp_path / f"{'-'.join(labels)}.parquet"
        table.to_parquet(path)
        return Predictions(path, classes, len(labels))

    return saying


RIGHT = [CLASSES[n % 2] for n in range(8)]


def test_old_and_new_pictures_are_judged_apart(
    split: Split, saying: Callable[[Sequence[str]], Predictions]
) -> None:
    at_night_blind = RIGHT[:4] + ["car"] * 4

    old, new = compare(saying(RIGHT), ChampionScore(saying(at_night_blind)), split)

    assert old == Duel(images=4, candidate=4, champion=4, gained=0, lost=0)
    assert new == Duel(images=4, candidate=4, champion=2, gained=2, lost=0)


def test_a_batch_that_the_champion_learnt_from_is_old(
    split: Split, saying: Callable[[Sequence[str]], Predictions]
) -> None:
    score = ChampionScore(saying(RIGHT), batches=frozenset({"night"}))

    old, new = compare(saying(["cat"] * 8), score, split)

    assert old == Duel(images=8, candidate=4, champion=8, gained=0, lost=4)
    assert new is None
    assert judge_new(new, "", RetrainingTargets()).passed is None
    assert collected_batches(split) == {"night"}


def test_a_champion_of_fewer_classes_is_asked_about_those_it_has(
    split: Split, saying: Callable[..., Predictions]
) -> None:
    only_cats = ChampionScore(saying(["cat"] * 8, ("cat",)))

    old, new = compare(saying(RIGHT), only_cats, split)

    assert old == Duel(images=2, candidate=2, champion=2, gained=0, lost=0)
    assert new is not None
    assert new.champion == 2, "it calls a new car a cat, and that counts"


@pytest.mark.parametrize(
    ("gain", "passed"), [(0.0, True), (0.01, False), (-0.1, True)], ids=["even", "more", "slack"]
)
def test_on_old_pictures_the_gain_that_is_asked_counts(gain: float, passed: bool) -> None:
    even = Duel(images=100, candidate=80, champion=80, gained=3, lost=3)

    assert judge_old(even, "", AccuracyTargets(min_champion_gain=gain)).passed is passed


@pytest.mark.parametrize(
    ("gained", "lost", "passed"),
    [
        pytest.param(4, 0, True, id="four-of-four"),
        pytest.param(3, 0, False, id="three-may-be-luck"),
        pytest.param(9, 3, True, id="mostly"),
        pytest.param(9, 6, False, id="nine-of-fifteen-may-be-luck"),
        pytest.param(0, 0, False, id="no-difference"),
        pytest.param(0, 5, False, id="worse"),
    ],
)
def test_on_new_pictures_a_gain_that_may_be_luck_is_none(
    gained: int, lost: int, passed: bool
) -> None:
    duel = Duel(images=40, candidate=20 + gained - lost, champion=20, gained=gained, lost=lost)

    gate = judge_new(duel, "", RetrainingTargets(min_gain=0.02))

    assert gate.passed is passed
    assert "40 new held-out pictures" in gate.reason


def test_a_sure_gain_that_is_too_small_is_refused() -> None:
    duel = Duel(images=1000, candidate=510, champion=500, gained=10, lost=0)

    gate = judge_new(duel, "", RetrainingTargets(min_gain=0.02))

    assert duel.chance < 0.001
    assert gate.refuses


def test_no_champion_is_no_baseline_and_never_a_pass(
    split: Split, saying: Callable[[Sequence[str]], Predictions]
) -> None:
    old, new = compare(saying(RIGHT), ChampionScore(None, "no champion yet"), split)

    gates = (
        judge_old(old, "no champion yet", AccuracyTargets()),
        judge_new(new, "no champion yet", RetrainingTargets()),
    )

    assert [gate.passed for gate in gates] == [None, None]
    assert {gate.reason for gate in gates} == {"no baseline: no champion yet"}
