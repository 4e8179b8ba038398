"""A run in an account that could cost more than it may never begins."""

import json
from pathlib import Path

import pytest

from backends.errors import GateRefusedError
from flows.cycle import cycle
from flows.plan import CyclePlan


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of an account that nothing is asked of."""
    for name, value in {
        "BACKEND__KIND": "aws",
        "AWS__REGION": "eu-west-1",
        "AWS__BUCKET": "edgeward-tests",
        "AWS__TRAINING_ROLE": "arn:aws:iam::123456789012:role/edgeward-training",
        "AWS__ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS__USD_PER_HOUR": "100",
    }.items():
        monkeypatch.setenv(f"EDGEWARD_{name}", value)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server", "account")
def test_a_run_that_could_cost_too_much_is_refused_before_it_looks_at_data(home: Path) -> None:
    plan = CyclePlan.model_validate({"data": "folder:/nowhere"})

    with pytest.raises(GateRefusedError, match=r"cost\.estimate: at most 50\.70 USD exceeds 5\.00"):
        cycle(plan)

    (path,) = home.glob("runs/*/run.json")
    record = json.loads(path.read_text())
    (gate,) = record["gates"]
    assert (record["status"], gate["name"], gate["passed"]) == ("refused", "cost.estimate", False)
    assert record["stages"] == {}


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server", "account")
def test_who_overrides_the_estimate_goes_on(home: Path) -> None:
    plan = CyclePlan.model_validate({"data": "folder:/nowhere", "override": ["cost.estimate"]})

    with pytest.raises(Exception, match="/nowhere"):
        cycle(plan)

    (path,) = home.glob("runs/*/run.json")
    (gate,) = json.loads(path.read_text())["gates"]
    assert gate["overridden"] is True
