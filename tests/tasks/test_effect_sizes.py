"""Effect sizes are silent about chance, and loud about change."""

import random

import pytest

from tasks.effect_sizes import as_jensen_shannon, jensen_shannon, population_stability

BINS = 20


def _sample(draw: random.Random, count: int, mean: float, spread: float) -> list[int]:
    bins = [0] * BINS
    for _ in range(count):
        value = min(max(draw.gauss(mean, spread), 0.0), 0.999)
        bins[int(value * BINS)] += 1
    return bins


@pytest.mark.parametrize("spread", [0.01, 0.1, 0.5], ids=["narrow", "usual", "wide"])
@pytest.mark.parametrize("count", [100, 1000])
def test_samples_of_one_population_are_not_far_apart(spread: float, count: int) -> None:
    draw = random.Random(11)
    before = _sample(draw, 300, 0.5, spread)

    sizes = [
        population_stability(before, _sample(draw, count, 0.5, spread), 7).size for _ in range(300)
    ]

    assert sum(size > 0.25 for size in sizes) <= 1


@pytest.mark.parametrize("mean", [0.2, 0.35, 0.7])
def test_a_shift_is_seen_in_a_hundred_pictures(mean: float) -> None:
    draw = random.Random(5)

    effect = population_stability(_sample(draw, 300, 0.5, 0.1), _sample(draw, 100, mean, 0.1), 7)

    assert effect.size > 0.25


def test_a_large_sample_does_not_make_a_small_change_important() -> None:
    draw = random.Random(5)

    effect = population_stability(
        _sample(draw, 50_000, 0.5, 0.1), _sample(draw, 50_000, 0.51, 0.1), 7
    )

    assert 0 < effect.size < 0.05


def test_values_that_moved_within_one_bin_of_the_old_ones_count_as_moved() -> None:
    effect = population_stability([300, *[0] * 19], [0, 300, *[0] * 18], 7)

    assert effect.size > 1


def test_the_same_label_mix_is_not_far_apart_and_another_is() -> None:
    draw = random.Random(3)
    labels = range(6)
    before = [50] * 6

    def mix(weights: list[int]) -> list[int]:
        drawn = draw.choices(labels, weights, k=200)
        return [drawn.count(label) for label in labels]

    same = [jensen_shannon(before, mix([1] * 6), 7).size for _ in range(200)]
    other = jensen_shannon(before, mix([6, 1, 1, 1, 1, 1]), 7).size

    assert sum(size > as_jensen_shannon(0.25) for size in same) <= 1
    assert other > as_jensen_shannon(0.25)


def test_disjoint_label_mixes_are_as_far_apart_as_can_be() -> None:
    assert jensen_shannon([1000, 0], [0, 1000], 1).raw == pytest.approx(1)
