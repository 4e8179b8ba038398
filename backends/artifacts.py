"""The frozen values that pass between steps: where things are and what was measured, never bytes.

A `path` is a file or folder on this machine. Probabilities, accuracies and shares lie in [0, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Platform = Literal["linux-x86_64", "linux-aarch64", "linux-armv7l"]
ModelInput = Literal["model", "public-component"]
"""What a compiled model takes: what our component feeds, or what AWS's own feeds."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One check that can stop a run.

    `passed` is None where there was nothing to judge by (no baseline, not executed): `reason`
    then says so, and the run goes on without ever calling it a pass.
    """

    name: str
    passed: bool | None
    measured: Any
    limit: Any
    reason: str
    overridden: bool = False

    @property
    def refuses(self) -> bool:
        return self.passed is False and not self.overridden


Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class Message:
    """What people are told at once. The same `id` is the same message, sent again."""

    id: str
    severity: Severity
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class PastDeployment:
    """What a device was seen to take: `at` (ISO 8601, UTC) says when it was asked to."""

    at: str
    components: Mapping[str, str]
    merge: Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Pictures:
    """What a source gives: pictures on disk, `<root>/<class>/<any depth>/<file>`."""

    source: str
    root: Path


@dataclass(frozen=True, slots=True)
class Dataset:
    """Ingested pictures: a manifest (Parquet, one row per file) and what identifies it.

    `fingerprint` is a SHA-256 over the sorted (image_id, label) pairs of the usable pictures.
    """

    source: str
    root: Path
    manifest: Path
    images: int
    classes: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Split:
    """Which picture is in which part. `table`: image_id, path, label, class_index, part.

    `fingerprint` names it by that; `aside` pictures are in none, for they look like a test picture
    and like one that was trained on.
    """

    table: Path
    train: int
    validation: int
    test: int
    classes: tuple[str, ...]
    fingerprint: str = ""
    aside: int = 0


@dataclass(frozen=True, slots=True)
class PackedData:
    """RecordIO channels, `<part>.{rec,idx,lst}`, as SageMaker's built-in algorithm reads them.

    Each part has a folder of its own (`<root>/train/train.rec`), so that it is a channel as it is.
    The .lst's third column is the image_id; its rows are in the order of the records.
    """

    root: Path
    width: int
    height: int
    classes: tuple[str, ...]
    train: int
    validation: int
    test: int

    def channel(self, part: Literal["train", "validation", "test"]) -> Path:
        return self.root / part


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the learning curve."""

    epoch: int
    train_accuracy: float
    validation_accuracy: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What the training job left: model.tar.gz (symbol, params, model-shapes.json).

    `billable_seconds` is what the job is paid for, where somebody asks for money.
    """

    archive: Path
    classes: tuple[str, ...]
    width: int
    height: int
    epochs: tuple[Epoch, ...]
    seconds: float
    images_per_second: float
    hyperparameters: dict[str, str]
    billable_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Predictions:
    """Probabilities of a model for a packed part.

    `table`: Parquet with image_id, class_index (the truth) and p0..pN-1 (float32), in record order.
    `cost`: what one picture at a time cost in the framework that trained the model.
    """

    table: Path
    classes: tuple[str, ...]
    images: int
    cost: "InferenceCost | None" = None


@dataclass(frozen=True, slots=True)
class InferenceCost:
    latency_p50_ms: float
    latency_p95_ms: float
    peak_rss_mb: float


@dataclass(frozen=True, slots=True)
class ClassScore:
    precision: float | None
    recall: float | None
    support: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a model is on the held-out part.

    `confusion[i][j]` counts pictures of class i that were called class j. `calibration_error` is
    the expected calibration error over ten equal-width bins of confidence.
    """

    top1: float
    top5: float
    per_class: dict[str, ClassScore]
    confusion: tuple[tuple[int, ...], ...]
    calibration_error: float
    images: int


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """The compiled folder of one platform: compiled.so, compiled_model.json, compiled.params, …"""

    folder: Path
    platform: Platform
    compiler: str
    compiler_version: str
    target: str
    flags: dict[str, str]
    seconds: float
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Wheels:
    """All that a device of `platform` with Python `python` installs, and where it lies."""

    folder: Path
    platform: Platform
    python: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What the very package that ships did in the real runtime; `executed` False: not on this CPU.

    Latencies are of the model alone; `picture_p95_ms` counts decoding and resizing in.
    """

    executed: bool
    runtime: str
    runtime_version: str
    images: int
    max_abs_diff: float | None
    top1_agreement: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    peak_rss_mb: float | None
    package_mb: float
    table: Path | None = None
    reason: str = ""
    picture_p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A version in the model registry, with the archive that it stands for."""

    model: str
    version: str
    archive: Path
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class ComponentVersion:
    """A published Greengrass component version. Immutable: same content, same version."""

    name: str
    version: str
    recipe: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where a deployment to one thing has got to; `status` as contracts give it (SUCCEEDED, …)."""

    id: str
    thing: str
    status: str
    detailed_status: str
    reason: str
    components: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceResult:
    """One message of a device's inference component, as it arrived."""

    thing: str
    model_version: str
    image_id: str
    label: str
    score: float
    latency_ms: float
    taken_at: str
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RulePart:
    """A topic rule in the cloud, or what one writes to; `state`: created, updated, unchanged, …"""

    kind: str
    name: str
    detail: str
    state: str


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message of a device as it was stored, and when it arrived (ISO 8601)."""

    payload: str
    received_at: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """Something in a store of messages that is none."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reporting:
    """Whether a thing reports as it should.

    `interval` is how many seconds lie between two of its windows, 0 where nothing is expected.
    `heard` is when it last said anything (ISO 8601), `due` since when it should; empty: unknown.
    `problem` says what is known about why it may be silent.
    """

    thing: str
    interval: float = 0.0
    heard: str = ""
    due: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What became of a folder of messages: `files` became one; `repeated` rows were there twice."""

    folder: str
    files: int
    rows: int
    repeated: int
