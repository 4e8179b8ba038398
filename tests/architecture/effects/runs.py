"""Parts of a real cycle: a run that fails at once, and a release to a device that obeys."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID
from zipfile import ZipFile

import pandas as pd
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
    temporary_settings,
)

from backends.artifacts import (
    CompiledModel,
    Dataset,
    Deployment,
    DeviceResult,
    Gate,
    Platform,
    Predictions,
    Split,
    Wheels,
)
from backends.connect import connect
from backends.errors import GateRefusedError, InvalidInputError
from backends.settings import BackendSettings, Settings
from edge.contract import MODEL_COMPONENT
from flows.approval import await_approval
from flows.cycle import Cycle, cycle, release
from flows.plan import CyclePlan
from tasks.business_understanding import ReleaseTargets
from tasks.deployment import Package
from tasks.recording import Run, read_record, recorded
from tests.fakes.wheels import make_wheels

CLASSES = ("car", "cat", "dog")
HELD_OUT = 9


@dataclass
class ObedientFleet:
    """Keeps the Fleet port's contract for one x86_64 device, and remembers what it was told."""

    answers: Mapping[str, str]
    thing: str = ""
    placed: int = 0
    merged: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    components: Mapping[str, str] = field(default_factory=dict)

    def deploy(
        self,
        thing: str,
        components: Mapping[str, str],
        merge: Mapping[str, Mapping[str, object]],
    ) -> Deployment:
        self.thing, self.components, self.merged = thing, components, merge
        return Deployment("d-1", thing, "SUCCEEDED", "SUCCESSFUL", "", dict(components))

    def platform_of(self, thing: str) -> Platform:
        return "linux-x86_64"

    def give_camera_back(self, thing: str) -> None:
        pass

    def stop_started(self) -> None:
        pass

    def roll_back(self, thing: str, before: str) -> None:
        self.components = {}

    def place_pictures(self, thing: str, pictures: Sequence[Path]) -> Path:
        self.placed = len(pictures)
        return Path("/camera")

    def results(self, thing: str, since: str, count: int, timeout: float) -> list[DeviceResult]:
        version = self.components[MODEL_COMPONENT]
        return [
            DeviceResult(thing, version, image_id, label, 0.9, 5.0, since)
            for image_id, label in self.answers.items()
        ][:count]


@dataclass(frozen=True, slots=True)
class HandmadeWheels:
    """Keeps the WheelHouse port's contract with wheels of empty modules."""

    root: Path

    def gather(self, platform: Platform, python: str) -> Wheels:
        return Wheels(make_wheels(self.root / "wheels", python), platform, python)


@dataclass(frozen=True, slots=True)
class Released:
    """What the device was told, and the gate that judged its answers."""

    fleet: ObedientFleet
    record: dict[str, Any]

    def configuration(self, component: str, key: str) -> object:
        return self.fleet.merged[component][key]

    @property
    def gate(self) -> dict[str, Any]:
        (gate,) = self.record["gates"]
        found: dict[str, Any] = gate
        return found


@contextmanager
def without_a_flow() -> Iterator[None]:
    """Let tasks run by themselves: a flow takes a second to end."""
    with temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"}):
        yield


def released(
    folder: Path,
    device_python: Path = Path("/device/python"),
    wrong: int = 0,
    silent: int = 0,
    **plan: Any,
) -> Released:
    """Publish, deploy and judge, with the real component store.

    `wrong` of the answers are wrong, and to `silent` of the pictures there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(home=folder / "home", backend=BackendSettings(device_python=device_python))
    dataset, split, predictions = _held_out(folder)
    answers = {
        f"id-{n}": CLASSES[(n + (n < wrong)) % len(CLASSES)] for n in range(silent, HELD_OUT)
    }
    fleet = ObedientFleet(answers)
    run = Run("run", folder / "run")
    backend = replace(connect(settings, 1), fleet=fleet, wheels=HandmadeWheels(folder))
    this = Cycle(CyclePlan.model_validate(plan), settings, backend, run)
    try:
        with recorded(run, {}), without_a_flow():
            release(this, _package(folder), dataset, split, predictions)
    except GateRefusedError:
        pass
    return Released(fleet, read_record(run))


def paused_for(folder: Path, hours: float) -> float:
    """How many seconds a run is paused at most, where there is a UI."""
    run = Run("run", folder / "run")
    targets = ReleaseTargets(approval=True, approval_hours=hours)

    @flow
    def asking() -> str:
        with recorded(run, {}):
            assert not await_approval(run, targets, "model 1.0.0 to hub-1")
        return str(flow_run.get_id())

    with lasting_server():
        asked = asking()
    with get_client(sync_client=True) as client:
        (paused,) = [s for s in client.read_flow_run_states(UUID(asked)) if s.is_paused()]
    until = paused.state_details.pause_timeout
    assert until
    return round(until.timestamp() - paused.timestamp.timestamp())


@contextmanager
def lasting_server() -> Iterator[None]:
    """Name the server of the tests as a user names one."""
    before = os.environ.get("PREFECT_API_URL")
    os.environ["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
    try:
        yield
    finally:
        del os.environ["PREFECT_API_URL"]
        if before:
            os.environ["PREFECT_API_URL"] = before


def passes_a_refusing_gate(folder: Path, *override: str) -> bool:
    """Whether a run goes on after the gate model.accuracy has refused."""
    settings, run = Settings(home=folder), Run("run", folder / "run")
    this = Cycle(CyclePlan(override=override), settings, connect(settings, 1), run)
    try:
        with recorded(run, {}), without_a_flow():
            this.pass_gates(Gate("model.accuracy", False, 0.5, 0.75, "too low"))
    except GateRefusedError:
        return False
    return True


def failed_cycle(folder: Path, data: str = "folder:/nowhere", **plan: Any) -> dict[str, Any]:
    """The record of a real cycle over pictures that are not there; EDGEWARD_HOME is `home`."""
    runs = folder / "home" / "runs"
    before = set(runs.glob("*/run.json"))
    try:
        cycle(CyclePlan.model_validate({"data": data, **plan}))
    except InvalidInputError:
        (written,) = set(runs.glob("*/run.json")) - before
        record: dict[str, Any] = json.loads(written.read_text())
        return record
    raise AssertionError("it did not fail")


def _held_out(folder: Path) -> tuple[Dataset, Split, Predictions]:
    rows = [
        {
            "image_id": f"id-{n}",
            "path": f"{CLASSES[n % 3]}/{n}.png",
            "label": CLASSES[n % 3],
            "class_index": n % 3,
            "part": "test",
        }
        for n in range(HELD_OUT)
    ]
    table = pd.DataFrame(rows)
    table.to_parquet(folder / "split.parquet")
    for column in range(len(CLASSES)):
        table[f"p{column}"] = [0.8 if n % 3 == column else 0.1 for n in range(HELD_OUT)]
    table.to_parquet(folder / "predictions.parquet")
    dataset = Dataset("folder", folder, folder / "manifest.parquet", HELD_OUT, CLASSES, "")
    split = Split(folder / "split.parquet", 0, 0, HELD_OUT, CLASSES)
    return dataset, split, Predictions(folder / "predictions.parquet", CLASSES, HELD_OUT)


def _package(folder: Path) -> Package:
    archive = folder / "edgeward-model-linux-x86_64.zip"
    with ZipFile(archive, "w") as stream:
        stream.writestr("compiled.so", b"code")
    compiled = CompiledModel(folder, "linux-x86_64", "tvm", "0.10", "llvm", {}, 1.0, 4, "")
    return Package(archive, compiled)
