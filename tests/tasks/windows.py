"""Windows that devices might have sent, stored as the cloud side stores them."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from backends.local.statistics import LocalStatistics
from edge.statistics import PICTURE_FEATURES, Summary
from tasks.device_comparison import MonitorLimits
from tasks.drift.baseline import Baseline, Regime, write_baseline
from tasks.drift.scopes import Scope, of_thing
from tasks.monitor_report import MonitorReport
from tasks.monitoring import Judgement, judge, read_unjudged, remember
from tasks.origins import SOURCE

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LIMITS = MonitorLimits()
LABELS = ("car", "cat", "dog", "person")


def seen(
    count: int,
    seed: int = 1,
    model_version: str = "1.0.0",
    hour: int = 0,
    brightness: float = 0.5,
    confidence: float = 0.85,
    labels: Sequence[str] = LABELS,
    repeated: int = 1,
) -> Summary:
    """What a device saw in the hour after NOON + `hour`: seeded, around the given means.

    `count` different pictures, each `repeated` times.
    """
    draw = random.Random(seed)
    start = NOON + timedelta(hours=hour)
    summary = Summary(model_version, start.isoformat(), (start + timedelta(hours=1)).isoformat())
    for number in range(count):
        values = {name: _near(draw, 0.5) for name in PICTURE_FEATURES}
        values["brightness"] = _near(draw, brightness)
        label, score, latency = draw.choice(labels), _near(draw, confidence), draw.uniform(2, 9)
        for _ in range(repeated):
            summary.add(values, label, score, latency, f"{seed}/{number}")
    return summary


def store(
    home: Path, *windows: Summary | str, thing: str = "hub-1", name: str = "", late: float = 0
) -> Path:
    """Store windows, or payloads as they are; each arrives `late` seconds after its end."""
    rows = [_row(thing, window, late) for window in windows]
    folder = home / "cloud" / "statistics" / f"date={NOON:%Y-%m-%d}" / f"thing={thing}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name or len(list(folder.iterdir())):0>4}.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def knows(source: Summary, **batches: Summary) -> Baseline:
    """The baseline of a model that was trained on these regimes."""
    regimes = (Regime(SOURCE, source), *(Regime(name, one) for name, one in batches.items()))
    return Baseline(source.model_version, LABELS, regimes)


def baseline(home: Path, source: Summary, **batches: Summary) -> None:
    """What `build_baseline` would have written."""
    write_baseline(knows(source, **batches), home / "baselines")


def stored(home: Path) -> LocalStatistics:
    """Where a device's windows are on this machine."""
    return LocalStatistics(home / "cloud" / "statistics")


def monitor_thing(home: Path, thing: str, limits: MonitorLimits) -> MonitorReport:
    """One run of the monitor, step by step as its flow takes them."""
    return look(home, of_thing(thing), limits).report


def look(home: Path, scope: Scope, limits: MonitorLimits = LIMITS) -> Judgement:
    """One look at a scope, step by step as its flow takes them."""
    found = read_unjudged(stored(home), home, scope)
    judgement = judge(home, scope, found, limits)
    remember(home, scope, found, judgement)
    return judgement


def _row(thing: str, window: Summary | str, late: float) -> dict[str, Any]:
    if isinstance(window, str):
        end, version, payload = NOON.isoformat(), "", window
    else:
        end, version = window.end, window.model_version
        message_id = f"{window.start}-{window.count}"
        payload = json.dumps({"thing": thing, "message_id": message_id, **window.to_dict()})
    received = datetime.fromisoformat(end) + timedelta(seconds=late)
    return {
        "model_version": version,
        "window_start": end,
        "window_end": end,
        "payload": payload,
        "received_at": received.isoformat(),
    }


def _near(draw: random.Random, mean: float) -> float:
    return min(max(draw.gauss(mean, 0.08), 0.0), 1.0)
