"""What each key of targets.toml decides: the same measurement, judged by two limits."""

import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from backends.artifacts import ClassScore, Evaluation, Gate, Verification
from backends.errors import JobError
from backends.settings import BackendSettings
from backends.sources.collected import Collected
from tasks.business_understanding import (
    AccuracyTargets,
    DeviceTargets,
    ParityTargets,
    RetrainingTargets,
    Targets,
)
from tasks.champion import Duel, judge_new, judge_old
from tasks.data_validation import new_classes
from tasks.device_comparison import monitor_limits
from tasks.evaluation import judge_accuracy
from tasks.retraining.deciding import Situation, Try, judge
from tasks.verification import judge_package
from tests.architecture.effects import data_gates, plans
from tests.architecture.effects.effect import Effect
from tests.architecture.effects.jobs import ask_a_job
from tests.architecture.effects.runs import failed_cycle, paused_for, released
from tests.tasks.windows import baseline, monitor_thing, seen, store

SCORED = Evaluation(
    top1=0.8,
    top5=1.0,
    per_class={"child": ClassScore(0.9, 0.7, 10), "car": ClassScore(0.9, 0.9, 10)},
    confusion=((7, 3), (1, 9)),
    calibration_error=0.1,
    images=20,
)
DUEL = Duel(images=100, candidate=80, champion=79, gained=5, lost=4)
NOW = datetime(2026, 11, 25, tzinfo=UTC)
SITUATION = Situation(
    now=NOW,
    episode="",
    champion="1",
    known=frozenset(),
    collected=Collected({"night": {"car": 60}}, {}, 20),
    tries=(Try("r-1", NOW - timedelta(hours=24), "", "1", ("older",), "failed", 1.0),),
    usd=2.0,
)
VERIFIED = Verification(
    executed=True,
    runtime="libdlr",
    runtime_version="1.6.0",
    images=20,
    max_abs_diff=0.002,
    top1_agreement=0.95,
    latency_p50_ms=4.0,
    latency_p95_ms=5.0,
    peak_rss_mb=60.0,
    package_mb=3.0,
)


def accuracy(**limits: object) -> dict[str, bool | None]:
    """How the gates of the evaluation decide about one model."""
    targets = AccuracyTargets.model_validate(limits)
    gates = [
        *judge_accuracy(SCORED, targets),
        judge_old(DUEL, "", targets),
    ]
    return {gate.name: gate.passed for gate in gates}


def better_on_new(gained: int, min_gain: float) -> bool | None:
    """Whether a model passes that alone gets so many of 100 new pictures right."""
    duel = Duel(images=100, candidate=50 + gained, champion=50, gained=gained, lost=0)
    return judge_new(duel, "", RetrainingTargets(min_gain=min_gain)).passed


def refusing(**limits: float) -> set[str]:
    """The guards that refuse a retraining of a thing, which had one yesterday that failed."""
    targets = RetrainingTargets.model_validate(limits)
    return {guard.name for guard in judge(SITUATION, targets) if not guard.passed}


def entering(min_new_class: int) -> int:
    """How many pictures of a new class are needed, beside few others."""
    targets = Targets(retraining=RetrainingTargets(min_new_class=min_new_class))
    return new_classes(targets).needed(images=70, classes=7)


def package(**limits: float) -> dict[str, bool | None]:
    """How the gates of the compiled package decide about one package."""
    parity = {"max_abs_diff": 0.01, "min_top1_agreement": 0.9}
    known = set(ParityTargets.model_fields)
    gates: tuple[Gate, ...] = judge_package(
        VERIFIED,
        ParityTargets.model_validate(parity | {k: v for k, v in limits.items() if k in known}),
        DeviceTargets.model_validate({k: v for k, v in limits.items() if k not in known}),
    )
    return {gate.name: gate.passed for gate in gates}


def device_drift(max_psi: float, min_samples: int) -> str:
    """What the monitor says of a device whose pictures became darker."""
    targets = Targets.model_validate({"drift": {"max_psi": max_psi, "min_samples": min_samples}})
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        baseline(home, seen(200, seed=7))
        store(home, seen(150, 1, brightness=0.4))
        return monitor_thing(home, "hub-1", monitor_limits(targets)).status


def _monitored_by(name: str, value: float, _folder: Path) -> tuple[object, object]:
    """What the monitor decides by the usual limit, and by another."""
    usual, other = Targets(), Targets.model_validate({"drift": {name: value}})
    return tuple(plans.decided(monitor_limits(targets)) for targets in (usual, other))  # type: ignore[return-value]


