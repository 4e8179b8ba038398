"""The commands for a fleet: thing groups, deployments to targets, simulated devices."""

import json
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from flows import completion

Json = Annotated[
    bool, typer.Option("--json", help="Print the record, and nothing else, on stdout.")
]
Group = Annotated[
    str,
    typer.Argument(
        metavar="GROUP", help="The thing group's name.", autocompletion=completion.groups
    ),
]
Things = Annotated[
    list[str],
    typer.Argument(metavar="THING...", help="Names of things.", autocompletion=completion.things),
]
Deployment = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="The deployment's id.", autocompletion=completion.deployments
    ),
]


def add_to(
    app: typer.Typer,
    device: typer.Typer,
    command: Callable[[Callable[..., None]], Callable[..., None]],
) -> None:
    """`command` gives each function the command line's way of reporting errors."""
    group = typer.Typer(help="Thing groups: devices that get the same.", no_args_is_help=True)
    group.command("list")(command(list_groups))
    group.command("add")(command(add_things))
    group.command("remove")(command(remove_things))
    app.add_typer(group, name="group")
    app.command("deploy")(command(deploy))
    deployment = typer.Typer(help="Deployments, and how far they are.", no_args_is_help=True)
    deployment.command("list")(command(list_deployments))
    deployment.command("show")(command(show_deployment))
    deployment.command("cancel")(command(cancel_deployment))
    app.add_typer(deployment, name="deployment")
    device.command("simulate")(command(simulate))


def list_groups(as_json: Json = False) -> None:
    """List the thing groups and who is in them.

    Example:

        edgeward group list
    """
    from flows.terminal import fleet

    groups = fleet().groups.all()
    if as_json:
        _print_json(groups)
    for name, things in sorted(groups.items()) if not as_json else ():
        typer.echo(f"{name}: {', '.join(things) or 'nobody'}")
    if not groups and not as_json:
        typer.echo("no thing group yet: `edgeward group add GROUP THING` makes one", err=True)


def add_things(group: Group, things: Things) -> None:
    """Put things into a group, making it if need be; they get its latest deployment.

    Example:

        edgeward group add porch hub-1 hub-2
    """
    from flows.terminal import fleet

    devices = fleet()
    for thing in things:
        devices.device(thing)
    typer.echo(f"{group}: {', '.join(devices.groups.add(group, things))}", err=True)


def remove_things(group: Group, things: Things) -> None:
    """Take things out of a group; what it brought leaves them at their next deployment.

    Example:

        edgeward group remove porch hub-2
    """
    from flows.terminal import fleet

    left = fleet().groups.remove(group, things)
    typer.echo(f"{group}: {', '.join(left) or 'nobody'}", err=True)


def deploy(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="thing/NAME or group/NAME.", autocompletion=completion.targets
        ),
    ],
    component: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=VERSION",
            help="A version, or a requirement. Repeatable.",
            autocompletion=completion.components,
        ),
    ],
    merge: Annotated[
        str,
        typer.Option(
            metavar="FILE|JSON", help="Configuration to merge: an object by component name."
        ),
    ] = "",
    reset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=/POINTER", help="Configuration to reset first; /: all of it. Repeatable."
        ),
    ] = None,
    title: Annotated[str, typer.Option("--name", help="What to call the deployment.")] = "",
    rate: Annotated[
        int | None, typer.Option(metavar="N", help="Most things to notify in a minute, 1 to 1000.")
    ] = None,
    exponential: Annotated[
        str,
        typer.Option(
            metavar="BASE,FACTOR,NOTIFIED",
            help="Begin with BASE a minute; multiply by FACTOR after each NOTIFIED things "
            "(5,2,10s: after each 10 that succeeded).",
        ),
    ] = "",
    abort: Annotated[
        str,
        typer.Option(
            metavar="PERCENT[,THINGS]",
            help="Stop when so many per cent failed, once THINGS (1) have ended.",
        ),
    ] = "",
    timeout: Annotated[
        int | None,
        typer.Option(metavar="MINUTES", help="A thing in progress for longer has TIMED_OUT."),
    ] = None,
    rollback: Annotated[
        bool, typer.Option(help="A device that fails goes back to what it had.")
    ] = True,
    wait: Annotated[
        bool, typer.Option(help="Wait until all that can be reached have ended.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Deploy components to a thing or a thing group; they replace what it was given before.

    A device that is away is pending, not failed: it takes the deployment when it returns. The
    rollout goes on when this command ends.

    Examples:

        edgeward deploy thing/hub-1 --component my.App=1.2.0

        edgeward deploy group/porch --component "my.App=^1.0.0" --merge '{"my.App": {"Level": 3}}'

        edgeward deploy group/all --component my.App=1.3.0 --rate 10 --abort 20,5 --timeout 10

        edgeward deploy group/all --component my.App=1.3.0 --exponential 5,2,10 --no-wait
    """
    from flows.fleet_terminal import deploy_to
    from flows.fleet_words import request_of

    request = request_of(
        target,
        component,
        merge,
        reset or [],
        name=title,
        rate=rate,
        exponential=exponential,
        abort=abort,
        timeout=timeout,
        rollback=rollback,
    )
    deploy_to(request, wait=wait, as_json=as_json)


def list_deployments(as_json: Json = False) -> None:
    """List the deployments, the newest first.

    Example:

        edgeward deployment list
    """
    from flows.fleet_terminal import show_deployments

    show_deployments(as_json)


def show_deployment(identifier: Deployment, as_json: Json = False) -> None:
    """Show one deployment: what it is, and where each thing is with it.

    Example:

        edgeward deployment show 3f0c1f0e-6f0b-4a57-9d0e-0d6c5f1f7a11
    """
    from flows.fleet_terminal import show_deployment as show

    show(identifier, as_json)


def cancel_deployment(identifier: Deployment) -> None:
    """Stop a deployment: things that have not begun never will; those that have go on.

    Example:

        edgeward deployment cancel 3f0c1f0e-6f0b-4a57-9d0e-0d6c5f1f7a11
    """
    from flows.fleet_terminal import cancel

    cancel(identifier)


def simulate(
    count: Annotated[int, typer.Argument(min=1, max=1000, help="How many devices.")],
    group: Annotated[
        str,
        typer.Option(help="The thing group to put them in.", autocompletion=completion.groups),
    ] = "",
    prefix: Annotated[str, typer.Option(help="Their names are PREFIX-1, PREFIX-2, …")] = "sim",
) -> None:
    """Start many devices in one process, to see what a deployment does to a fleet.

    Example:

        edgeward device simulate 200 --group everything
    """
    from flows.terminal import fleet

    things = fleet().simulate(count, prefix, group)
    typer.echo(f"{things[0]} to {things[-1]} are running, in one process", err=True)
    target = f"group/{group}" if group else f"thing/{things[0]}"
    typer.echo(f"next: edgeward deploy {target} --component NAME=VERSION", err=True)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
