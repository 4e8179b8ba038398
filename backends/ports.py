"""What the tasks need from the outside world, in our own words.

Progress is a callable `(done, total)`; `total` 0 means unknown. Log lines go to `on_line`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from backends.artifacts import (
    Compacted,
    CompiledModel,
    ComponentVersion,
    Deployment,
    DeviceResult,
    Message,
    ModelInput,
    PackedData,
    PastDeployment,
    Pictures,
    Platform,
    Predictions,
    RegisteredModel,
    RulePart,
    Severity,
    StoredMessage,
    TrainedModel,
    Unusable,
    Verification,
    Wheels,
)

Progress = Callable[[int, int], None]
OnLine = Callable[[str], None]


class Source(Protocol):
    """Where pictures come from.

    A repeated call fetches only what is missing. Raises InvalidInputError (no such folder, bad
    archive) or BackendUnavailableError (the network).
    """

    def fetch(self, progress: Progress) -> Pictures: ...


class Packer(Protocol):
    """Writes prepared pictures as RecordIO channels. Same input, same bytes. Raises JobError."""

    def pack(self, job: str, lists: Path, into: Path, on_line: OnLine) -> None: ...


class Trainer(Protocol):
    """Trains one candidate.

    Called again with the same `job`, it joins or resumes that job; it never pays for two.
    Raises InvalidInputError (a hyperparameter), JobError, BackendUnavailableError.
    """

    def train(
        self,
        job: str,
        data: PackedData,
        hyperparameters: Mapping[str, str],
        earlier: Path | None,
        on_line: OnLine,
    ) -> TrainedModel: ...


class Predictor(Protocol):
    """Runs a trained model over a packed part in the framework that trained it. Raises JobError."""

    def predict(self, job: str, model: Path, data: PackedData, on_line: OnLine) -> Predictions: ...


class Compiler(Protocol):
    """Compiles a trained model for a platform into a DLR model folder. Raises JobError."""

    def compile(
        self,
        job: str,
        model: TrainedModel,
        platform: Platform,
        on_line: OnLine,
        takes: ModelInput = "model",
    ) -> CompiledModel: ...


class Verifier(Protocol):
    """Runs a packed model zip in the real runtime, with the device's dependencies only.

    Raises PackageError when the zip is not what it claims to be.
    """

    def verify(
        self, job: str, package: Path, platform: Platform, pictures: Path, expected: Predictions
    ) -> Verification: ...


class WheelHouse(Protocol):
    """Has what devices install, for those without a network. A repeated call fetches nothing.

    Raises InvalidInputError (there is no such wheel), BackendUnavailableError.
    """

    def gather(self, platform: Platform, python: str) -> Wheels:
        """The wheels for `platform` and Python `python`, as in "3.11"."""
        ...


class ComponentStore(Protocol):
    """Keeps component versions. The same content again gives the same version."""

    def publish(
        self, recipe: Mapping[str, object], artifacts: Sequence[Path], first: str = "1.0.0"
    ) -> ComponentVersion:
        """Keep `recipe` as the next version; as `first`, where there is none yet."""
        ...

    def find(self, name: str, version: str) -> ComponentVersion | None: ...


class ComponentArchive(Protocol):
    """Gives back what was published. Raises InvalidInputError where there is no such version."""

    def fetch(self, name: str, version: str, into: Path) -> Sequence[Path]:
        """Copy the artifacts of a component version into the folder `into`."""
        ...


class ObjectStore(Protocol):
    """Keeps files of an account by URI. Raises InvalidInputError, BackendUnavailableError."""

    def put(self, file: Path, key: str) -> str:
        """Store a file, unless it lies there already; its URI."""
        ...

    def get(self, uri: str, into: Path) -> Path:
        """Fetch an object into a file, which appears whole or not at all."""
        ...

    def uri(self, key: str) -> str:
        """Where `key` is or will be."""
        ...


class Fleet(Protocol):
    """Core devices and the deployments to them.

    Raises InvalidInputError (a thing's name), BackendUnavailableError, DeploymentError.
    """

    def deploy(
        self,
        thing: str,
        components: Mapping[str, str],
        merge: Mapping[str, Mapping[str, object]],
    ) -> Deployment:
        """Deploy `components` (name to version) with configuration merges; wait for the end."""
        ...

    def platform_of(self, thing: str) -> Platform:
        """What the CPU of `thing` can run."""
        ...

    def stop_started(self) -> None:
        """Stop the processes that this object started; those that were there before go on."""
        ...

    def roll_back(self, thing: str, before: str) -> None:
        """Deploy again what was deployed last before a moment (ISO 8601); nothing, if nothing."""
        ...

    def place_pictures(self, thing: str, pictures: Sequence[Path]) -> Path:
        """Put pictures where the camera of `thing` looks; give back that folder on the device."""
        ...

    def give_camera_back(self, thing: str) -> None:
        """After `place_pictures`: let `thing` see again what it is there to see."""
        ...

    def results(self, thing: str, since: str, count: int, timeout: float) -> Sequence[DeviceResult]:
        """What `thing` said after `since` (ISO 8601, UTC): `count` results, or fewer at timeout."""
        ...


class ResultsSource(Protocol):
    """What devices said, as it is kept. Raises InvalidInputError, BackendUnavailableError."""

    def results(self, thing: str, since: str, count: int, timeout: float) -> Sequence[DeviceResult]:
        """See Fleet."""
        ...


class DeployedFleet(Protocol):
    """Knows what was deployed. Raises InvalidInputError (a thing's name)."""

    def deployed(self, thing: str) -> tuple[Mapping[str, str], Mapping[str, Mapping[str, object]]]:
        """Versions and configuration merges by component, of the last deployment that succeeded."""
        ...

    def history(self, thing: str) -> Sequence[PastDeployment]:
        """The deployments that succeeded, newest first, as far back as is known.

        `Fleet.roll_back` to before the moment of one gives the device the one after it in the list.
        """
        ...


class RestorableFleet(Fleet, DeployedFleet, Protocol):
    """A fleet that can be given back what it ran.

    A repeated `roll_back` joins the one that is under way.
    """


class Channel(Protocol):
    """A way to tell people something.

    Raises BackendUnavailableError, which names no secret. A repeated call may tell it twice.
    """

    @property
    def name(self) -> str: ...

    @property
    def least(self) -> Severity:
        """What is less severe is not for this channel."""
        ...

    def send(self, message: Message) -> None: ...


class CloudRules(Protocol):
    """The rules by which the cloud stores and passes on what devices publish.

    A repeated call changes nothing. Raises InvalidInputError, BackendUnavailableError.
    """

    def create(self, sightings: Mapping[str, float]) -> Sequence[RulePart]:
        """Have the rules. `sightings`: labels that people are told of, each with a least score."""
        ...

    def remove(self) -> Sequence[RulePart]: ...

    def present(self) -> Sequence[RulePart]: ...


class StatisticsStore(Protocol):
    """What devices reported: windows, as they arrived. Raises BackendUnavailableError."""

    def stored(self, thing: str, since: str) -> Iterator[StoredMessage | Unusable]:
        """Every message of `thing` of the day `since` (YYYY-MM-DD; empty: ever) and later.

        One that cannot be read is told of, with the reason, and never stops the others.
        """
        ...

    def windows(self, thing: str, since: str) -> Iterator[Any]:
        """The same as Arrow tables of backends.telemetry.schema.WINDOWS, some thousand rows each.

        A row that counts for nothing says why (`problem`); Unusable for what cannot be read.
        """
        ...

    def things(self, since: str) -> Sequence[str]:
        """Who reported on the day `since` (empty: ever) or later, by name."""
        ...


class TelemetryKeeper(Protocol):
    """Keeps the store of what devices reported small. Raises BackendUnavailableError, OSError.

    Every method may be killed and repeated; what is read meanwhile and afterwards is the same.
    """

    def due(self, today: date) -> Sequence[str]:
        """Folders of days before `today` (UTC) in which several files can become one."""
        ...

    def compact(self, folder: str) -> Compacted:
        """Make one file of those in a folder."""
        ...

    def remove_old(self, keep_days: Mapping[str, int], today: date) -> Sequence[str]:
        """Remove what arrived longer ago than its table's days; what was removed, day by day."""
        ...


class Tracker(Protocol):
    """Keeps runs, their metrics and the versions of the model.

    Raises BackendUnavailableError when the store does not answer.
    """

    def start(self, experiment: str, run: str, parameters: Mapping[str, str]) -> str:
        """Open a run and give back the tracker's own id of it."""
        ...

    def log(self, tracked: str, metrics: Mapping[str, float], step: int = 0) -> None: ...

    def end(self, tracked: str, status: str, files: Sequence[Path]) -> None:
        """Close a run with the record's status and keep the files beside it."""
        ...

    def register(self, model: str, tracked: str, archive: Path, tags: Mapping[str, str]) -> str:
        """Keep `archive` as a new version of `model`, alias `candidate`; give back the version."""
        ...

    def promote(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Make `version` the champion."""
        ...

    def champion(self, model: str) -> RegisteredModel | None: ...

    def tag(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Say something of a version that is kept."""
        ...


@dataclass(frozen=True, slots=True)
class Backend:
    """One complete set of adapters."""

    packer: Packer
    trainer: Trainer
    predictor: Predictor
    compiler: Compiler
    verifier: Verifier
    wheels: WheelHouse
    components: ComponentStore
    fleet: Fleet
    tracker: Tracker
    device_python: str
    """Interpreter on the device that has the requirements already; empty: the device makes one."""
