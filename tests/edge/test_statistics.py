"""A summary of a million pictures is as small, and as mergeable, as one of ten."""

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.statistics import BINS, FEATURES, PICTURE_FEATURES, Summary, merge

START = "2026-11-22T10:00:00Z"

shares = st.floats(0, 1)
pictures = st.tuples(
    st.fixed_dictionaries(dict.fromkeys(PICTURE_FEATURES, shares)),
    st.one_of(st.none(), st.sampled_from(["car", "dog", "person"])),
    st.one_of(st.none(), shares),
    st.one_of(st.none(), st.floats(0, 1e6)),
    st.one_of(st.none(), st.text()),
)


@st.composite
def summaries(draw: st.DrawFn) -> Summary:
    start = draw(st.integers(0, 59))
    summary = Summary("1.0.0", f"2026-11-22T10:{start:02}:00Z")
    for picture in draw(st.lists(pictures, max_size=5)):
        summary.add(*picture)
    for _ in range(draw(st.integers(0, 2))):
        summary.add_unreadable()
    summary.close(f"2026-11-22T11:{draw(st.integers(0, 59)):02}:00+00:00")
    return summary


@settings(max_examples=50, deadline=None)
@given(summaries(), summaries(), summaries())
def test_windows_merge_to_the_same_whatever_order_they_arrive_in(
    one: Summary, two: Summary, three: Summary
) -> None:
    assert merge(one, two) == merge(two, one)
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@settings(max_examples=50, deadline=None)
@given(summaries())
def test_a_summary_survives_its_way_through_json(summary: Summary) -> None:
    text = json.dumps(summary.to_dict(), allow_nan=False)

    assert Summary.from_dict(json.loads(text)) == summary


def test_merging_equals_having_seen_everything_at_once() -> None:
    whole, first, second = (Summary("1", START) for _ in range(3))
    for step in range(40):
        picture = (dict.fromkeys(PICTURE_FEATURES, step / 39), "car", 0.5, float(step))
        whole.add(*picture)
        (first if step % 3 else second).add(*picture)

    assert merge(first, second) == whole


def test_a_million_pictures_under_many_labels_stay_under_four_kilobytes() -> None:
    summary = Summary("10.20.30", START)
    for step in range(2000):
        values = {name: math.sin(step * 1.7 + place) ** 2 for place, name in enumerate(FEATURES)}
        summary.add(values, f"category-{step % 40}", values["confidence"], step / 7, str(step))
    for _ in range(9):  # 2000 · 2⁹ pictures
        summary = merge(summary, summary)

    assert summary.count == 1_024_000
    assert len(json.dumps(summary.to_dict(), separators=(",", ":"))) < 4096


@pytest.mark.parametrize("different", [0, 1, 20, 100, 1000, 5000])
def test_a_picture_that_is_seen_again_and_again_counts_as_one(different: int) -> None:
    first, second = Summary("1", START), Summary("1", START)
    for summary in (first, second):
        for number in range(different):
            for _ in range(2):
                summary.add(dict.fromkeys(PICTURE_FEATURES, 0.5), "car", 0.5, 1.0, f"p{number}")

    whole = merge(first, second)

    assert whole.count == 4 * different
    assert different * 0.95 <= whole.distinct <= different * 1.15


def test_moments_and_quantiles_are_those_of_the_values() -> None:
    summary = Summary("1", START)
    for step in range(101):
        summary.add(dict.fromkeys(PICTURE_FEATURES, step / 100), "car", None, 5.0)
    brightness = summary.features["brightness"]

    assert brightness.mean == pytest.approx(0.5, abs=1e-6)
    assert brightness.std == pytest.approx(
        math.sqrt(sum((i / 100 - 0.5) ** 2 for i in range(101)) / 101)
    )
    assert brightness.quantile(0.9) == pytest.approx(0.9, abs=1 / BINS)
    assert (brightness.quantile(0), brightness.quantile(1)) == (0, 1)
    assert summary.latency_quantile_ms(0.95) == pytest.approx(5.62, abs=0.01)
    assert summary.features["confidence"].mean is None


@pytest.mark.parametrize(
    ("statistics", "score", "latency", "field"),
    [
        ({"brightness": None}, 0.5, 1.0, "brightness"),
        ({"sharpness": math.nan}, 0.5, 1.0, "sharpness"),
        ({"entropy": 1.5}, 0.5, 1.0, "entropy"),
        ({}, -0.2, 1.0, "confidence"),
        ({}, 0.5, -1.0, "latency_ms"),
    ],
    ids=["missing", "not a number", "out of range", "score", "latency"],
)
def test_a_bad_value_is_named_and_leaves_the_window_as_it_was(
    statistics: dict[str, Any], score: float, latency: float, field: str
) -> None:
    summary = Summary("1", START)
    values = dict.fromkeys(PICTURE_FEATURES, 0.5) | statistics

    with pytest.raises(ValueError, match=field):
        summary.add(values, "car", score, latency)

    assert summary == Summary("1", START)


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            document = document[parent]
        document[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (_set("version", 2), "version"),
        (_set("model_version", ""), "model_version"),
        (_set("window.start", "yesterday"), "window.start"),
        (_set("window.start", "2026-11-22T10:00:00"), "window.start"),
        (_set("window.end", "2020-01-01T00:00:00Z"), "window.end"),
        (_set("count", -1), "count"),
        (_set("count", 0), "features.brightness.bins"),
        (_set("unreadable", "3"), "unreadable"),
        (_set("colour", 3), "colour"),
        (_set("features.contrast", {"bins": []}), "features.contrast"),
        (_set("features.contrast.bins", [1]), "features.contrast.bins"),
        (_set("features.contrast.sum", 7.0), "features.contrast.sum"),
        (_set("features.contrast.min", 0.9), "features.contrast.min"),
        (_set("features.hue", {}), "hue"),
        (_set("latency_ms.bins", None), "latency_ms.bins"),
        (_set("seen.sketch", "AAAA"), "seen.sketch"),
        (_set("seen.sketch", 7), "seen.sketch"),
        (_set("seen.unnamed", -1), "seen.unnamed"),
        (_set("labels", {"car": 1.5}), "labels.car"),
        (_set("labels", {"car": 9}), "count"),
    ],
)
def test_a_malformed_summary_is_refused_by_the_name_of_the_field(
    change: Callable[[dict[str, Any]], None], field: str
) -> None:
    summary = Summary("1", START)
    summary.add(dict.fromkeys(PICTURE_FEATURES, 0.5), "car", 0.5, 3.0)
    document = copy.deepcopy(summary.to_dict())
    change(document)

    with pytest.raises(ValueError, match=field):
        Summary.from_dict(document)


def test_model_versions_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="model_version"):
        merge(Summary("1", START), Summary("2", START))
