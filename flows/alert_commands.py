"""`edgeward alerts`: what devices say that somebody should look at."""

import json
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import typer

from flows import completion

FOLLOW_SECONDS = 1.0
SHORT = 12
"""Characters of an id that are shown."""
VERDICTS: Mapping[str, Literal["confirmed", "denied"]] = {"confirm": "confirmed", "deny": "denied"}


def alerts(
    action: Annotated[
        str, typer.Argument(metavar="[confirm|deny]", help="Say of an alert what was the case.")
    ] = "",
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Alerts, by their ids or how those begin."),
    ] = None,
    thing: Annotated[
        str,
        typer.Option(help="Only this device's; empty: all.", autocompletion=completion.things),
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more, until Ctrl-C.")] = False,
    count: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = 10,
    by: Annotated[str, typer.Option(metavar="NAME", help="Your name; it is recorded.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one message a line, and nothing else, on stdout.")
    ] = False,
) -> None:
    """Show the alerts that devices raised in the last 24 hours, or say whether they were right.

    With backend kind aws they go to SNS topics, and are not kept.

    What people say of alerts is compared before and after a new model: [quality] of targets.toml.

    Examples:

        edgeward alerts

        edgeward alerts confirm 3f0c9a12 --by Ada

        edgeward alerts deny 3f0c9a12 77b1e004
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
    if action or ids:
        _judge(action, ids or [], thing, by)
        return
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


def _judge(action: str, ids: list[str], thing: str, by: str) -> None:
    """Keep what a person says of alerts, of whatever age."""
    from datetime import UTC, datetime

    from backends.errors import InvalidInputError
    from backends.local.alerts import AlertReader
    from backends.settings import load_settings
    from flows.terminal import fleet
    from tasks.quality.verdicts import alert_id, find_alert, give_verdict

    if action not in VERDICTS:
        remedy = "Say confirm or deny, and the ids of alerts."
        raise InvalidInputError(f"alerts {action}", "there is no such action", remedy)
    if not ids:
        raise InvalidInputError(f"alerts {action}", "no alert is named", "See `edgeward alerts`.")
    known = list(AlertReader(fleet().alerts, thing, datetime.fromtimestamp(0, UTC)).news())
    found = [find_alert(known, one) for one in ids]
    for alert in found:
        news = give_verdict(load_settings().root, alert, VERDICTS[action], by or "a person")
        said = VERDICTS[action] if news else f"was {VERDICTS[action]} already"
        sys.stderr.write(f"{alert_id(alert)[:SHORT]} {alert['thing']}: {said}\n")


def _show(found: Iterable[dict[str, Any]], as_json: bool) -> None:
    from backends.settings import load_settings
    from tasks.quality.verdicts import alert_id, verdict_on

    home = load_settings().root
    for alert in found:
        told = {**alert, "id": alert_id(alert), "verdict": verdict_on(home, alert)}
        sys.stdout.write((json.dumps(told) if as_json else _line(told)) + "\n")
    sys.stdout.flush()


def _line(alert: dict[str, Any]) -> str:
    score = alert.get("score")
    return (
        f"{alert['id'][:SHORT]}  {alert.get('taken_at', '')}  {alert['thing']}"
        f"  {alert.get('alert', '?')}: {alert.get('label', '?')}"
        f" {score if not isinstance(score, float) else format(score, '.3f')}"
        f"  {alert.get('sightings', '?')} sightings  {str(alert.get('image_id', ''))[:12]}"
        f"  {alert['verdict']}"
    ).rstrip()
