"""Model Monitor's files say what the baseline says, in SageMaker's words, and are read back."""

import json
from pathlib import Path
from typing import Any

import pytest

from backends.errors import InvalidInputError
from edge.statistics import FEATURES, Summary
from tasks.telemetry.model_monitor import (
    Exported,
    constraints,
    read_constraints,
    read_statistics,
    statistics,
    write_model_monitor,
)
from tests.tasks.windows import LABELS, seen

NUMERICAL = {"common", "mean", "sum", "std_dev", "min", "max", "distribution"}
CHECKS = {
    "data_type_check", "completeness_check", "baseline_drift_check", "missing_column_check",
    "extra_column_check", "categorical_values_check",
}  # fmt: skip


def told(summary: Summary) -> dict[str, Any]:
    """A summary without what Model Monitor's files do not know."""
    document = summary.to_dict()
    return {name: held for name, held in document.items() if name not in ("window", "seen")}


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    return write_model_monitor(seen(300, 7), tmp_path, 0.2)


def test_statistics_have_the_fields_of_the_contract(exported: Exported) -> None:
    document = json.loads(exported.statistics.read_text())

    assert set(document) == {"version", "dataset", "features"}
    assert (document["version"], document["dataset"]) == (0, {"item_count": 300})
    *numbers, label = document["features"]
    assert [one["name"] for one in numbers] == [*FEATURES, "latency_ms"]
    for one in numbers:
        assert set(one) == {"name", "inferred_type", "numerical_statistics"}
        figures = one["numerical_statistics"]
        assert (one["inferred_type"], set(figures)) == ("Fractional", NUMERICAL)
        assert figures["common"] == {"num_present": 300, "num_missing": 0}
        kll = figures["distribution"]["kll"]
        assert set(kll) == {"buckets", "sketch"}
        assert len(kll["buckets"]) == 10
        assert all(set(b) == {"lower_bound", "upper_bound", "count"} for b in kll["buckets"])
        assert sum(bucket["count"] for bucket in kll["buckets"]) == 300
        assert set(kll["sketch"]) == {"parameters", "data"}
        assert set(kll["sketch"]["parameters"]) == {"c", "k"}
        weights = [2**level * len(held) for level, held in enumerate(kll["sketch"]["data"])]
        assert sum(weights) == 300
    strings = label["string_statistics"]
    assert (label["name"], label["inferred_type"]) == ("label", "String")
    assert set(strings) == {"common", "distinct_count", "distribution"}
    assert strings["distinct_count"] == len(LABELS)
    buckets = strings["distribution"]["categorical"]["buckets"]
    assert sum(bucket["count"] for bucket in buckets) == 300


def test_constraints_have_the_fields_of_the_contract(exported: Exported) -> None:
    document = json.loads(exported.constraints.read_text())

    assert set(document) == {"version", "features", "monitoring_config"}
    *numbers, label = document["features"]
    keys = {"name", "inferred_type", "completeness", "num_constraints"}
    assert all(set(one) == keys for one in numbers)
    assert all(one["num_constraints"] == {"is_non_negative": True} for one in numbers)
    assert label["string_constraints"] == {"domains": sorted(LABELS)}
    config = document["monitoring_config"]
    assert set(config) == {
        "evaluate_constraints", "emit_metrics", "datatype_check_threshold",
        "domain_content_threshold", "distribution_constraints",
    }  # fmt: skip
    assert config["distribution_constraints"]["comparison_method"] in ("Simple", "Robust")
    assert read_constraints(exported.constraints) == (0.2, tuple(sorted(LABELS)))


@pytest.mark.parametrize("count", [2, 7, 300])
def test_a_baseline_that_was_written_is_read_back_exactly(tmp_path: Path, count: int) -> None:
    before = seen(count, 7)
    before.add_unreadable()

    after = read_statistics(write_model_monitor(before, tmp_path, 0.2).statistics, "1.0.0")

    assert told(after) == told(before)


def test_a_baseline_without_latency_has_none_in_the_files(tmp_path: Path) -> None:
    before = seen(50, 7)
    before.latency_bins = [0] * len(before.latency_bins)

    assert "latency_ms" not in [one["name"] for one in statistics(before)["features"]]
    assert "latency_ms" not in [one["name"] for one in constraints(before, 0.1)["features"]]
    after = read_statistics(write_model_monitor(before, tmp_path, 0.2).statistics, "1.0.0")
    assert told(after) == told(before)


@pytest.mark.parametrize(
    "content", ["", "{}", '{"features": [{"name": "label"}]}'], ids=["empty", "no features", "half"]
)
def test_what_is_no_baseline_is_refused_with_what_to_do(tmp_path: Path, content: str) -> None:
    path = tmp_path / "statistics.json"
    path.write_text(content)

    with pytest.raises(InvalidInputError, match="edgeward baseline export"):
        read_statistics(path, "1.0.0")
    with pytest.raises(InvalidInputError, match="Export the baseline again"):
        read_constraints(path)
