"""SageMaker Model Monitor's files from a baseline, and back: statistics.json, constraints.json.

Model Monitor knows tables, not pictures: the features are what a device measures of each picture,
the model's confidence and best label, and the latency. A histogram of ours is a KLL sketch of
theirs, exactly: an item at level h of a sketch stands for 2**h values, so a bin's count is written
as the binary digits of that number, at the middle of the bin.
Source: Amazon SageMaker Developer Guide, "Schema for Statistics", "Schema for Constraints".
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from backends.errors import InvalidInputError
from backends.files import replace_file
from edge.statistics import BINS, FEATURES, LATENCY_BOUNDS_MS, PICTURE_FEATURES, Summary
from tasks.telemetry.sketches import bins_of, buckets_of, kll_of

STATISTICS = "statistics.json"
CONSTRAINTS = "constraints.json"
LABEL = "label"
LATENCY = "latency_ms"
_MOMENT = "1970-01-01T00:00:00Z"
"""Model Monitor's files know no window: a baseline read from them has none."""

_SHARE_EDGES = tuple(index / BINS for index in range(BINS + 1))
_LATENCY_EDGES = (0.0, *LATENCY_BOUNDS_MS, 2 * LATENCY_BOUNDS_MS[-1] - LATENCY_BOUNDS_MS[-2])


@dataclass(frozen=True, slots=True)
class Exported:
    """Where the files are."""

    statistics: Path
    constraints: Path


def write_model_monitor(baseline: Summary, into: Path, threshold: float) -> Exported:
    """Write both files into the folder `into`; `threshold` is how far a distribution may move."""
    written = Exported(into / STATISTICS, into / CONSTRAINTS)
    replace_file(written.statistics, json.dumps(statistics(baseline), indent=1))
    replace_file(written.constraints, json.dumps(constraints(baseline, threshold), indent=1))
    return written


def statistics(baseline: Summary) -> dict[str, Any]:
    """statistics.json of a baseline."""
    items = baseline.count + baseline.unreadable
    features = [_fractional(name, baseline, items) for name in FEATURES]
    features += _latency(baseline, items)
    return {
        "version": 0,
        "dataset": {"item_count": items},
        "features": [*features, _labels(baseline, items)],
    }


def constraints(baseline: Summary, threshold: float) -> dict[str, Any]:
    """constraints.json of a baseline."""
    features: list[dict[str, Any]] = [
        {
            "name": feature["name"],
            "inferred_type": feature["inferred_type"],
            "completeness": _completeness(feature),
            "num_constraints": {"is_non_negative": True},
        }
        for feature in statistics(baseline)["features"]
        if feature["inferred_type"] != "String"
    ]
    features.append(
        {
            "name": LABEL,
            "inferred_type": "String",
            "completeness": 1.0,
            "string_constraints": {"domains": sorted(baseline.labels)},
        }
    )
    return {
        "version": 0,
        "features": features,
        "monitoring_config": {
            "evaluate_constraints": "Enabled",
            "emit_metrics": "Enabled",
            "datatype_check_threshold": 1.0,
            "domain_content_threshold": 1.0,
            "distribution_constraints": {
                "perform_comparison": "Enabled",
                "comparison_threshold": threshold,
                "comparison_method": "Robust",
            },
        },
    }


