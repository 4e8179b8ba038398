"""A phase that is run alone says what it came to, and shows it, as a whole cycle does."""

from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowFilter,
    FlowFilterName,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from backends.errors import EdgewardError, GateRefusedError, InvalidInputError
from flows.phases import PhasePlan, evaluate, package, prepare, release, resume, train, understand
from flows.plan import CyclePlan
from flows.retrain import RetrainPlan, retrain
from tests.flows.test_cycle import draw_patterns

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phases") / "pictures"
    draw_patterns(folder, 20)
    return folder


def last_run(name: str) -> FlowRun:
    with get_client(sync_client=True) as client:
        only = FlowFilter(name=FlowFilterName(any_=[name]))
        (run, *_) = client.read_flow_runs(flow_filter=only, sort=FlowRunSort.START_TIME_DESC)
    return run


def ended(run: FlowRun) -> tuple[str, str]:
    """The name of its last state, and what that says."""
    assert run.state is not None
    return run.state.name or "", run.state.message or ""


def shown_by(run: FlowRun) -> set[str]:
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    with get_client(sync_client=True) as client:
        return {str(artifact.key) for artifact in client.read_artifacts(artifact_filter=only)}


def test_an_open_run_says_what_goes_on_from_there(home: Path, pictures: Path) -> None:
    name = understand(CyclePlan(data=f"folder:{pictures}"))

    looked = last_run("understand")
    assert looked.name == "understand pictures"
    assert ended(looked) == (
        "Completed",
        "Open: understand is done; prepare goes on from here.",
    )
    assert shown_by(looked) >= {"data-report", "data-checks", "gates", "decision"}
    assert {"thing:hub-1", "data:pictures", "open"} <= set(looked.tags)

    prepare(PhasePlan(run=name))

    split = last_run("prepare")
    assert (split.name, ended(split)[0]) == (f"prepare {name}", "Completed")
    assert shown_by(split) >= {"split", "gates", "decision"}


def test_a_phase_that_a_gate_refuses_has_the_state_and_the_pages_of_a_refusal(
    home: Path, pictures: Path
) -> None:
    targets: Any = {"classes": ["dots", "ghost"]}

    with pytest.raises(GateRefusedError):
        understand(CyclePlan(data=f"folder:{pictures}", targets=targets))

    run = last_run("understand")
    state, message = ended(run)
    assert state == "Refused"
    assert message.startswith("data.labels: ")
    assert "ghost" in message
    assert shown_by(run) >= {"data-report", "data-checks", "gates", "decision"}
    assert "refused" in run.tags


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param(phase, id=phase.name)
        for phase in (prepare, train, evaluate, package, release, resume)
    ],
)
def test_a_phase_of_no_run_fails_with_the_way_to_one(
    home: Path, phase: Flow[[PhasePlan], str]
) -> None:
    with pytest.raises(InvalidInputError):
        phase(PhasePlan(run="nobody"))

    state, message = ended(last_run(phase.name))
    assert (state, message.split(". ")[0]) == ("Failed", "run nobody: there is no such run")


def test_a_retraining_of_what_was_never_deployed_says_so(home: Path) -> None:
    with pytest.raises(EdgewardError):
        retrain(RetrainPlan(thing="attic"))

    run = last_run("retrain")
    assert run.name == "retrain for attic"
    assert ended(run) == (
        "Failed",
        "attic: no run was deployed to it. Deploy to it first: edgeward run --thing attic",
    )
