"""The commands for an AWS account: topic rules, policies, what was called, and taking it away."""

import json
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from flows import completion

Json = Annotated[
    bool, typer.Option("--json", help="Print the record, and nothing else, on stdout.")
]


def add_to(app: typer.Typer, command: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
    """`command` gives each function the command line's way of reporting errors."""
    rules = typer.Typer(
        help="What the cloud does with the devices' messages (AWS).", no_args_is_help=True
    )
    rules.command("create")(command(create_rules))
    rules.command("remove")(command(remove_rules))
    rules.command("list")(command(list_rules))
    app.add_typer(rules, name="rules")
    aws = typer.Typer(help="What runs did in the AWS account.", no_args_is_help=True)
    aws.callback()(lambda: None)  # a group of one command would be that command
    aws.command("calls")(command(show_calls))
    app.add_typer(aws, name="aws")
    app.command("policies")(command(policies))


def create_rules(
    alerts: Annotated[
        str,
        typer.Option(
            metavar="JSON",
            help="A device's alert rules, whose labels people are told of; `none`; or `example`: "
            "those of the driveway.",
        ),
    ] = "example",
    as_json: Json = False,
) -> None:
    """Store results and statistics in S3, and tell people of alerts by SNS; change what differs.

    Examples:

        edgeward rules create

        edgeward rules create --alerts none
    """
    from flows.aws_terminal import change_rules

    change_rules(alerts, as_json)


def remove_rules(as_json: Json = False) -> None:
    """Take away the rules and their SNS topics; what they stored stays.

    Example:

        edgeward rules remove
    """
    from flows.aws_terminal import change_rules

    change_rules(None, as_json)


def list_rules(as_json: Json = False) -> None:
    """List the rules that are in the account, and what each says.

    Example:

        edgeward rules list
    """
    from backends.connect import cloud_rules
    from backends.settings import load_settings
    from flows.aws_terminal import show_parts

    show_parts(cloud_rules(load_settings()).present(), as_json)


def show_calls(
    run: Annotated[
        str,
        typer.Argument(help="A run's id, or `latest`.", autocompletion=completion.runs_or_latest),
    ] = "latest",
    as_json: Json = False,
) -> None:
    """Print what a run asked of AWS as a Markdown table, account ids masked.

    Example:

        edgeward aws calls latest
    """
    from flows.aws_terminal import print_calls

    print_calls(run, as_json)


def policies(
    name: Annotated[
        str, typer.Option("--print", metavar="NAME", help="Only this one; without it: the names.")
    ] = "",
) -> None:
    """Print an IAM policy with the settings filled in, least privilege for what is done here.

    Example:

        edgeward policies --print pipeline
    """
    from backends.aws.policy_files import policy_names, rendered
    from backends.settings import load_settings

    if not name:
        typer.echo("\n".join(policy_names()))
        return
    print_json(rendered(name, load_settings().aws))


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
