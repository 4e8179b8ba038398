"""What each key of a flow's plan changes."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from pyarrow import parquet

from backends.artifacts import PackedData, Reporting
from backends.connect import local_fleet
from backends.errors import InvalidInputError
from backends.settings import load_settings
from backends.sources import driveway
from backends.sources.plan import DrivewayPlan
from edge.contract import INFERENCE_COMPONENT, RUNTIME_COMPONENT
from flows.cycle import about
from flows.gate_names import GATES
from flows.monitor import MonitorPlan, monitor
from flows.phases import PhasePlan, prepare, resume, understand
from flows.plan import CyclePlan, DevicePlan
from flows.watch import WatchPlan, watch
from tasks.accepted_data import source_name
from tasks.device_comparison import MonitorLimits, measure
from tasks.drift.alarms import Finding, Look, State, advance
from tasks.drift.messages import silence, things_at_once
from tasks.handover import hand_over, take_over
from tasks.modeling import TrainingPlan
from tasks.monitor_report import MonitorReport
from tasks.recording import Run, recorded
from tasks.splitting import SplitPlan, split_pictures
from tests.architecture.effects.effect import Effect
from tests.architecture.effects.runs import failed_cycle, passes_a_refusing_gate, released
from tests.jobs import test_hyperparameters as trained
from tests.tasks.manifests import dataset_of, rows_of
from tests.tasks.windows import NOON, baseline, knows, seen, store

PACKED = PackedData(Path("packed"), 32, 32, ("car", "cat", "dog"), 100, 20, 20)
TRAINED = {
    **{name: value for name, value, _ in reversed(trained.REFUSED)},
    **{name: value for name, value, _ in trained.EFFECTS},
    "resize": "40",
    "augmentation_type": "crop_color",
    "early_stopping": "True",
}
"""A value of each hyperparameter that a real training took, or refused by name."""


def hyperparameter(name: str, _folder: Path) -> tuple[object, object]:
    """What the job is given; what it does with it is shown where MXNet is."""
    return given(name), given(name, TRAINED[name])


def given(name: str, *value: str) -> str | None:
    """A hyperparameter as the job gets it, or why a run cannot have it, by its name."""
    plan = TrainingPlan.model_validate({name: value[0]} if value else {})
    try:
        return plan.hyperparameters(PACKED).get(name)
    except InvalidInputError as error:
        if error.what != f"hyperparameter {name}":
            raise
        return str(error)


def split(folder: Path, **changed: Any) -> dict[str, str]:
    dataset = dataset_of(rows_of(cat=40, dog=40), folder)
    table = split_pictures(dataset, SplitPlan.model_validate(changed), folder / "split").table
    return {row["image_id"]: row["part"] for row in parquet.read_table(table).to_pylist()}


def drawn(**changed: Any) -> tuple[dict[str, int], bytes]:
    """How many pictures of each class a plan draws, and the first one."""
    plan = DrivewayPlan.model_validate(changed)
    labels = driveway.labels(plan)
    return {label: labels.count(label) for label in set(labels)}, driveway.picture(plan, 0, "car")


def configured(_folder: Path, key: str, **device: float | str) -> tuple[object, object]:
    """What a deployment configures the inference component with."""
    usual, other = (
        DevicePlan.model_validate(plan).merge(Path("/camera"), "")[INFERENCE_COMPONENT][key]
        for plan in ({}, device)
    )
    return usual, other


def runtime(folder: Path, **device: object) -> str:
    """The runtime component's recipe, as a run publishes it."""
    released(folder, device=device)
    return (folder / "home/components" / RUNTIME_COMPONENT / "1.0.0.yaml").read_text()


def waited(folder: Path, **device: float) -> float:
    """How many seconds a run waits for a device that leaves one picture unanswered."""
    stages = released(folder, silent=1, device=device).record["stages"]
    seconds: float = stages["first-results"]
    return seconds


def judged(count: int = 150, **limits: float) -> dict[str, bool]:
    """Which checks a device passes that became darker, unsure, slow and half blind."""
    return passed(MonitorLimits.model_validate(limits), count)


def passed(limits: MonitorLimits, count: int = 150) -> dict[str, bool]:
    before, now = knows(seen(400, seed=7)), seen(count, 1, brightness=0.4, confidence=0.6)
    first = now.latency_bins
    now.latency_bins = [*[0] * 6, *first[:-6]]
    for _ in range(count):
        now.add_unreadable()
    return {one.check: not one.broken for one in measure(before, now, limits, first)}


