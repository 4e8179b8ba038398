"""No key that a person can write is decoration: each changes something that can be observed.

The walk lists every key of the models themselves, so that a new key fails until somebody shows
its effect: what is observed with one value, and with another.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel

from backends.settings import Settings
from backends.training_job import Hyperparameters
from edge.contract import DEFAULT_CONFIGURATION
from flows.cloud_rules import RulesPlan
from flows.gate_names import GATES
from flows.labelling import CollectPlan
from flows.monitor import MonitorPlan
from flows.phases import PhasePlan
from flows.plan import TABLES, CyclePlan
from flows.reconsider import ReconsiderPlan
from flows.retrain import RetrainPlan
from flows.watch import WatchPlan
from tasks.business_understanding import Targets
from tasks.data_gates import DataLimits
from tests.architecture.effects import (
    aws_fleet,
    aws_jobs,
    aws_ops,
    component,
    data_gates,
    gates,
    plans,
    quality,
    retraining,
    settings,
    targets,
    telemetry,
)
from tests.architecture.effects.effect import Effect
from tests.jobs import test_hyperparameters as trained

TABLES_OF_EFFECTS: dict[str, Mapping[str, Effect]] = {
    "settings": {
        **settings.EFFECTS,
        **telemetry.EFFECTS,
        **aws_fleet.EFFECTS,
        **aws_jobs.EFFECTS,
        **aws_ops.EFFECTS,
        **quality.NOTIFY,
    },
    "rules": aws_ops.RULES,
    "plan": {**plans.CYCLE, **plans.TRAINING},
    "plan.targets": {**targets.EFFECTS, **quality.QUALITY},
    "monitor": plans.MONITOR,
    "": {**plans.OPERATING, **retraining.EFFECTS},
    "data": data_gates.EFFECTS,
    "component": component.EFFECTS,
}
EFFECTS: dict[str, Effect] = {
    f"{where}.{key}".lstrip("."): effect
    for where, table in TABLES_OF_EFFECTS.items()
    for key, effect in table.items()
}


def keys_of(model: type[BaseModel], where: str) -> Iterator[str]:
    """The keys of a model and of the models in it."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys_of(inner, f"{where}.{name}")
        else:
            yield f"{where}.{name}"


KEYS = sorted(
    {
        *keys_of(Settings, "settings"),
        *keys_of(CyclePlan, "plan"),
        *keys_of(MonitorPlan, "monitor"),
        *keys_of(RulesPlan, "rules"),
        *keys_of(PhasePlan, "phase"),
        *keys_of(WatchPlan, "watch"),
        *keys_of(RetrainPlan, "retrain"),
        *keys_of(CollectPlan, "collect"),
        *keys_of(ReconsiderPlan, "reconsider"),
        *keys_of(DataLimits, "data.limits"),
        *(f"component.{key}" for key in DEFAULT_CONFIGURATION),
    }
)


def test_the_walk_reaches_every_table_that_a_person_writes() -> None:
    for table in (*TABLES, "targets.accuracy"):
        assert any(key.startswith(f"plan.{table}.") for key in KEYS), table
    assert {f"plan.{key}" for key in keys_of(Targets, "targets")} <= set(KEYS)


def test_every_effect_is_of_a_key_that_exists() -> None:
    assert set(EFFECTS) - set(KEYS) == set()


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server", "home")
@pytest.mark.parametrize("key", KEYS)
def test_a_key_has_an_effect(key: str, tmp_path: Path) -> None:
    assert key in EFFECTS, f"nobody has shown what {key} changes"

    one, other = EFFECTS[key](tmp_path)

    assert one != other


@pytest.mark.parametrize("name", sorted(Hyperparameters.model_fields))
def test_a_hyperparameter_is_tried_in_a_real_training(name: str) -> None:
    """tests/jobs trains with each, and compares what is learned, kept or said."""
    tried = {row[0] for row in (*trained.EFFECTS, *trained.REFUSED)}

    assert name in tried


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server", "home")
@pytest.mark.parametrize("gate", GATES)
def test_a_gate_passes_and_refuses(gate: str, tmp_path: Path) -> None:
    passing, refusing = gates.CASES[gate]

    assert passing(tmp_path / "passing") is True
    assert refusing(tmp_path / "refusing") is False


def test_no_gate_is_shown_that_does_not_exist() -> None:
    assert set(gates.CASES) == set(GATES)
