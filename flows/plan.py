"""What a full cycle does, as one frozen, JSON-able flow parameter.

The UI shows and checks it; the command line builds it from its options.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backends.artifacts import Platform
from backends.errors import InvalidInputError
from backends.settings import PROJECT
from backends.sources.plan import DrivewayPlan
from tasks.business_understanding import Targets, load_targets
from tasks.data_preparation import SplitPlan
from tasks.modeling import TrainingPlan

GATES = (
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
)
TABLES = {"training": TrainingPlan, "split": SplitPlan, "driveway": DrivewayPlan}


class CyclePlan(BaseModel):
    """Everything that decides what a run does. Where it runs is in the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = Field(
        "driveway", description="driveway, folder:PATH, caltech256[:URL] or recordio:PATH."
    )
    platform: Platform = Field("linux-x86_64", description="What the device is.")
    thing: str = Field("hub-1", description="The device to deploy to.")
    targets: Targets = Targets()
    training: TrainingPlan = TrainingPlan()
    split: SplitPlan = SplitPlan()
    driveway: DrivewayPlan = DrivewayPlan()
    override: tuple[str, ...] = Field((), description="Gates that may not stop this run, by name.")
    run_id: str = Field("", description="Empty: a new one.")


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
    tables = _tables(settings)
    return CyclePlan.model_validate(
        {
            "data": data,
            "platform": platform,
            "thing": thing,
            "targets": _targets(targets, data),
            "override": tuple(override),
            "run_id": run_id,
        }
        | {name: _checked(model, name, tables.get(name, {})) for name, model in TABLES.items()}
    )


def _targets(given: Path | None, data: str) -> Targets:
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
