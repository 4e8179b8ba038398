"""A person approves a deployment where targets.toml asks for it: `[release] approval = true`.

Where there is a lasting Prefect server, the run pauses and its UI has a form; else the terminal
asks; else the run ends `waiting`, and `edgeward approve` lets it go on.
"""

import sys
from datetime import UTC, datetime

from prefect import get_run_logger, pause_flow_run
from prefect.context import FlowRunContext
from prefect.exceptions import FlowPauseTimeout
from prefect.input import RunInput
from prefect.settings import PREFECT_UI_URL
from pydantic import BaseModel, ConfigDict, Field

from backends.artifacts import Gate
from flows.announcing import announce
from flows.prefect_server import has_lasting_ui
from tasks.business_understanding import ReleaseTargets
from tasks.evaluation import require
from tasks.handover import hand_over, has_handed_over, take_over, withdraw
from tasks.recording import VANISHED, Run, note, note_gates

GATE = "release.approval"
POLL_SECONDS = 5
SECONDS_AN_HOUR = 3600


class Approval(BaseModel):
    """What a person decided about a deployment."""

    model_config = ConfigDict(frozen=True)

    approver: str = Field(min_length=1, max_length=200, description="Your name; it is recorded.")
    reason: str = Field(min_length=1, max_length=2000, description="Why; it is recorded.")
    approve: bool = Field(True, description="Off: the deployment is refused.")


class ApprovalForm(Approval, RunInput):
    """The same, as the form that the UI shows for a paused run."""


def await_approval(run: Run, targets: ReleaseTargets, release: str) -> bool:
    """Whether a person has approved `release`; False: the run ends `waiting` for one.

    Raises GateRefusedError when the person refuses.
    """
    if not targets.approval:
        return True
    asked = {"asked_at": _now(), "flow_run": _flow_run()}
    way_on = f"edgeward approve {run.id} --by NAME --reason TEXT"
    note(run, approval=asked, status="waiting", reason=f"{release} waits for approval: {way_on}")
    announce(run)
    answer = _answer(run, targets, release, way_on)
    if answer is None:
        return False
    note(run, status="failed", reason=VANISHED)  # it goes on
    given = {"answered_at": _now(), **answer.model_dump()}
    note(run, approval=asked | given)
    verb = "approves" if answer.approve else "refuses"
    reason = f"{answer.approver} {verb}: {answer.reason}"
    gate = Gate(GATE, answer.approve, answer.approver, None, reason)
    require(note_gates(run, (gate,), ()))
    return True


def _answer(run: Run, targets: ReleaseTargets, release: str, way_on: str) -> Approval | None:
    if has_handed_over(run, "approval"):  # by `edgeward approve`, for this one deployment
        answer = take_over(run, "approval", Approval)
        withdraw(run, ("approval",))
        return answer
    if has_lasting_ui() and FlowRunContext.get():
        return _asked_in_the_ui(targets, release, way_on)
    if sys.stdin.isatty() and sys.stderr.isatty():
        return _asked_on_the_terminal(release)
    return None


def _asked_in_the_ui(targets: ReleaseTargets, release: str, way_on: str) -> Approval | None:
    place = f"{PREFECT_UI_URL.value()}/runs/flow-run/{_flow_run()}"
    get_run_logger().warning("%s waits for approval: %s or `%s`", release, place, way_on)
    text = f"Deploy **{release}**? The run's gates have passed; its report says more."
    form = ApprovalForm.with_initial_data(description=text)
    seconds = int(targets.approval_hours * SECONDS_AN_HOUR)
    try:
        return pause_flow_run(form, timeout=max(seconds, 1), poll_interval=POLL_SECONDS)
    except FlowPauseTimeout:
        return None


def _asked_on_the_terminal(release: str) -> Approval:
    import typer

    approve = typer.confirm(f"Deploy {release}?", err=True)
    approver = typer.prompt("Your name", err=True)
    return Approval(approver=approver, reason=typer.prompt("Why", err=True), approve=approve)


def answer_run(run: Run, answer: Approval) -> None:
    """Keep an answer for when the run goes on."""
    hand_over(run, approval=answer)


def _flow_run() -> str:
    context = FlowRunContext.get()
    return str(context.flow_run.id) if context and context.flow_run else ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