def read_statistics(path: Path, model_version: str) -> Summary:
    """A baseline from statistics.json: of ours exactly, but for the sketch of different pictures
    (all count as different) and, where all values are equal, the last digit of their squares' sum.

    Of a file that another program made, a feature that is none of ours is left out, and values are
    put into our bins as its sketch has them. Raises InvalidInputError for what is no such file.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        features = {feature["name"]: feature for feature in document["features"]}
        return _summary(features, model_version)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        remedy = "Take a statistics.json that has our features, as `edgeward baseline export` does."
        raise InvalidInputError(str(path), f"it is no baseline ({reason})", remedy) from error


def read_constraints(path: Path) -> tuple[float, tuple[str, ...]]:
    """The threshold and the labels of constraints.json. Raises InvalidInputError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        limits = document["monitoring_config"]["distribution_constraints"]
        threshold = float(limits["comparison_threshold"])
        (label,) = (one for one in document["features"] if one["name"] == LABEL)
        return threshold, tuple(map(str, label["string_constraints"]["domains"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InvalidInputError(
            str(path), f"it holds no constraints ({reason})", "Export the baseline again."
        ) from error


def _fractional(name: str, baseline: Summary, items: int) -> dict[str, Any]:
    values = baseline.features[name]
    bins, total, _, low, high = values.parts()
    return _numerical(
        name,
        present=values.count,
        missing=items - values.count,
        figures={
            "mean": values.mean or 0.0,
            "sum": total / 1e6,
            "std_dev": values.std or 0.0,
            "min": 0.0 if low is None else low / 1e6,
            "max": 0.0 if high is None else high / 1e6,
        },
        bins=bins,
        edges=_SHARE_EDGES,
    )


def _latency(baseline: Summary, items: int) -> list[dict[str, Any]]:
    """Only bins are known of it: the figures are those of their middles."""
    count = sum(baseline.latency_bins)
    if not count:  # as for a data set, which no device has answered
        return []
    middles = _middles(_LATENCY_EDGES)
    held = list(zip(middles, baseline.latency_bins, strict=True))
    mean = sum(value * number for value, number in held) / count
    spread = sum(number * (value - mean) ** 2 for value, number in held) / count
    used = [value for value, number in held if number]
    figures = {
        "mean": mean,
        "sum": mean * count,
        "std_dev": math.sqrt(spread),
        "min": min(used),
        "max": max(used),
    }
    return [
        _numerical(
            LATENCY,
            present=count,
            missing=items - count,
            figures=figures,
            bins=baseline.latency_bins,
            edges=_LATENCY_EDGES,
        )
    ]


def _numerical(
    name: str,
    *,
    present: int,
    missing: int,
    figures: Mapping[str, float],
    bins: Sequence[int],
    edges: Sequence[float],
) -> dict[str, Any]:
    sketch = kll_of(zip(_middles(edges), bins, strict=True))
    return {
        "name": name,
        "inferred_type": "Fractional",
        "numerical_statistics": {
            "common": {"num_present": present, "num_missing": missing},
            **figures,
            "distribution": {
                "kll": {
                    "buckets": buckets_of(bins, edges, figures["min"], figures["max"]),
                    "sketch": sketch,
                }
            },
        },
    }


def _labels(baseline: Summary, items: int) -> dict[str, Any]:
    present = sum(baseline.labels.values())
    buckets = [{"value": label, "count": held} for label, held in sorted(baseline.labels.items())]
    return {
        "name": LABEL,
        "inferred_type": "String",
        "string_statistics": {
            "common": {"num_present": present, "num_missing": items - present},
            "distinct_count": len(baseline.labels),
            "distribution": {"categorical": {"buckets": buckets}},
        },
    }


def _summary(features: Mapping[str, Any], model_version: str) -> Summary:
    label = features[LABEL]["string_statistics"]
    document: dict[str, Any] = Summary(model_version, _MOMENT).to_dict()
    document["labels"] = {
        str(one["value"]): int(one["count"])
        for one in label["distribution"]["categorical"]["buckets"]
    }
    present = [
        int(features[name]["numerical_statistics"]["common"]["num_present"]) for name in FEATURES
    ]
    document["count"] = count = max(present)
    first = features[PICTURE_FEATURES[0]]["numerical_statistics"]["common"]
    document["unreadable"] = int(first["num_missing"])
    document["seen"]["unnamed"] = count  # the sketch of their names is not in the file
    for name in FEATURES:
        document["features"][name] = _read_feature(features[name]["numerical_statistics"])
    if LATENCY in features:
        kll = features[LATENCY]["numerical_statistics"]["distribution"]["kll"]
        document["latency_ms"]["bins"] = bins_of(kll, _LATENCY_EDGES)
    return Summary.from_dict(document)


def _read_feature(numerical: Mapping[str, Any]) -> dict[str, Any]:
    bins = bins_of(numerical["distribution"]["kll"], _SHARE_EDGES)
    count = sum(bins)
    mean, spread = float(numerical["mean"]), float(numerical["std_dev"])
    return {
        "bins": bins,
        "sum": float(numerical["sum"]),
        "sum_squares": count * (mean**2 + spread**2),
        "min": float(numerical["min"]) if count else None,
        "max": float(numerical["max"]) if count else None,
    }


def _completeness(feature: Mapping[str, Any]) -> float:
    common = feature["numerical_statistics"]["common"]
    items = common["num_present"] + common["num_missing"]
    return common["num_present"] / items if items else 1.0


def _middles(edges: Sequence[float]) -> list[float]:
    return [(low + high) / 2 for low, high in pairwise(edges)]
