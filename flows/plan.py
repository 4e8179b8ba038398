"""What a full cycle does, as one frozen, JSON-able flow parameter.

The UI shows and checks it; the command line builds it from its options.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from backends.artifacts import Platform
from backends.errors import InvalidInputError
from backends.settings import PROJECT
from backends.sources import parse_source
from backends.sources.plan import DrivewayPlan
from edge.alert_rules import parse_alert_rules
from edge.contract import INFERENCE_COMPONENT, RUNTIME_COMPONENT, THING_NAME
from tasks.business_understanding import Targets, load_targets
from tasks.data_preparation import SplitPlan
from tasks.modeling import TrainingPlan

GateName = Literal[
    "cost.estimate",
    "data.schema",
    "data.integrity",
    "data.labels",
    "data.drift",
    "split.leakage",
    "model.accuracy",
    "model.recall",
    "model.champion",
    "compiled.parity",
    "compiled.latency",
    "compiled.memory",
    "compiled.size",
    "device.first-result",
    "device.rolled-back",
]
GATES: tuple[GateName, ...] = get_args(GateName)


DRIVEWAY_ALERTS: Sequence[Mapping[str, object]] = (
    {
        "Name": "child or pet by a car",
        "Labels": ["child", "dog", "cat"],
        "MinScore": "0.7",
        "Sightings": "1",
        "WhileLabels": ["car"],
        "WhileSeconds": "10",
    },
    {"Name": "child alone", "Labels": ["child"], "MinScore": "0.8", "Sightings": "2"},
)
"""What the example's device raises an alert for; see edge.alert_rules."""


class DevicePlan(BaseModel):
    """How the device is configured, and how it is asked for a first proof."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    known_pictures: int = Field(
        12, ge=1, le=500, description="Held-out pictures that the device must call rightly first."
    )
    answer_seconds: float = Field(90.0, gt=0, description="How long its answers may take to come.")
    scene_pictures: int = Field(
        150, ge=1, description="Held-out pictures before the camera of a device on this machine."
    )
    inference_interval: float = Field(1.0, gt=0, description="Seconds between two pictures.")
    statistics_interval: float = Field(30.0, gt=0, description="Seconds that a summary covers.")
    score_threshold: float = Field(0.3, ge=0, le=1, description="Least score in a message.")
    max_results: int = Field(5, ge=1, description="Most labels in a message.")
    runtime: Literal["own", "variant.DLR"] = Field(
        "own", description="Whose interpreter it is: our runtime component's, or AWS's."
    )
    wheels_for: str = Field(
        "",
        pattern=r"^(3\.(9|1[0-9]))?$",
        description="The device's Python, as in 3.11: its runtime then installs without a network.",
    )
    alerts: str = Field(
        "example",
        description="A JSON list of rules, `none`, or `example`: those of the driveway, for it.",
    )

    @field_validator("alerts")
    @classmethod
    def _rules_are_possible(cls, alerts: str) -> str:
        if alerts not in ("example", "none"):
            json.loads(alerts)  # its errors are ValueErrors as well
            parse_alert_rules(alerts)
        return alerts

    def merge(self, pictures: Path, python: str, data: str = "") -> dict[str, dict[str, object]]:
        """The configuration of each component, as a deployment merges it."""
        inference: dict[str, object] = {
            "ImageDirectory": str(pictures),
            "InferenceInterval": str(self.inference_interval),
            "StatisticsInterval": str(self.statistics_interval),
            "ScoreThreshold": str(self.score_threshold),
            "MaxResults": str(self.max_results),
            "VariantMode": "off",  # a new champion ends what was compared with the old one
            "Alerts": json.dumps(self._alerts(data)),  # one value: lite reads at most 255
        }
        given = python and self.runtime == "own" and not self.wheels_for
        runtime: dict[str, object] = {"Python": python} if given else {}
        return {INFERENCE_COMPONENT: inference, RUNTIME_COMPONENT: runtime}

    def _alerts(self, data: str) -> list[object]:
        if self.alerts == "example":
            return list(DRIVEWAY_ALERTS) if data == "driveway" else []
        rules: list[object] = [] if self.alerts == "none" else json.loads(self.alerts)
        return rules


TABLES: dict[str, type[BaseModel]] = {
    "training": TrainingPlan,
    "split": SplitPlan,
    "driveway": DrivewayPlan,
    "device": DevicePlan,
}


class CyclePlan(BaseModel):
    """Everything that decides what a run does. Where it runs is in the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = Field(
        "driveway", description="driveway, folder:PATH, caltech256[:URL] or recordio:PATH."
    )
    platform: Platform = Field("linux-x86_64", description="What the device is.")
    thing: str = Field("hub-1", pattern=f"^{THING_NAME}$", description="The device to deploy to.")
    targets: Targets = Field(Targets(), description="The limits of the gates, as in targets.toml.")
    training: TrainingPlan = Field(TrainingPlan(), description="How to train: the hyperparameters.")
    split: SplitPlan = Field(SplitPlan(), description="How pictures are dealt out.")
    driveway: DrivewayPlan = Field(
        DrivewayPlan(), description="What is drawn, where the data is driveway."
    )
    device: DevicePlan = Field(
        DevicePlan(),
        description="How the device is configured, and how it is asked for a first proof.",
    )
    override: tuple[GateName, ...] = Field(
        (), description="Gates that may not stop this run, by name."
    )
    run_id: str = Field(
        "",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$|^$",
        description="Leave it empty: the run gets a new one.",
    )

    @property
    def source_name(self) -> str:
        """The source as people call it: of a path, its last part."""
        return self.data.rstrip("/").rsplit("/", 1)[-1]

    @field_validator("data")
    @classmethod
    def _names_a_source(cls, data: str) -> str:
        try:
            parse_source(data, Path())
        except InvalidInputError as error:
            raise ValueError(str(error)) from error
        return data


