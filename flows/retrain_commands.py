"""`edgeward retrain`: train again what a device runs, or say why that was or was not done."""

import json
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from backends.errors import InvalidInputError


def add_to(app: typer.Typer, command: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
    """`command` gives each function the command line's way of reporting errors."""
    app.command()(command(retrain))


def retrain(
    thing: Annotated[str, typer.Option(help="The device.")] = "hub-1",
    why: Annotated[
        bool, typer.Option("--why", help="Only show what was decided about it so far.")
    ] = False,
    force: Annotated[
        str,
        typer.Option(metavar="REASON", help="Train in spite of the guards; it is recorded."),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the record, and nothing else, on stdout.")
    ] = False,
) -> None:
    """Train again with what devices collected and people labelled, if the guards allow it.

    Examples:

        edgeward retrain --thing hub-1

        edgeward retrain --why

        edgeward retrain --force "the new camera must not wait"
    """
    from backends.settings import load_settings

    home = load_settings().root
    if why:
        from tasks.retraining.decisions import read_decisions

        rows = [decision.as_table() for decision in read_decisions(home, thing)]
        _show(rows, as_json)
        return
    from flows.prefect_server import prefect_server

    with prefect_server(home) as await_server:
        from pydantic import ValidationError

        from flows.console import show_our_lines
        from flows.retrain import RetrainPlan
        from flows.retrain import retrain as flow
        from flows.terminal import show_run
        from tasks.recording import Run
        from tasks.retraining.decisions import read_decisions

        try:
            plan = RetrainPlan(thing=thing, force=force)
        except ValidationError as error:
            first = error.errors()[0]
            where = f"--{first['loc'][0]}"
            raise InvalidInputError(where, first["msg"], "Give a possible value.") from error
        await_server()
        show_our_lines()
        try:
            flow(plan)
        finally:
            decision = next(iter(reversed(read_decisions(home, thing))), None)
            run = decision and Run(decision.run_id, home / "runs" / decision.run_id)
            if run and run.id and run.record.is_file():
                show_run(run, as_json)
            elif decision:
                _show([decision.as_table()], as_json)


def _show(rows: list[dict[str, object]], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    for row in rows:
        word = "yes" if row["retrain"] else "no "
        later = f" Looked at again after {row['not_before']}." if row["not_before"] else ""
        run = f" Run {row['run_id']}." if row["run_id"] else ""
        sys.stdout.write(f"{row['at']}  {word}  {row['cause']}: {row['reason']}.{run}{later}\n")
    if not rows:
        sys.stderr.write("nothing was decided yet\n")
