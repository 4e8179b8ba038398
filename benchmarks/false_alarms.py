"""How often the monitor is wrong about a quiet driveway, and how soon it sees each drift.

    python -m benchmarks.false_alarms [QUIET_WINDOWS]

A model is trained once, by a full cycle in a home of its own (`<EDGEWARD_HOME>/benchmarks/drift`),
which also writes the baseline. Pictures that it never saw are drawn from other seeds, measured as
the device measures them, and classified by the package that shipped, in DLR. Quiet windows hold as
few pictures as the monitor judges at all, which is where chance is greatest; drifted ones hold what
the component's own window does at a picture a second. The limits were chosen on seeds from 9000 to
9104, never on these.
"""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, get_args

from backends.settings import PROJECT, load_settings
from backends.sources.driveway import labels, picture
from backends.sources.plan import Drift, DrivewayPlan
from backends.workers import map_in_order
from edge.pictures import image_id, read_picture, statistics
from edge.statistics import Summary
from tasks.device_comparison import MonitorLimits
from tasks.drift.alarms import State, advance
from tasks.drift.baseline import Baseline, load_baseline
from tasks.drift.chunks import Chunk
from tasks.monitoring import look_at_chunk

_QUIET = 200
_QUIET_PICTURES = 100
_DRIFTED = 3
_DRIFTED_PICTURES = 300
_SEED = 40_000
_MOST_FALSE = 2


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture as the device would have measured it."""

    image_id: str
    path: Path
    statistics: dict[str, float]


def train(home: Path) -> tuple[Path, Baseline]:
    """The package of the model and its baseline; trained where there is none yet."""
    packages = sorted(home.glob("runs/*/edgeward-model-linux-x86_64.zip"))
    versions = sorted(path.stem for path in (home / "baselines").glob("*.json"))
    if not (packages and versions):
        _edgeward(home, "run")
        _edgeward(home, "down")
        return train(home)
    baseline = load_baseline(home / "baselines", versions[-1])
    assert baseline is not None
    return packages[-1], baseline


def _edgeward(home: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "flows", *arguments]
    environment = {**os.environ, "EDGEWARD_HOME": str(home)}
    subprocess.run(command, cwd=PROJECT, env=environment, stdout=sys.stderr, check=True)


def draw(folder: Path, plan: DrivewayPlan) -> list[Drawn]:
    """All pictures of a plan, in an order that has nothing to do with what they show."""
    shown = list(enumerate(labels(plan)))
    Random(plan.seed).shuffle(shown)
    jobs = [(folder, plan, number, label) for number, label in shown]
    return list(map_in_order(_draw, jobs, 0, what="draw", preload=["backends.sources.camera"]))


def _draw(job: tuple[Path, DrivewayPlan, int, str]) -> Drawn:
    folder, plan, number, label = job
    data = picture(plan, number, label)
    path = folder / f"{plan.seed}-{number}.jpg"
    path.write_bytes(data)
    return Drawn(image_id(data), path, dict(statistics(read_picture(data))))


def classify(package: Path, pictures: Sequence[Drawn], scratch: Path) -> dict[str, list[float]]:
    """Probabilities by image_id, from the device's own program in the device's environment."""
    model, listed, results = scratch / "model", scratch / "list.jsonl", scratch / "results.jsonl"
    with zipfile.ZipFile(package) as archive:
        archive.extractall(model)
    lines = [json.dumps({"image_id": one.image_id, "path": str(one.path)}) for one in pictures]
    listed.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [str(load_settings().backend.device_python), "-m", "edge.verify"]
    command += ["--model", str(model), "--pictures", str(listed), "--results", str(results)]
    subprocess.run(command, cwd=PROJECT, check=True, stdout=sys.stderr)
    answers = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    return {one["image_id"]: one["probabilities"] for one in answers if "image_id" in one}


def windows(
    baseline: Baseline, pictures: Sequence[Drawn], answers: dict[str, list[float]], size: int
) -> Iterator[Summary]:
    """What a device would have sent about these pictures."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(len(pictures) // size):
        start = begin + number * timedelta(minutes=15)
        end = start + timedelta(minutes=5)
        window = Summary(baseline.model_version, start.isoformat(), end.isoformat())
        for one in pictures[number * size : (number + 1) * size]:
            shares = answers[one.image_id]
            score = max(shares)
            label = baseline.classes[shares.index(score)]
            window.add(one.statistics, label, score, None, one.image_id)
        yield window


def looks(
    baseline: Baseline, seen: Iterable[Summary], limits: MonitorLimits
) -> Iterator[tuple[str, ...]]:
    """Of each look in turn, as the monitor takes them: the checks that broke their limits."""
    state = State()
    for window in seen:
        chunk = Chunk(window, 1, ("hub-1",))
        look, state = look_at_chunk(state, chunk, baseline, limits, latency=False, scopes=1)
        state, _ = advance(state, look, limits.quiet_looks)
        yield tuple(one.check for one in look.findings if one.broken)


def main(quiet: int) -> int:
    home = load_settings().root / "benchmarks" / "drift"
    package, baseline = train(home)
    limits = MonitorLimits()
    failed = False
    for plan, size in _plans(quiet):
        with tempfile.TemporaryDirectory() as folder:
            drawn = draw(Path(folder), plan)
            answers = classify(package, drawn, Path(folder))
        told = list(looks(baseline, windows(baseline, drawn, answers, size), limits))
        line = _quiet(told) if plan.drift == "none" else _found(plan, told)
        failed = failed or not line.pop("kept")
        print(json.dumps(line | {"pictures_per_window": size}), flush=True)
    return int(failed)


def _plans(quiet: int) -> Iterator[tuple[DrivewayPlan, int]]:
    """Each world, and how many pictures a window of it has; no seed comes twice."""
    worlds = [(drift, strength) for strength in (1.0, 0.5) for drift in get_args(Drift)[1:]]
    for number, (drift, strength) in enumerate(worlds):
        yield (
            DrivewayPlan(
                images=_DRIFTED * _DRIFTED_PICTURES,
                seed=_SEED + number,
                drift=drift,
                drift_strength=strength,
            ),
            _DRIFTED_PICTURES,
        )
    yield DrivewayPlan(images=quiet * _QUIET_PICTURES, seed=_SEED - 1), _QUIET_PICTURES


def _quiet(told: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    alarms = [names for names in told if names]
    return {
        "benchmark": "drift.false-alarms",
        "windows": len(told),
        "alarms": len(alarms),
        "limit": _MOST_FALSE,
        "checks": sorted({name for names in alarms for name in names}),
        "kept": len(alarms) <= _MOST_FALSE,
    }


def _found(plan: DrivewayPlan, told: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    first = next((number for number, names in enumerate(told, start=1) if names), None)
    return {
        "benchmark": f"drift.{plan.drift}",
        "strength": plan.drift_strength,
        "windows_until_alarm": first,
        "limit": _DRIFTED if plan.drift_strength == 1 else None,
        "checks": [] if first is None else list(told[first - 1]),
        "kept": first is not None or plan.drift_strength < 1,
    }


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else _QUIET))
