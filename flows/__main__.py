"""The command line: a thin shell over the flows.

Only Typer is imported here; each command imports what it needs, so that `--help` answers at once.
Results go to stdout, everything for people to stderr.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Literal

import typer

from backends.errors import EdgewardError, GateRefusedError
from flows import (
    aws_commands,
    baseline_commands,
    completion,
    fleet_commands,
    label_commands,
    operating_commands,
    retrain_commands,
    telemetry_commands,
    variant_commands,
)
from flows.alert_commands import alerts
from flows.doctor_command import doctor
from flows.example_commands import fetch, list_examples
from flows.public_model import public_model
from flows.rollback_commands import rollback
from flows.streams import finish, nobody_reads, prepare

app = typer.Typer(
    help="Take an image classifier from data to edge devices, and keep it honest there.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
device = typer.Typer(help="The core devices on this machine.", no_args_is_help=True)
app.add_typer(device, name="device")
examples = typer.Typer(
    help="Pictures that a device's model was unsure of, fetched for the next training.",
    no_args_is_help=True,
)
app.add_typer(examples, name="examples")

Json = Annotated[
    bool, typer.Option("--json", help="Print the record, and nothing else, on stdout.")
]
Nucleus = Literal["classic", "lite"]
Thing = Annotated[
    str, typer.Argument(help="The device's thing name.", autocompletion=completion.things)
]
Things = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME...", help="Thing names of devices.", autocompletion=completion.things
    ),
]


@contextmanager
def _answered() -> Iterator[None]:
    """Turn an error into one clear message and the exit status that belongs to it."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except GateRefusedError as error:
        raise typer.Exit(error.exit_status) from error  # the summary has said which, and why
    except EdgewardError as error:
        typer.echo(f"edgeward: {error}", err=True)
        raise typer.Exit(error.exit_status) from error
    except KeyboardInterrupt as error:
        typer.echo("edgeward: interrupted; run the same command again to go on", err=True)
        raise typer.Exit(1) from error
    except OSError as error:
        if nobody_reads():
            raise  # to the end, without a word
        typer.echo(f"edgeward: {error}", err=True)
        raise typer.Exit(1) from error
    except Exception as error:  # a bug of ours: one line, and where the rest is
        typer.echo(f"edgeward: unexpected {type(error).__name__}: {error}", err=True)
        typer.echo("This is a fault of Edgeward; a run's folder holds its traceback.txt.", err=True)
        raise typer.Exit(1) from error


def _command[**P](function: Callable[P, None]) -> Callable[P, None]:
    @wraps(function)
    def call(*arguments: P.args, **options: P.kwargs) -> None:
        with _answered():
            function(*arguments, **options)

    return call


@app.command()
@_command
def run(
    data: Annotated[
        str,
        typer.Option(
            help="driveway, folder:PATH, caltech256[:URL] or recordio:PATH.",
            autocompletion=completion.sources,
        ),
    ] = "driveway",
    targets: Annotated[
        Path | None,
        typer.Option(
            help="The limits of every gate. Without it: targets.toml for the driveway, "
            "modest defaults for other data."
        ),
    ] = None,
    platform: Annotated[
        str,
        typer.Option(
            help="linux-x86_64, linux-aarch64 or linux-armv7l.",
            autocompletion=completion.platforms,
        ),
    ] = "linux-x86_64",
    thing: Annotated[
        str, typer.Option(help="The device to deploy to.", autocompletion=completion.things)
    ] = "hub-1",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A hyperparameter (epochs=5), or split.KEY, driveway.KEY, device.KEY. Repeatable.",
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GATE",
            help="Go on past this gate; it is recorded. Repeatable.",
            autocompletion=completion.gates,
        ),
    ] = None,
    collected: Annotated[
        bool,
        typer.Option(help="Whether to learn from what devices collected and people labelled, too."),
    ] = True,
    as_json: Json = False,
) -> None:
    """Run the full cycle: ingest, validate, train, evaluate, compile, verify, deploy, check.

    Examples:

        edgeward run

        edgeward run --data folder:~/pictures --set epochs=30

        edgeward run --targets strict.toml --json
    """
    from flows.terminal import run_cycle

    chosen, passed = settings or [], override or []
    run_cycle(data, targets, platform, thing, chosen, passed, as_json, collected)


