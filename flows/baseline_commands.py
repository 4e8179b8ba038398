"""The commands about baselines: in SageMaker Model Monitor's files, and from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer, command: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
    """`command` gives each function the command line's way of reporting errors."""
    baseline = typer.Typer(
        help="What a model sees when all is well, in SageMaker Model Monitor's files.",
        no_args_is_help=True,
    )
    app.add_typer(baseline, name="baseline")
    baseline.command("export")(command(export))
    baseline.command("import")(command(take))


def export(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The model version.")],
    into: Annotated[Path, typer.Option(help="The folder for the files.")] = Path("baseline"),
    targets: Annotated[
        Path | None, typer.Option(help="Where the threshold, max_psi, comes from.")
    ] = None,
) -> None:
    """Write a model's baseline as statistics.json and constraints.json.

    Example:

        edgeward baseline export 1.0.3 --into monitor
    """
    from backends.errors import InvalidInputError
    from backends.settings import load_settings
    from tasks.business_understanding import Targets, load_targets
    from tasks.drift.baseline import load_baseline
    from tasks.telemetry.model_monitor import write_model_monitor

    found = load_baseline(load_settings().root / "baselines", version)
    if found is None:
        raise InvalidInputError(version, "it has no baseline", "Deploy it: `edgeward run`.")
    limits = load_targets(targets) if targets else Targets()
    written = write_model_monitor(found.together, into, limits.drift.max_psi)
    typer.echo(written.statistics)
    typer.echo(written.constraints)


def take(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A statistics.json.")],
    version: Annotated[str, typer.Option(help="The model version that it is the baseline of.")],
    replace: Annotated[bool, typer.Option("--replace", help="Also where there is one.")] = False,
) -> None:
    """Keep a statistics.json as the baseline of a model version.

    Example:

        edgeward baseline import monitor/statistics.json --version 1.0.3
    """
    from backends.errors import InvalidInputError
    from backends.settings import load_settings
    from tasks.drift.baseline import Baseline, Regime, load_baseline, write_baseline
    from tasks.origins import SOURCE
    from tasks.telemetry.model_monitor import read_statistics

    folder = load_settings().root / "baselines"
    summary = read_statistics(file, version)
    if not replace and load_baseline(folder, version) is not None:
        raise InvalidInputError(version, "it has a baseline", "Say --replace to lose that one.")
    if (folder / f"{version}.json").parent != folder:
        raise InvalidInputError(version, "it is no version", "Write it like 1.0.3.")
    classes = tuple(sorted(summary.labels))
    typer.echo(write_baseline(Baseline(version, classes, (Regime(SOURCE, summary),)), folder))
