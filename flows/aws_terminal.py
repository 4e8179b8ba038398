"""What the commands for an AWS account do with a terminal."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from pydantic import ValidationError

from backends.artifacts import RulePart
from backends.errors import InvalidInputError
from backends.settings import load_settings
from flows.console import show_our_lines
from flows.prefect_server import prefect_server


def change_rules(alerts: str | None, as_json: bool) -> None:
    """Create the rules, or (None) remove them, and show what was done."""
    home = load_settings().root
    with prefect_server(home) as await_server:
        from flows.cloud_rules import RulesPlan, create_cloud_rules, remove_cloud_rules

        try:
            plan = RulesPlan(alerts=alerts or "example")
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            remedy = (
                "Write a JSON list of rules (docs/reference/components.md, alert rules), or `none`."
            )
            raise InvalidInputError(f"--alerts {alerts}", reason, remedy) from error
        await_server()
        show_our_lines()
        parts = remove_cloud_rules() if alerts is None else create_cloud_rules(plan)
    show_parts(parts, as_json)


def show_parts(parts: Sequence[RulePart], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps([asdict(part) for part in parts], indent=2) + "\n")
        return
    for part in parts:
        state = f"{part.state:<10}" if part.state else ""
        sys.stdout.write(f"{state}{part.kind:<11} {part.name}  {part.detail}".rstrip() + "\n")
    if not parts:
        sys.stderr.write("there are no rules of ours: `edgeward rules create` makes them\n")


def print_calls(run: str, as_json: bool) -> None:
    """Print the transcript of a run, `latest` being the newest that has one."""
    from backends.aws.transcript import FILE, as_table, mask, read_calls

    runs = load_settings().root / "runs"
    if run == "latest":
        with_calls = sorted(path.parent.name for path in runs.glob(f"*/{FILE}"))
        run = with_calls[-1] if with_calls else run
    calls = read_calls(runs / run / FILE)
    if as_json:
        for call in calls:
            sys.stdout.write(mask(json.dumps(asdict(call))) + "\n")
    else:
        sys.stdout.write(as_table(calls))