def decided(limits: MonitorLimits) -> tuple[object, ...]:
    """All that the monitor decides by its limits: checks, silence, how many at once, ends."""
    drifting, _ = advance(State(), a_look("input.brightness"), limits.quiet_looks)
    ended = advance(drifting, a_look(), limits.quiet_looks)[1]
    heard = Reporting("hub-1", interval=60.0, heard="2026-11-22T12:00:00Z")
    later = NOON + timedelta(hours=1)
    return (
        passed(limits),
        [one.broken for one in silence(heard, limits, later)],
        [one.broken for one in things_at_once({"a": drifting, "b": State()}, limits)],
        [change.what for change in ended],
    )


def a_look(*broken: str) -> Look:
    findings = tuple(
        Finding(name, "drift", float(name in broken), 0.25, 0.0, name)
        for name in ("input.brightness", "input.contrast")
    )
    return Look("2026-11-22T12:00", "2026-11-22T13:00", "1.0.0", 100, ("hub-1",), findings)


def monitored(folder: Path, thing: str) -> str:
    """What the monitoring flow says of a thing, when only hub-1 reported."""
    home = folder / "home"
    baseline(home, seen(200, seed=7))
    store(home, seen(150, 1))
    return monitor(MonitorPlan(thing=thing)).status


def understood(folder: Path, data: str) -> str:
    """Why a cycle over data that are not there ended."""
    reason: str = failed_cycle(folder, data=data)["reason"]
    return reason


def ingested(folder: Path, collected: bool) -> int:
    """How many pictures a cycle finds beside those that were collected for its source."""
    for place in ("pictures/cat", "pictures/dog", "home/collected/{name}/night/dog"):
        name = source_name(f"folder:{folder / 'pictures'}")
        into = folder / place.format(name=name)
        into.mkdir(parents=True, exist_ok=True)
        for number in range(4):
            colour = (len(place) * 7 % 256, number * 60, 90)
            Image.new("RGB", (32, 32), colour).save(into / f"{number}.png")
    run = understand(
        CyclePlan(data=f"folder:{folder / 'pictures'}", collected=collected, override=GATES)
    )
    record = json.loads((folder / "home/runs" / run / "run.json").read_text())
    images: int = record["data"]["images"]
    return images


def _run_ids(folder: Path) -> tuple[object, object]:
    chosen: str = failed_cycle(folder, run_id="mine")["run_id"]
    assert (folder / "home/runs/mine/run.json").exists()
    return chosen, failed_cycle(folder)["run_id"]


TRAINING: dict[str, Effect] = {
    f"training.{name}": partial(hyperparameter, name) for name in TrainingPlan.model_fields
}
CYCLE: dict[str, Effect] = {
    "data": lambda folder: (
        understood(folder, "folder:/nowhere"),
        understood(folder, "recordio:/nowhere"),
    ),
    "platform": lambda folder: (
        released(folder / "a").gate["passed"],
        released(folder / "b", platform="linux-aarch64").gate["passed"],
    ),
    "thing": lambda folder: (
        released(folder / "a").fleet.thing,
        released(folder / "b", thing="porch").fleet.thing,
    ),
    "collected": lambda folder: (ingested(folder, True), ingested(folder, False)),
    "override": lambda folder: (
        passes_a_refusing_gate(folder / "a"),
        passes_a_refusing_gate(folder / "b", "model.accuracy"),
    ),
    "run_id": _run_ids,
    "split.train_share": lambda folder: (split(folder), split(folder, train_share=0.7)),
    "split.test_share": lambda folder: (split(folder), split(folder, test_share=0.3)),
    "split.seed": lambda folder: (split(folder), split(folder, seed=8)),
    "driveway.images": lambda _: (drawn()[0], drawn(images=70)[0]),
    "driveway.seed": lambda _: (drawn()[1], drawn(seed=8)[1]),
    "driveway.drift": lambda _: (drawn()[1], drawn(drift="night")[1]),
    "driveway.drift_strength": lambda _: (
        drawn(drift="night")[1],
        drawn(drift="night", drift_strength=0.5)[1],
    ),
    "device.known_pictures": lambda folder: (
        len(released(folder / "a").record["first_results"]),
        len(released(folder / "b", device={"known_pictures": 2}).record["first_results"]),
    ),
    "device.answer_seconds": lambda folder: (
        waited(folder / "a", answer_seconds=0.1) >= 1.5,
        waited(folder / "b", answer_seconds=1.5) >= 1.5,
    ),
    "device.scene_pictures": lambda folder: (
        released(folder / "a", device={"known_pictures": 2}).fleet.placed,
        released(folder / "b", device={"known_pictures": 2, "scene_pictures": 4}).fleet.placed,
    ),
    "device.inference_interval": partial(
        configured, key="InferenceInterval", inference_interval=7.0
    ),
    "device.statistics_interval": partial(
        configured, key="StatisticsInterval", statistics_interval=7.0
    ),
    "device.score_threshold": partial(configured, key="ScoreThreshold", score_threshold=0.7),
    "device.alerts": partial(configured, key="Alerts", alerts='[{"Name": "a", "Labels": ["a"]}]'),
    "device.max_results": partial(configured, key="MaxResults", max_results=2),
    "device.runtime": lambda folder: (
        runtime(folder / "a"),
        runtime(folder / "b", runtime="variant.DLR"),
    ),
    "device.wheels_for": lambda folder: (
        runtime(folder / "a"),
        runtime(folder / "b", wheels_for="3.11"),
    ),
}


