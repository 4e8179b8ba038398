"""Business understanding (CRISP-DM 1): what must be true before a model may ship."""

import difflib
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backends.errors import InvalidInputError

Share = Annotated[float, Field(ge=0, le=1)]


class Table(BaseModel):
    """One table of targets.toml: no unknown key, nothing changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AccuracyTargets(Table):
    min_top1: Share = Field(0.5, description="Least share of held-out pictures called rightly.")
    min_recall: dict[str, Share] = Field(
        default_factory=dict, description="Least recall by class, as in `{ child = 0.7 }`."
    )
    min_champion_gain: float = Field(
        -0.02,
        ge=-1,
        le=1,
        description="Least gain in top-1 over the champion on the same pictures; negative: that "
        "much loss is allowed.",
    )


class DeviceTargets(Table):
    max_latency_p95_ms: float = Field(
        100, gt=0, description="95th percentile of one inference, milliseconds."
    )
    max_peak_rss_mb: float = Field(
        512, gt=0, description="Peak memory of the inference process, MB."
    )
    max_package_mb: float = Field(
        200, gt=0, description="Size of the zip that ships, MB (10⁶ bytes)."
    )


class ParityTargets(Table):
    max_abs_diff: float = Field(
        0.001,
        gt=0,
        le=1,
        description="Largest difference of any probability from the trained model's.",
    )
    min_top1_agreement: Share = Field(0.995, description="Least share of equal top-1 labels.")


class DriftTargets(Table):
    """How far data, and what a device sees and answers, may move from the baseline."""

    max_psi: float = Field(
        0.25,
        gt=0,
        description="Largest population stability index of a statistic; the label mix has the "
        "limit that corresponds to it.",
    )
    min_samples: int = Field(
        100, ge=1, description="Fewer pictures than this prove nothing, and are not judged."
    )
    max_confidence_drop: float = Field(
        0.1, gt=0, le=1, description="Most that a device's mean confidence may lose."
    )
    max_unsure_gain: float = Field(
        0.08, gt=0, le=1, description="Most that the share of unsure answers may gain."
    )
    max_unreadable_share: Share = Field(
        0.2, description="Most pictures of a device that cannot be decoded."
    )
    max_latency_factor: float = Field(
        2.0, gt=1, description="Most that a device may be slower than at first."
    )
    max_things_share: Share = Field(
        0.25, description="Most things of a group, or of all, that may be in alarm at once."
    )
    silent_intervals: float = Field(
        4.0, gt=1, description="A device is silent after this many of its intervals."
    )
    quiet_looks: int = Field(
        3, ge=1, le=96, description="Looks in a row without drift that end an alarm."
    )


class RetrainingTargets(Table):
    cool_down_hours: float = Field(
        24, ge=0, description="Hours between the beginnings of two retrainings of a thing's model."
    )
    min_new_labels: int = Field(
        50, ge=0, description="Least pictures labelled since, that the champion does not know."
    )
    max_tries_per_week: int = Field(3, ge=1, description="Most retrainings in seven days.")
    max_failed_tries: int = Field(
        2, ge=1, description="Tries of one drift episode that may fail before a person is needed."
    )
    max_usd_per_week: float = Field(
        20, ge=0, description="The most that retrainings of seven days may cost together."
    )
    min_new_class: int = Field(
        20, ge=3, description="Pictures of a new class with which it enters, at least."
    )
    min_gain: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Least gain in top-1 over the champion on new held-out pictures.",
    )


class QualityTargets(Table):
    watch_hours: float = Field(
        24,
        ge=0,
        le=720,
        description="How long a new model is compared with what the device ran before; 0: not.",
    )
    shadow_hours: float = Field(
        0,
        ge=0,
        le=720,
        description="How long the former model answers in shadow beside the new one; 0: not.",
    )
    min_samples: int = Field(
        100, ge=1, description="Fewer different pictures than this, before or after, prove nothing."
    )
    max_confidence_drop: Share = Field(0.15, description="Most that the mean confidence may lose.")
    max_label_shift: Share = Field(
        0.15, description="Largest move of the label mix (Jensen-Shannon divergence, bits)."
    )
    min_agreement: Share = Field(
        0.5, description="Least share of pictures that both call alike, in shadow."
    )
    max_denied_share: Share = Field(
        0.5, description="Largest share of the alerts that people judged which they denied."
    )


class ReleaseTargets(Table):
    approval: bool = Field(
        False, description="Whether a person must approve each deployment before it begins."
    )
    approval_hours: float = Field(
        24,
        gt=0,
        le=720,
        description="How long a run that is paused waits for that person; at most 720. Then it "
        "ends `waiting`.",
    )


class CostTargets(Table):
    max_usd: float = Field(
        5,
        ge=0,
        description="The most that one run may cost. On this machine: its jobs, at "
        "`EDGEWARD_BACKEND__USD_PER_HOUR`; without a price it limits nothing. In an AWS account: "
        "the estimate before it begins.",
    )


class Targets(Table):
    """targets.toml as a value. The defaults ask little: they are for data that nobody wrote for."""

    objective: str = Field(
        "Tell the classes apart on the device.",
        min_length=1,
        description="What the model is for, in words; shown in the report.",
    )
    classes: tuple[str, ...] = Field(
        (),
        description="Classes that matter; each must have pictures. A new class that they name, or "
        "a lost one that they leave out, is no change of schema. Empty: all of the data's.",
    )
    accuracy: AccuracyTargets = Field(AccuracyTargets(), description="How right the model must be.")
    device: DeviceTargets = Field(DeviceTargets(), description="What it may cost on the device.")
    parity: ParityTargets = Field(
        ParityTargets(), description="How like the trained model the compiled one must be."
    )
    drift: DriftTargets = Field(DriftTargets(), description="How far data may move.")
    retraining: RetrainingTargets = Field(
        RetrainingTargets(), description="When to train again, and what that must bring."
    )
    quality: QualityTargets = Field(
        QualityTargets(), description="When a new model is taken back by itself."
    )
    release: ReleaseTargets = Field(
        ReleaseTargets(), description="Who must agree before anything is deployed."
    )
    cost: CostTargets = Field(CostTargets(), description="What a run may cost.")


def load_targets(path: Path) -> Targets:
    """Read and check a targets file.

    Raises InvalidInputError: no such file, not TOML, an unknown key (with the nearest known one),
    an impossible value, or a recall asked of a class that `classes` does not list.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InvalidInputError(
            str(path), reason, "Give a targets file with --targets; targets.toml is an example."
        ) from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(str(path), f"not TOML: {error}", "Mend that line.") from error
    return parse_targets(table, str(path))


def parse_targets(table: dict[str, object], where: str) -> Targets:
    """Check a table that came from `where`; raises InvalidInputError naming the key."""
    try:
        targets = Targets.model_validate(table)
    except ValidationError as error:
        raise _named(error, where) from error
    strangers = set(targets.accuracy.min_recall) - set(targets.classes)
    if targets.classes and strangers:
        name = min(strangers)
        raise InvalidInputError(
            f"{where}: accuracy.min_recall.{name}",
            f"{name!r} is not among classes",
            f"Add it to classes, or take one of: {', '.join(targets.classes)}.",
        )
    return targets


def _named(error: ValidationError, where: str) -> InvalidInputError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, _known_keys(), n=1, cutoff=0.5)
        remedy = f"Did you mean {near[0]}?" if near else f"Known keys: {', '.join(_known_keys())}."
        return InvalidInputError(f"{where}: {key}", "no such key", remedy)
    return InvalidInputError(
        f"{where}: {key}", f"{first['msg']} (it is {first['input']!r})", "Give a possible value."
    )


def _known_keys() -> list[str]:
    keys: list[str] = []
    for name, field in Targets.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Table):
            keys += [f"{name}.{key}" for key in inner.model_fields]
        else:
            keys.append(name)
    return keys
