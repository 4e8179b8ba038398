"""The commands of people who operate: start and end everything, approve, go on with a run."""

from collections.abc import Callable
from typing import Annotated

import typer

from flows import completion

Thing = Annotated[str, typer.Option(help="The device to start.", autocompletion=completion.things)]
RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="The run's id.", autocompletion=completion.runs)
]
WaitingRunId = Annotated[
    str,
    typer.Argument(metavar="RUN", help="The run's id.", autocompletion=completion.waiting_runs),
]
Override = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GATE",
        help="Go on past this gate; it is recorded. Repeatable.",
        autocompletion=completion.gates,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the record, and nothing else, on stdout.")
]


def add_to(app: typer.Typer, command: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
    """`command` gives each function the command line's way of reporting errors."""
    for function in (up, approve, resume):
        app.command()(command(function))


def up(thing: Thing = "hub-1") -> None:
    """Start a Prefect server, a worker, the broker and a device, and deploy the flows.

    What runs already is left as it is. Everything listens on this machine only.

    Example:

        edgeward up --thing hub-1
    """
    from flows.operating import bring_up

    bring_up(thing)


def approve(
    run: WaitingRunId,
    by: Annotated[str, typer.Option(help="Who approves; it is recorded.")],
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    refuse: Annotated[
        bool, typer.Option("--refuse", help="Do not deploy; the run ends refused.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Approve the deployment that a run waits with, and let the run go on.

    Example:

        edgeward approve 20261125-101500-1f3a --by "Ada" --reason "seen at the front door"
    """
    from flows.operating import approve_run

    approve_run(run, by, reason, not refuse, as_json)


def resume(run: RunId, override: Override = None, as_json: Json = False) -> None:
    """Go on with a run from the phase that it did not finish.

    Example:

        edgeward resume 20261125-101500-1f3a --override model.recall
    """
    from flows.operating import resume_run

    resume_run(run, tuple(override or ()), as_json)
