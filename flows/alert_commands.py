"""`edgeward alerts`: what devices say that somebody should look at."""

import json
import sys
import time
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from flows import completion

FOLLOW_SECONDS = 1.0


def alerts(
    thing: Annotated[
        str,
        typer.Option(help="Only this device's; empty: all.", autocompletion=completion.things),
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more, until Ctrl-C.")] = False,
    count: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = 10,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one message a line, and nothing else, on stdout.")
    ] = False,
) -> None:
    """Show the alerts that devices raised in the last 24 hours.

    With backend kind aws they go to SNS topics, and are not kept.

    Examples:

        edgeward alerts --thing hub-1

        edgeward alerts --follow --json
    """
    from backends.errors import InvalidInputError
    from backends.local.alerts import AlertReader
    from backends.local.core_devices import check_thing
    from backends.settings import load_settings
    from flows.terminal import fleet

    settings = load_settings()
    if settings.backend.kind == "aws":
        raise InvalidInputError(
            "alerts",
            "those of an account are not kept: its SNS topics pass them on",
            f"Subscribe to {settings.aws.prefix}-alerts "
            "(docs/how-to/aws.md, messages in the cloud).",
        )
    if thing:
        check_thing(thing)
    reader = AlertReader(fleet().alerts, thing)
    found = reader.news()
    if not found and thing:
        fleet().device(thing)  # a name that was misspelt is better told than waited for
    if not found and not follow:
        sys.stderr.write("no alert in the last 24 hours\n")
    _show(found[-count:], as_json)
    while follow:
        time.sleep(FOLLOW_SECONDS)
        _show(reader.news(), as_json)


def _show(found: Iterable[dict[str, Any]], as_json: bool) -> None:
    for alert in found:
        sys.stdout.write((json.dumps(alert) if as_json else _line(alert)) + "\n")
    sys.stdout.flush()


def _line(alert: dict[str, Any]) -> str:
    score = alert.get("score")
    return (
        f"{alert.get('taken_at', '')}  {alert['thing']}  {alert.get('alert', '?')}:"
        f" {alert.get('label', '?')}"
        f" {score if not isinstance(score, float) else format(score, '.3f')}"
        f"  {alert.get('sightings', '?')} sightings  {str(alert.get('image_id', ''))[:12]}"
    )