def looked_at(folder: Path, **plan: Any) -> MonitorReport:
    """The report on one of two things, or on both, which became a little darker."""
    home = folder / "home"
    baseline(home, seen(400, seed=7))
    for thing in ("hub-1", "hub-2"):
        (home / "things" / thing / "config").mkdir(parents=True, exist_ok=True)
        (home / "things" / thing / "config" / "device.json").write_text("{}")
        store(home, seen(110, 1, brightness=BARELY), thing=thing)
    local_fleet(load_settings()).groups.add("porch", ["hub-1", "hub-2"])
    return monitor(MonitorPlan.model_validate({"limits": {"max_psi": 0.01}, **plan}))


BARELY = 0.435
"""Darker by so little that a hundred pictures are sure of it alone, and not among very many."""
MONITOR: dict[str, Effect] = {
    "thing": lambda folder: (monitored(folder, "hub-1"), monitored(folder, "porch")),
    "group": lambda folder: (looked_at(folder).thing, looked_at(folder, group="porch").thing),
    "fleet": lambda folder: (looked_at(folder).thing, looked_at(folder, fleet=True).thing),
    "scopes": lambda folder: (
        looked_at(folder, thing="hub-1").drifted,
        looked_at(folder, thing="hub-2", scopes=10**9).drifted,
    ),
    "limits.max_psi": lambda _: (judged(max_psi=50), judged(max_psi=0.1)),
    "limits.min_samples": lambda _: (judged(min_samples=100), judged(min_samples=500)),
    **{
        f"limits.{name}": lambda _, name=name, value=value: (  # type: ignore[misc]
            decided(MonitorLimits()),
            decided(MonitorLimits.model_validate({name: value})),
        )
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
}


def reason_of(call: Callable[[], object]) -> str:
    """Why a flow would not begin."""
    try:
        call()
    except InvalidInputError as error:
        return str(error)
    raise AssertionError("it began")


def goes_on_past(folder: Path, *override: str) -> tuple[str, ...]:
    """The gates that may not stop a run that goes on with a data set that is gone."""
    run = Run("mine", folder / "home/runs/mine")
    with recorded(run, about(CyclePlan())):
        hand_over(run, plan=CyclePlan(), dataset=dataset_of(rows_of(cat=4), folder))
    (folder / "manifest.parquet").unlink()
    with suppress(FileNotFoundError):
        prepare(PhasePlan(run="mine", override=override))
    return take_over(run, "plan", CyclePlan).override


def watched(folder: Path, *things: str) -> tuple[str, ...]:
    baseline(folder / "home", seen(200, seed=7))
    return tuple(report.thing for report in watch(WatchPlan(things=things)))


OPERATING: dict[str, Effect] = {
    "phase.run": lambda _: (
        reason_of(lambda: resume(PhasePlan(run="one"))),
        reason_of(lambda: resume(PhasePlan(run="other"))),
    ),
    "phase.override": lambda folder: (
        goes_on_past(folder),
        goes_on_past(folder, "split.leakage"),
    ),
    "watch.things": lambda folder: (watched(folder, "hub-1"), watched(folder, "hub-1", "hub-2")),
}