@app.command()
@_command
def monitor(
    thing: Annotated[
        str, typer.Option(help="The device to look at.", autocompletion=completion.things)
    ] = "hub-1",
    group: Annotated[
        str,
        typer.Option(help="Look at a group of devices instead.", autocompletion=completion.groups),
    ] = "",
    fleet: Annotated[
        bool, typer.Option("--fleet", help="Look at all devices together instead.")
    ] = False,
    targets: Annotated[
        Path | None, typer.Option(help="Where the limits come from: its table drift.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare what was reported since the last look with the training baseline.

    Examples:

        edgeward monitor --thing hub-1

        edgeward monitor --fleet --json
    """
    from flows.monitor_terminal import run_monitor

    run_monitor(thing, group, fleet, targets, as_json)


@app.command()
@_command
def results(
    thing: Annotated[
        str,
        typer.Option(help="Only this device's; empty: all.", autocompletion=completion.things),
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more, until Ctrl-C.")] = False,
    count: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = 10,
    as_json: Json = False,
) -> None:
    """Show what the devices saw: the newest results of the last 24 hours.

    With backend kind aws: those that the rules stored, of one --thing.

    Examples:

        edgeward results --thing hub-1 --count 3

        edgeward results --follow --json
    """
    from flows.terminal import show_results

    show_results(thing, follow, count, as_json)


@app.command()
@_command
def down(
    backend: Annotated[
        Literal["local", "aws"],
        typer.Option(help="local: what runs on this machine; aws: what was made in the account."),
    ] = "local",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask (aws).")] = False,
    data: Annotated[
        bool, typer.Option("--data", help="Also what is stored in S3 under the prefix (aws).")
    ] = False,
) -> None:
    """Stop everything that was started on this machine: worker, devices, broker, server.

    With --backend aws: list what Edgeward made in the AWS account (found by its tag), ask, and
    remove it; ends 1 with what is left.

    Examples:

        edgeward down

        edgeward down --backend aws
    """
    if backend == "aws":
        from flows.aws_down import take_down

        take_down(sure=yes, data=data)
        return
    from flows.operating import bring_down

    bring_down()


app.command()(_command(doctor))
operating_commands.add_to(app, _command)
fleet_commands.add_to(app, device, _command)
aws_commands.add_to(app, _command)
telemetry_commands.add_to(app, _command)
baseline_commands.add_to(app, _command)
app.command("public-model")(_command(public_model))


@device.command("list")
@_command
def list_devices(as_json: Json = False) -> None:
    """List the devices of this machine.

    Example:

        edgeward device list
    """
    from flows.terminal import show_devices

    show_devices(None, as_json)


@device.command()
@_command
def status(name: Thing, as_json: Json = False) -> None:
    """Show one device: its components, their states and why, how each target's deployment ended.

    Example:

        edgeward device status hub-1
    """
    from flows.terminal import show_devices

    show_devices(name, as_json)


@device.command()
@_command
def start(
    names: Things,
    nucleus: Annotated[
        Nucleus | None,
        typer.Option(help="Behave like this kind of nucleus from now on. New devices are classic."),
    ] = None,
) -> None:
    """Start devices; each brings up what was last deployed to it, with or without a network.

    Examples:

        edgeward device start hub-1

        edgeward device start hub-2 hub-3 --nucleus lite
    """
    from flows.terminal import fleet, show_started

    for name in names:
        fleet().start_device(name, nucleus)
        show_started(name)


@device.command()
@_command
def stop(names: Things) -> None:
    """Stop devices and their components.

    Example:

        edgeward device stop hub-1
    """
    from flows.terminal import fleet

    for name in names:
        was = "is stopped" if fleet().stop_device(name) else "was not running"
        typer.echo(f"{name} {was}", err=True)


@device.command()
@_command
def offline(name: Thing) -> None:
    """Take a device's network away; what is deployed meanwhile waits until it is online.

    It stays offline over a restart.

    Example:

        edgeward device offline hub-1
    """
    from flows.terminal import fleet

    fleet().set_network(name, on=False)
    typer.echo(f"{name} is offline", err=True)


@device.command()
@_command
def online(name: Thing) -> None:
    """Give a device its network back; it sends and takes what has waited.

    Example:

        edgeward device online hub-1
    """
    from flows.terminal import fleet

    fleet().set_network(name, on=True)
    typer.echo(f"{name} is online", err=True)


@device.command()
@_command
def logs(
    name: Thing,
    component: Annotated[
        str, typer.Option(help="Only this component's; greengrass: the device's own.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines.")] = 50,
) -> None:
    """Print the last lines of a device's logs, component by component.

    Examples:

        edgeward device logs hub-1

        edgeward device logs hub-1 --component greengrass --follow
    """
    from flows.device_logs import show_logs

    show_logs(name, component, lines, follow)


variant_commands.add_to(app, _command)
label_commands.add_to(app, _command)
retrain_commands.add_to(app, _command)


app.command()(_command(alerts))
app.command()(_command(rollback))
examples.command()(_command(fetch))
examples.command("list")(_command(list_examples))


def main() -> None:
    """The console script `edgeward`."""
    prepare()
    try:
        app()
    finally:
        finish()


if __name__ == "__main__":
    main()