def make_plan(
    data: str,
    targets: Path | None,
    platform: str,
    thing: str,
    settings: Sequence[str],
    override: Sequence[str],
    run_id: str,
) -> CyclePlan:
    """Build a plan from what a person wrote; raises InvalidInputError naming the option."""
    if platform not in get_args(Platform):
        raise InvalidInputError(
            f"--platform {platform}",
            "no such platform",
            f"Take one of {', '.join(get_args(Platform))}.",
        )
    for gate in override:
        if gate not in GATES:
            raise InvalidInputError(
                f"--override {gate}", "no such gate", f"Take one of {', '.join(GATES)}."
            )
    if not re.fullmatch(THING_NAME, thing):
        raise InvalidInputError(
            f"--thing {thing}", "no thing's name", "Use 1 to 128 letters, digits, ':', '_' or '-'."
        )
    parse_source(data, Path())
    tables = _tables(settings)
    return CyclePlan.model_validate(
        {
            "data": data,
            "platform": platform,
            "thing": thing,
            "targets": read_targets(targets, data),
            "override": tuple(override),
            "run_id": run_id,
        }
        | {name: _checked(model, name, tables.get(name, {})) for name, model in TABLES.items()}
    )


def read_targets(given: Path | None, data: str) -> Targets:
    """From the file that was named; for the driveway, targets.toml here or the project's own."""
    if given:
        return load_targets(given)
    if data != "driveway":
        return Targets()
    here = Path("targets.toml")
    return load_targets(here if here.exists() else PROJECT / "targets.toml")


def _tables(settings: Sequence[str]) -> dict[str, dict[str, str]]:
    """`split.seed=3` goes to table `split`; a bare `epochs=5` is a hyperparameter."""
    tables: dict[str, dict[str, str]] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        table, _, key = name.rpartition(".")
        table = table or "training"
        if not equals or not key:
            raise InvalidInputError(f"--set {setting}", "not KEY=VALUE", "Write e.g. epochs=5.")
        if table not in TABLES:
            raise InvalidInputError(
                f"--set {setting}",
                f"no table {table!r}",
                f"Take a hyperparameter, or KEY of {', '.join(TABLES)}.",
            )
        tables.setdefault(table, {})[key] = value
    return tables


def _checked[M: BaseModel](model: type[M], name: str, table: dict[str, Any]) -> M:
    prefix = "" if model is TrainingPlan else f"{name}."
    try:
        return model(**table)
    except ValidationError as error:
        first = error.errors()[0]
        key = prefix + ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(prefix + name for name in model.model_fields)
            raise InvalidInputError(f"--set {key}", "no such key", f"Known: {known}.") from error
        raise InvalidInputError(
            f"--set {key}={first['input']}", first["msg"], "Give a possible value."
        ) from error
