"""The histograms of the newest look, before and after, as the report draws them."""

from collections.abc import Mapping
from typing import Any

from edge.statistics import Summary
from tasks.drift.baseline import Baseline
from tasks.drift.mixture import expect


def shapes(before: Baseline, now: Summary) -> Mapping[str, Any]:
    """JSON-able: shares of the bins by feature, of the labels, and the mixture of regimes."""
    expected = expect(before, now)
    whole = max(1, sum(now.labels.values()))
    return {
        "model_version": now.model_version,
        "start": now.start,
        "end": now.end,
        "pictures": now.count,
        "regimes": dict(expected.weights),
        "features": {
            name: {
                "before": list(spread.bins),
                "now": [held / now.features[name].count for held in now.features[name].bins],
            }
            for name, spread in expected.features.items()
            if now.features[name].count
        },
        "labels": {
            label: [expected.labels.get(label, 0.0), now.labels.get(label, 0) / whole]
            for label in sorted({*expected.labels, *now.labels})
        },
    }
