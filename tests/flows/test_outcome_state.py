"""A flow run's last state says what came of it: in the UI nobody should have to read a log."""

from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext

from backends.artifacts import Gate
from backends.errors import BackendUnavailableError, GateRefusedError
from flows.outcome_state import ends_saying

pytestmark = pytest.mark.usefixtures("prefect_server")

GATE = Gate("model.accuracy", False, 0.4, 0.5, "top-1 0.400 is below 0.500")
runs: list[UUID] = []


@flow
@ends_saying(lambda number: f"it came to {number}")
def judged(error: str = "") -> int:
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    runs.append(context.flow_run.id)
    if error == "refused":
        raise GateRefusedError([GATE])
    if error == "away":
        raise BackendUnavailableError("the broker", "it is away", "Start it.")
    return 7


def last_state() -> State[object]:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(runs[-1]).state
    assert state is not None
    return state


def test_a_good_end_says_what_it_came_to_and_gives_it_back() -> None:
    assert judged() == 7

    assert (last_state().name, last_state().message) == ("Completed", "it came to 7")


def test_a_refusal_has_a_name_of_its_own_and_the_gate_s_reason_and_is_still_raised() -> None:
    with pytest.raises(GateRefusedError):
        judged("refused")

    state = last_state()
    assert (state.name, state.is_failed()) == ("Refused", True)
    assert state.message == f"model.accuracy: {GATE.reason}"


def test_another_error_says_what_to_do_and_is_still_raised() -> None:
    with pytest.raises(BackendUnavailableError):
        judged("away")

    state = last_state()
    assert state.name == "Failed"
    assert state.message == "the broker is unavailable: it is away. Start it."
