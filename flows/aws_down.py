"""`edgeward down --backend aws`: lists what is ours in the account, asks, and removes it."""

import sys

import typer

from backends.connect import aws_removal
from backends.errors import InvalidInputError
from backends.settings import load_settings


def take_down(*, sure: bool, data: bool) -> None:
    """Exits 1 where something is left, having said what. Without `sure`, a person is asked."""
    settings = load_settings()
    removal = aws_removal(settings)
    inventory = removal.find(data=data)
    for what in inventory.found:
        typer.echo(f"{what.kind}: {what.name}" + (f" ({what.detail})" if what.detail else ""))
    for unseen in inventory.unseen:
        typer.echo(f"could not look for {unseen}", err=True)
    if inventory.found:
        _ask(sure, len(inventory.found), settings.aws.prefix)
    else:
        typer.echo(f"nothing in the account has the tag edgeward={settings.aws.prefix}", err=True)
    left = 0
    for removed in removal.remove(inventory.found):
        typer.echo(f"{removed.done or 'NOT REMOVED'}: {removed.what.kind} {removed.what.name}")
        if removed.problem:
            left += 1
            typer.echo(f"  {removed.problem}", err=True)
    if not data:
        where = f"s3://{settings.aws.bucket}/{settings.aws.prefix}/"
        typer.echo(f"what is stored under {where} stays; --data removes it too", err=True)
    if left or inventory.unseen:
        typer.echo(f"left: {left} of {len(inventory.found)}; run it again", err=True)
        raise typer.Exit(1)


def _ask(sure: bool, count: int, prefix: str) -> None:
    """Raises InvalidInputError where nobody can be asked, Abort where the answer is no."""
    if sure:
        return
    if not sys.stdin.isatty():
        remedy = "Say --yes to remove what is listed."
        raise InvalidInputError("down --backend aws", "there is no terminal to ask on", remedy)
    typer.confirm(f"Remove these {count}, all tagged edgeward={prefix}?", abort=True, err=True)
