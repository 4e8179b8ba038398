"""`edgeward doctor`: what is missing, what is odd, and what to do about it."""

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from flows import completion
from flows.streams import columns

if TYPE_CHECKING:
    from backends.doctor.finding import Finding

MISSING = 4
WRONG_SETTING = 2
_INDENT = " " * 9
_LEAST_COLUMNS = 20


def doctor(
    thing: Annotated[
        str,
        typer.Option(
            help="The core device to ask AWS for, with backend kind aws.",
            autocompletion=completion.things,
        ),
    ] = "hub-1",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings, and nothing else, on stdout.")
    ] = False,
) -> None:
    """Say what is installed, what is missing, what is odd, and what to do. Changes nothing.

    Ends 4 when something is missing that a run needs, 2 when a setting is wrong, else 0.

    Examples:

        edgeward doctor

        edgeward doctor --json
    """
    from backends.diagnosis import diagnose, diagnose_settings
    from backends.settings import Settings, read_settings

    settings = read_settings()
    if isinstance(settings, Settings):
        findings = diagnose(settings, thing=thing)
        status = 0 if all(one.healthy for one in findings if one.needed) else MISSING
    else:
        findings, status = diagnose_settings(settings), WRONG_SETTING
    if as_json:
        sys.stdout.write(json.dumps([one.as_table() for one in findings], indent=2) + "\n")
    else:
        for line in _told(findings, columns()):
            typer.echo(line)
    raise typer.Exit(status)


def _told(findings: Sequence["Finding"], width: int) -> Iterator[str]:
    """A line per finding and per remedy; broken at words where a terminal is too narrow."""
    for one in findings:
        mark = "ok" if one.healthy else "TROUBLE" if one.needed else "warning"
        yield _broken(f"{mark:<9}{one.subject}: {one.found}", width)
        if not one.healthy:
            yield _broken(f"{_INDENT}→ {one.remedy}", width)
    troubles = [one for one in findings if not one.healthy]
    grave = sum(one.needed for one in troubles)
    if troubles:
        yield f"\n{grave} in the way of a run, {len(troubles) - grave} warnings"


def _broken(text: str, width: int) -> str:
    """Paths and commands stay whole, so that they can be copied."""
    if not width:
        return text
    return textwrap.fill(
        text,
        max(width, _LEAST_COLUMNS),
        subsequent_indent=_INDENT + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
