"""The commands about what devices reported: a summary, keeping it small, and questions in SQL."""

from collections.abc import Callable
from typing import Annotated

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print the record, and nothing else, on stdout.")
]


def add_to(app: typer.Typer, command: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
    """`command` gives each function the command line's way of reporting errors."""
    telemetry = typer.Typer(
        help="What devices reported: how much there is, what was wrong with it.",
        no_args_is_help=True,
    )
    app.add_typer(telemetry, name="telemetry")
    for name, function in (("show", show), ("compact", compact), ("ddl", ddl)):
        telemetry.command(name)(command(function))
    app.command()(command(query))


def show(
    days: Annotated[int, typer.Option(min=1, help="Of how many days, the newest first.")] = 7,
    as_json: Json = False,
) -> None:
    """Show what arrived from each device, what was set aside and why, and clocks that are wrong.

    Examples:

        edgeward telemetry show

        edgeward telemetry show --days 30 --json
    """
    from flows.telemetry_terminal import show_telemetry

    show_telemetry(days, as_json)


def compact(as_json: Json = False) -> None:
    """Make one file of the many of each past day and device; remove days older than their limit.

    The schedule does so each night (keep-telemetry). It may be interrupted and run again.

    Example:

        edgeward telemetry compact
    """
    from flows.telemetry_terminal import compact_telemetry

    compact_telemetry(as_json)


def ddl() -> None:
    """Print the SQL that makes the tables known to Athena, for backend kind aws.

    Example:

        edgeward telemetry ddl
    """
    from flows.telemetry_terminal import print_ddl

    print_ddl()


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT.")],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """Ask the tables of what devices reported: results, statistics, heartbeats, alerts.

    Examples:

        edgeward query "SELECT thing, label, count(*) FROM results GROUP BY ALL"

        edgeward query "DESCRIBE statistics"
    """
    from flows.telemetry_terminal import answer_query

    answer_query(sql, as_csv, as_json)
