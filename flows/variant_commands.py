"""The commands for two models on one device: a thin shell over flows/variant.py."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from flows import completion

Json = Annotated[
    bool, typer.Option("--json", help="Print the record, and nothing else, on stdout.")
]
Thing = Annotated[
    str, typer.Argument(help="The device's thing name.", autocompletion=completion.things)
]


def add_to(app: typer.Typer, command: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
    """`command` gives each function the command line's way of reporting errors."""
    variant = typer.Typer(help="Two models on one device, compared live.", no_args_is_help=True)
    variant.command("start")(command(start))
    variant.command("compare")(command(compare))
    variant.command("stop")(command(stop))
    app.add_typer(variant, name="variant")


def start(
    name: Thing,
    model: Annotated[
        str,
        typer.Option(
            help="A published version of the model component.", autocompletion=completion.models
        ),
    ],
    mode: Annotated[
        str,
        typer.Option(
            help="shadow: the champion answers; split: each answers its share.",
            autocompletion=completion.modes,
        ),
    ] = "shadow",
    share: Annotated[
        float, typer.Option(min=0, max=1, help="The challenger's share of the pictures, in split.")
    ] = 0.1,
) -> None:
    """Let another model version answer beside the one that serves.

    Example:

        edgeward variant start hub-1 --model 1.0.1 --mode split --share 0.2
    """
    from flows.variant_terminal import run_start

    run_start(name, model, mode, share)


def compare(
    name: Thing,
    since: Annotated[str, typer.Option(help="ISO 8601; empty: 24 hours ago.")] = "",
    targets: Annotated[
        Path | None, typer.Option(help="Where the limits come from; else the last run's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare both models on live pictures, and recommend one.

    Example:

        edgeward variant compare hub-1 --since 2026-11-24T08:00:00Z
    """
    from flows.variant_terminal import run_compare

    run_compare(name, since, targets, as_json)


def stop(name: Thing) -> None:
    """Take the challenger away again.

    Example:

        edgeward variant stop hub-1
    """
    from flows.variant_terminal import run_stop

    run_stop(name)
