"""A baseline holds what a model knows, regime by regime, in the form that devices send."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from pyarrow import Table, parquet

from backends.artifacts import Predictions
from backends.errors import InvalidInputError
from edge.statistics import merge
from tasks.device_comparison import MonitorLimits, measure
from tasks.drift.alarms import Finding
from tasks.drift.baseline import build_baseline, load_baseline
from tasks.drift.mixture import expect
from tasks.origins import SOURCE, collected_name
from tests.tasks.manifests import Row, dataset_of, rows_of
from tests.tasks.windows import LABELS, baseline, knows, seen

LIMITS = MonitorLimits()


def predicted(rows: Sequence[Row], folder: Path) -> Predictions:
    """Answers to these pictures: the label is right, a car is called with more confidence."""
    table = [
        {"image_id": row["image_id"], "class_index": 0, "p0": sure, "p1": 1 - sure}
        for row in rows
        for sure in [0.9 if row["label"] == "car" else 0.3]
    ]
    parquet.write_table(Table.from_pylist(table), folder / "predictions.parquet")
    return Predictions(folder / "predictions.parquet", ("car", "cat"), len(table))


def collected(rows: Sequence[Row], batch: str) -> list[Row]:
    """The same rows as pictures that a device collected."""
    paths = [f"{row['label']}/{collected_name(batch, row['image_id'][:8])}.png" for row in rows]
    names = [hashlib.sha256(path.encode()).hexdigest() for path in paths]
    return [
        row | {"path": path, "image_id": name}
        for row, path, name in zip(rows, paths, names, strict=True)
    ]


def failures(found: Iterable[Finding]) -> list[str]:
    return [finding.check for finding in found if finding.broken]


def test_training_writes_the_baseline_in_the_form_that_devices_send(tmp_path: Path) -> None:
    rows = rows_of(car=30, cat=30)
    dataset = dataset_of(rows, tmp_path)
    predictions = predicted(rows[20:40], tmp_path)

    path = build_baseline(dataset.manifest, predictions, "1.0.3", tmp_path / "baselines")

    known = load_baseline(tmp_path / "baselines", "1.0.3")
    assert known is not None
    assert path == tmp_path / "baselines" / "1.0.3.json"
    assert known.classes == ("car", "cat")
    (source,) = known.regimes
    assert source.name == SOURCE
    assert (source.summary.count, source.summary.labels) == (60, {"car": 10, "cat": 10})
    confidence = source.summary.features["confidence"]
    assert confidence.count == 20
    assert confidence.mean == pytest.approx(0.8)
    assert source.summary.features["brightness"].mean == pytest.approx(
        sum(row["brightness"] for row in rows) / 60, abs=1e-5
    )
    assert merge(source.summary, seen(3, model_version="1.0.3", labels=LABELS)).count == 63


def test_quantiles_stand_in_the_file_for_people(tmp_path: Path) -> None:
    baseline(tmp_path, seen(200, seed=7))

    document = json.loads((tmp_path / "baselines" / "1.0.0.json").read_text())

    quantiles = document["regimes"][0]["quantiles"]["brightness"]
    assert quantiles["p5"] < quantiles["p50"] < quantiles["p95"]
    assert quantiles["p50"] == pytest.approx(0.5, abs=0.03)


def test_each_collected_batch_is_a_regime_of_its_own(tmp_path: Path) -> None:
    day, night = rows_of(car=30, cat=30), rows_of(seed=2, brightness=0.1, car=20, cat=20)
    nights = collected(night, "20261125.night")
    dataset = dataset_of([*day, *nights], tmp_path)
    predictions = predicted([*day[:20], *nights[30:]], tmp_path)

    build_baseline(dataset.manifest, predictions, "1.0.1", tmp_path / "baselines")

    known = load_baseline(tmp_path / "baselines", "1.0.1")
    assert known is not None
    counts = {one.name: (one.summary.count, one.summary.labels) for one in known.regimes}
    assert counts == {SOURCE: (60, {"car": 20}), "20261125.night": (40, {"cat": 10})}
    means = [one.summary.features["brightness"].mean or 0 for one in known.regimes]
    assert means == pytest.approx([0.5, 0.1], abs=0.05)


def test_a_baseline_that_was_written_before_there_were_regimes_is_still_read(
    tmp_path: Path,
) -> None:
    before = seen(200, seed=7)
    (tmp_path / "1.0.0.json").write_text(json.dumps(before.to_dict()))

    known = load_baseline(tmp_path, "1.0.0")

    assert known is not None
    assert [(one.name, one.summary) for one in known.regimes] == [(SOURCE, before)]
    assert known.classes == ()


@pytest.mark.parametrize("nights", [0.0, 0.3, 1.0], ids=["days", "some nights", "nights"])
def test_a_model_that_knows_days_and_nights_is_not_in_alarm_about_either(nights: float) -> None:
    known = knows(seen(400, seed=7), night=seen(200, seed=8, brightness=0.1, confidence=0.7))
    dark = round(150 * nights)
    now = seen(150 - dark, 1)
    if dark:
        now = merge(now, seen(dark, 2, brightness=0.1, confidence=0.7))

    rows = list(measure(known, now, LIMITS))

    assert failures(rows) == []
    assert expect(known, now).weights.get("night", 0.0) == pytest.approx(nights, abs=0.06)


def test_what_no_regime_explains_is_drift_even_where_their_mixture_has_the_same_mean() -> None:
    known = knows(seen(400, seed=7, brightness=0.9), night=seen(200, seed=8, brightness=0.1))

    rows = list(measure(known, seen(150, 1, brightness=0.5), LIMITS))

    assert failures(rows) == ["input.brightness"]


def test_a_regime_whose_answers_nobody_held_out_is_not_judged_by_confidence() -> None:
    dark = seen(200, seed=8, brightness=0.1)
    unanswered = seen(0, seed=8)
    for name, held in dark.features.items():
        if name != "confidence":
            unanswered.features[name] = held
    unanswered.count, unanswered.seen = dark.count, dark.seen
    known = knows(seen(400, seed=7), night=unanswered)

    rows = list(measure(known, seen(150, 1, brightness=0.1, confidence=0.3), LIMITS))

    assert "input.brightness" in [row.check for row in rows]
    assert {"confidence", "prediction.labels"} & {row.check for row in rows} == set()


def test_a_model_version_cannot_lead_out_of_the_baselines_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(seen(200).to_dict()))

    assert load_baseline(tmp_path / "baselines", "../secret") is None


def test_a_baseline_of_pictures_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    dataset = dataset_of(rows_of(car=3), tmp_path)
    table = Table.from_pylist([{"image_id": "f" * 64, "class_index": 0, "p0": 1.0}])
    parquet.write_table(table, tmp_path / "predictions.parquet")

    with pytest.raises(InvalidInputError, match="is not in"):
        build_baseline(
            dataset.manifest,
            Predictions(tmp_path / "predictions.parquet", ("car",), 1),
            "1.0.0",
            tmp_path / "baselines",
        )


def test_a_damaged_baseline_is_refused(tmp_path: Path) -> None:
    baseline(tmp_path, seen(200))
    (tmp_path / "baselines" / "1.0.0.json").write_text('{"version": 1}')

    with pytest.raises(InvalidInputError, match="baseline is damaged"):
        load_baseline(tmp_path / "baselines", "1.0.0")
