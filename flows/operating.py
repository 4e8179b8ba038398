"""What the operating commands do with a terminal."""

import sys
from typing import TYPE_CHECKING, Any
from uuid import UUID

from backends.errors import InvalidInputError
from backends.settings import Settings, load_settings
from flows.console import show_our_lines
from flows.prefect_server import prefect_server
from flows.workshop import Workshop, logs_of

if TYPE_CHECKING:
    from flows.approval import Approval
    from tasks.recording import Run


def bring_up(thing: str) -> None:
    """Start all, and print where it is."""
    settings = load_settings()
    for address in Workshop(settings).up(thing):
        what = "new" if address.news else "as it was"
        sys.stderr.write(f"{address.name:<12} {address.where}  ({what})\n")
    sys.stderr.write(f"Their logs are in {logs_of(settings.root)}. `edgeward down` ends them.\n")


def bring_down() -> None:
    """End all, and say what was ended."""
    stopped = Workshop(load_settings()).down()
    for name in stopped:
        sys.stderr.write(f"stopped {name}\n")
    if not stopped:
        sys.stderr.write("nothing was running\n")


def approve_run(run_id: str, by: str, reason: str, approve: bool, as_json: bool) -> None:
    """Record the answer; the run goes on where it is paused, or else here."""
    settings = load_settings()
    with prefect_server(settings.root) as await_server:
        from flows.approval import Approval, answer_run

        run = _waiting(settings, run_id)
        answer = Approval(approver=by, reason=reason, approve=approve)
        await_server()
        if _goes_on_elsewhere(run, answer):
            sys.stderr.write(f"run {run.id} goes on where it was paused\n")
            return
        answer_run(run, answer)
        _resume(run, (), as_json)


def resume_run(run_id: str, override: tuple[str, ...], as_json: bool) -> None:
    """Go on with a run, and show what came of it."""
    settings = load_settings()
    with prefect_server(settings.root) as await_server:
        from flows.gate_names import GATES
        from tasks.recording import Run

        for gate in override:
            if gate not in GATES:
                known = f"Take one of {', '.join(GATES)}."
                raise InvalidInputError(f"--override {gate}", "no such gate", known)
        await_server()
        _resume(Run(run_id, settings.root / "runs" / run_id), override, as_json)


def _resume(run: "Run", override: tuple[str, ...], as_json: bool) -> None:
    from pydantic import ValidationError

    from flows.phases import PhasePlan, resume
    from flows.terminal import show_run

    try:
        plan = PhasePlan(run=run.id, override=override)
    except ValidationError as error:
        raise InvalidInputError(f"run {run.id!r}", "no run has such an id", "See runs/.") from error
    show_our_lines()
    try:
        resume(plan)
    finally:
        if run.record.exists():
            show_run(run, as_json)


def _waiting(settings: Settings, run_id: str) -> "Run":
    from tasks.recording import Run, read_record

    run = Run(run_id, settings.root / "runs" / run_id)
    if not run.record.is_file():
        remedy = f"Those that there are lie in {run.folder.parent}."
        raise InvalidInputError(f"run {run_id}", "there is no such run", remedy)
    status = read_record(run)["status"]
    if status != "waiting":
        remedy = "See its run.json, or report.html."
        raise InvalidInputError(f"run {run_id}", f"it waits for nobody: it is {status}", remedy)
    return run


def _goes_on_elsewhere(run: "Run", answer: "Approval") -> bool:
    """Whether a process is paused in the midst of the run, and was resumed."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.flow_runs import resume_flow_run

    from tasks.recording import is_under_way, read_record

    approval: dict[str, Any] = read_record(run)["approval"] or {}
    if not (known := approval.get("flow_run")) or not is_under_way(run):
        return False  # Prefect may still call it paused: its process may have been killed
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(UUID(known)).state
        except ObjectNotFound:
            return False
    if state is None or not state.is_paused():
        return False
    resume_flow_run(UUID(known), run_input=answer.model_dump())
    return True
