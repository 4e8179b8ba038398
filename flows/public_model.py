"""The command `edgeward public-model`: a trained model for AWS's own inference component."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from backends.artifacts import Platform
from backends.errors import InvalidInputError
from flows import completion

if TYPE_CHECKING:
    from backends.settings import Settings


@dataclass(frozen=True, slots=True)
class PublicModel:
    """What was made of a run's model, and where it lies."""

    run_id: str
    component: str
    version: str
    archives: dict[Platform, Path]
    recipe: Path
    deployment: Path


def public_model(
    run: Annotated[
        str,
        typer.Option(
            help="The run whose model it is, by its id.", autocompletion=completion.runs_or_latest
        ),
    ] = "latest",
    platform: Annotated[
        list[str] | None,
        typer.Option(
            help="linux-x86_64, linux-aarch64 or linux-armv7l; the run's. Repeatable.",
            autocompletion=completion.platforms,
        ),
    ] = None,
    into: Annotated[
        Path | None, typer.Option(help="The folder for the files; public-model in the run's.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was made, and nothing else, on stdout.")
    ] = False,
) -> None:
    """Build a run's model so that aws.greengrass.DLRImageClassification runs it unchanged.

    Example:

        edgeward public-model --run latest --platform linux-aarch64
    """
    from backends.settings import load_settings

    made = make_public_model(load_settings(), run, platform or [], into)
    if as_json:
        sys.stdout.write(json.dumps(_table(made), indent=2) + "\n")
    typer.echo(_next_steps(made), err=True)


def make_public_model(
    settings: "Settings", run_id: str, platforms: list[str], into: Path | None
) -> PublicModel:
    """Compile, check, pack and publish; raises what the steps raise."""
    from backends.connect import fleet_compiler, local_components
    from tasks.public_model import (
        find_run,
        package_for_public,
        publish_model_store,
        trained_model,
        write_cloud_files,
    )
    from tasks.recording import read_record

    run = find_run(settings.root / "runs", run_id)
    wanted = _platforms(platforms or [read_record(run)["platform"]])
    folder = into or run.folder / "public-model"
    model = trained_model(run)
    _say(f"compiling the model of run {run.id} for {', '.join(wanted)}")
    archives = package_for_public(fleet_compiler(settings), model, wanted, folder)
    component = publish_model_store(local_components(settings), archives)
    recipe, deployment = write_cloud_files(component, wanted, folder)
    return PublicModel(run.id, component.name, component.version, archives, recipe, deployment)


def _platforms(names: list[str]) -> list[Platform]:
    known = get_args(Platform)
    for name in names:
        if name not in known:
            raise InvalidInputError(
                f"--platform {name}", "no such platform", f"Take one of {', '.join(known)}."
            )
    return [platform for platform in known if platform in names]


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _table(made: PublicModel) -> dict[str, Any]:
    return {
        "run_id": made.run_id,
        "component": made.component,
        "version": made.version,
        "archives": {name: str(path) for name, path in made.archives.items()},
        "recipe": str(made.recipe),
        "deployment": str(made.deployment),
    }


def _next_steps(made: PublicModel) -> str:
    """What is left to do with an AWS account, as commands of its CLI."""
    prefix = f"s3://BUCKET_NAME/{made.component}/{made.version}/"
    copies = [f"aws s3 cp {archive} {prefix}" for archive in made.archives.values()]
    lines = (
        f"{made.component} {made.version}: {made.recipe.parent}",
        "With an account: put your bucket into recipe.json, your target into deployment.json, then",
        *(f"  {copy}" for copy in copies),
        f"  aws greengrassv2 create-component-version --inline-recipe fileb://{made.recipe}",
        f"  aws greengrassv2 create-deployment --cli-input-json file://{made.deployment}",
    )
    return "\n".join(lines)
