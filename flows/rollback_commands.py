"""`edgeward rollback`: shows what would change, asks, and gives a device what it ran before."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.quality.deployments import WayBack


def rollback(
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is recorded.")],
    thing: Annotated[str, typer.Option(help="The device.")] = "hub-1",
    to: Annotated[
        str,
        typer.Option(metavar="VERSION", help="A model that ran on it; empty: the one before."),
    ] = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="Your name; it is recorded.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the record, and nothing else, on stdout.")
    ] = False,
) -> None:
    """Give a device the model, and all else, that it ran before.

    The registry's champion and the accepted data go back too, the run that shipped the model says
    so, and the version is not deployed there again unless you override the gate device.rolled-back.

    Examples:

        edgeward rollback --reason "it calls every cat a dog"

        edgeward rollback --thing porch --to 1.0.3 --reason "back to last week's" --by Ada --yes
    """
    from pydantic import ValidationError

    from backends.connect import restorable_fleet
    from backends.errors import InvalidInputError
    from backends.settings import load_settings
    from flows.console import show_our_lines
    from flows.prefect_server import prefect_server

    settings = load_settings()
    with prefect_server(settings.root) as await_server:
        from flows.quality import RollbackPlan, roll_back
        from tasks.quality.deployments import way_back
        from tasks.quality.rollbacks import rolled_back

        try:
            plan = RollbackPlan(thing=thing, to=to, reason=reason, by=by)
        except ValidationError as error:
            first = error.errors()[0]
            option = f"--{first['loc'][0]}"
            raise InvalidInputError(option, first["msg"], "Write another one.") from error
        history = restorable_fleet(settings).history(thing)
        avoided = rolled_back(settings.root, thing)
        way = way_back(settings.root / "runs", thing, history, to, avoided)
        _show(thing, way)
        _ask(sure=yes, thing=thing)
        await_server()
        show_our_lines()
        done = roll_back(plan.model_copy(update={"to": way.to_version}))
    if as_json:
        sys.stdout.write(json.dumps({**asdict(done), "id": done.id}, indent=2) + "\n")
    sys.stderr.write(f"{thing} runs model {done.to_version} again\n")


def _show(thing: str, way: "WayBack") -> None:
    sys.stderr.write(f"{thing}: model {way.from_version} -> {way.to_version}\n")
    for change in way.changes:
        sys.stderr.write(f"  {change}\n")
    if way.run:
        sys.stderr.write(f"  run {way.run}: its record will say `rolled back`\n")


def _ask(*, sure: bool, thing: str) -> None:
    """Raises InvalidInputError where nobody can be asked, Abort where the answer is no."""
    from backends.errors import InvalidInputError

    if sure:
        return
    if not sys.stdin.isatty():
        reason = "there is no terminal to ask on"
        raise InvalidInputError("rollback", reason, "Say --yes to do what is listed.")
    typer.confirm(f"Roll {thing} back?", abort=True, err=True)