def bounded(folder: Path, max_usd: float) -> str:
    """How a job that never ends is ended, on a machine that costs 3600 dollars an hour."""
    backend = BackendSettings(usd_per_hour=3600)
    ended = ask_a_job(folder, backend, max_usd, "exec sleep 1000")
    assert isinstance(ended.error, JobError)
    return str(ended.error)


EFFECTS: dict[str, Effect] = {
    "objective": lambda folder: tuple(
        failed_cycle(folder, targets=Targets(objective=words))["objective"]
        for words in ("Warn of children.", "Count the cars.")
    ),
    "classes": data_gates.EFFECTS["limits.classes"],
    "accuracy.min_top1": lambda _: (
        accuracy(min_top1=0.8)["model.accuracy"],
        accuracy(min_top1=0.81)["model.accuracy"],
    ),
    "accuracy.min_recall": lambda _: (
        accuracy(min_recall={"child": 0.7})["model.recall"],
        accuracy(min_recall={"child": 0.71})["model.recall"],
    ),
    "accuracy.min_champion_gain": lambda _: (
        accuracy(min_champion_gain=0.0)["model.champion"],
        accuracy(min_champion_gain=0.05)["model.champion"],
    ),
    "device.max_latency_p95_ms": lambda _: (
        package(max_latency_p95_ms=5)["compiled.latency"],
        package(max_latency_p95_ms=4.9)["compiled.latency"],
    ),
    "device.max_peak_rss_mb": lambda _: (
        package(max_peak_rss_mb=60)["compiled.memory"],
        package(max_peak_rss_mb=59)["compiled.memory"],
    ),
    "device.max_package_mb": lambda _: (
        package(max_package_mb=3)["compiled.size"],
        package(max_package_mb=2.9)["compiled.size"],
    ),
    "parity.max_abs_diff": lambda _: (
        package(max_abs_diff=0.002)["compiled.parity"],
        package(max_abs_diff=0.001)["compiled.parity"],
    ),
    "parity.min_top1_agreement": lambda _: (
        package(min_top1_agreement=0.95)["compiled.parity"],
        package(min_top1_agreement=0.96)["compiled.parity"],
    ),
    "drift.max_psi": lambda _: (
        (data_gates.drift(5.0, 100), device_drift(50.0, 100)),
        (data_gates.drift(0.1, 100), device_drift(0.1, 100)),
    ),
    "drift.min_samples": lambda _: (
        (data_gates.drift(0.1, 100), device_drift(0.1, 100)),
        (data_gates.drift(0.1, 500), device_drift(0.1, 500)),
    ),
    "retraining.cool_down_hours": lambda _: (
        refusing(cool_down_hours=23),
        refusing(cool_down_hours=25),
    ),
    "retraining.min_new_labels": lambda _: (
        refusing(min_new_labels=60, cool_down_hours=0),
        refusing(min_new_labels=61, cool_down_hours=0),
    ),
    "retraining.max_tries_per_week": lambda _: (
        refusing(max_tries_per_week=2, cool_down_hours=0),
        refusing(max_tries_per_week=1, cool_down_hours=0),
    ),
    "retraining.max_failed_tries": lambda _: (
        refusing(max_failed_tries=2, cool_down_hours=0),
        refusing(max_failed_tries=1, cool_down_hours=0),
    ),
    "retraining.max_usd_per_week": lambda _: (
        refusing(max_usd_per_week=3, cool_down_hours=0),
        refusing(max_usd_per_week=2.9, cool_down_hours=0),
    ),
    "retraining.min_new_class": lambda _: (entering(20), entering(21)),
    "retraining.min_gain": lambda _: (better_on_new(10, 0.1), better_on_new(10, 0.11)),
    **{
        f"drift.{name}": partial(_monitored_by, name, value)
        for name, value in {
            "max_confidence_drop": 0.5,
            "max_unsure_gain": 0.9,
            "max_unreadable_share": 0.9,
            "max_latency_factor": 50.0,
            "max_things_share": 0.9,
            "silent_intervals": 500.0,
            "quiet_looks": 1,
        }.items()
    },
    "release.approval": lambda folder: (
        released(folder / "a").record["status"],
        released(folder / "b", targets={"release": {"approval": True}}).record["status"],
    ),
    "release.approval_hours": lambda folder: (
        paused_for(folder / "a", 1 / 3600),
        paused_for(folder / "b", 2 / 3600),
    ),
    "cost.max_usd": lambda folder: (bounded(folder / "a", 0.25), bounded(folder / "b", 0.5)),
}
