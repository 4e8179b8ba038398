"""Deployment (CRISP-DM 6) to a fleet that runs AWS's own inference component.

aws.greengrass.DLRImageClassification takes its model from the newest version of the model store in
the account that it accepts: ours, above AWS's own versions and below the next minor one.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backends.artifacts import ComponentVersion, Platform, TrainedModel
from backends.errors import InvalidInputError
from backends.files import replace_file
from backends.ports import Compiler, ComponentStore
from tasks.job_names import job_name
from tasks.packaging import package_public_model
from tasks.recipes import PUBLIC_MODEL_STORE, model_store_recipe
from tasks.recording import Run, read_record
from tasks.registry import digest_of

logger = logging.getLogger(__name__)

FIRST_VERSION = "2.1.100"
"""Of the model store: the public component wants >=2.1.0 <2.2.0, and AWS's own are far below."""

PUBLIC_COMPONENT = "aws.greengrass.DLRImageClassification"
PUBLIC_VERSION = "2.1.13"
INTERVAL_SECONDS = "5"
LATEST = "latest"

_SHIPPED = ("deployed", "packaged")
_TARGET = "arn:aws:iot:REGION:ACCOUNT:thinggroup/GROUP"


def find_run(runs: Path, name: str) -> Run:
    """The run `name`, or the newest whose model passed its gates. Raises InvalidInputError."""
    if name != LATEST:
        run = Run(name, runs / name)
        if Path(name).name != name or not run.record.is_file():
            raise InvalidInputError(f"--run {name}", "no such run", f"They lie in {runs}.")
        if (status := read_record(run)["status"]) not in _SHIPPED:
            raise InvalidInputError(
                f"--run {name}",
                f"it ended {status}: {read_record(run)['reason']}",
                "Take a run whose model passed its gates.",
            )
        return run
    for record in sorted(runs.glob("*/run.json"), reverse=True):
        run = Run(record.parent.name, record.parent)
        if read_record(run)["status"] in _SHIPPED:
            return run
    raise InvalidInputError("--run latest", f"no run in {runs} was deployed", "`edgeward run`.")


def trained_model(run: Run) -> TrainedModel:
    """What `run` trained, as its record tells. Raises InvalidInputError where it is gone."""
    record = read_record(run)
    training = record["training"]
    archive = Path(training.get("archive", ""))
    if not archive.is_file():
        where = f"the trained model {archive} is gone" if archive.name else "it names no model"
        raise InvalidInputError(f"run {run.id}", where, "Run `edgeward run` again.")
    _, height, width = map(int, training["hyperparameters"]["image_shape"].split(","))
    return TrainedModel(
        archive=archive,
        classes=tuple(record["split"]["classes"]),
        width=width,
        height=height,
        epochs=(),
        seconds=training["seconds"],
        images_per_second=training["images_per_second"],
        hyperparameters=training["hyperparameters"],
    )


def package_for_public(
    compiler: Compiler,
    model: TrainedModel,
    platforms: Sequence[Platform],
    into: Path,
) -> dict[Platform, Path]:
    """Compile a model for the public component, and pack it: a zip for each platform.

    Raises JobError, PackageError (what must not ship).
    """
    digest = digest_of(model.archive)
    made = {}
    for platform in platforms:
        job = job_name("compile", digest, platform, "public-component")
        compiled = compiler.compile(job, model, platform, logger.debug, "public-component")
        made[platform] = package_public_model(compiled, into)
    return made


def publish_model_store(
    store: ComponentStore, archives: Mapping[Platform, Path]
) -> ComponentVersion:
    """Publish the archives as the next version of the model store; the same ones keep theirs."""
    recipe = model_store_recipe(archives)
    return store.publish(recipe, list(archives.values()), first=FIRST_VERSION)


def write_cloud_files(
    component: ComponentVersion, platforms: Sequence[Platform], into: Path
) -> tuple[Path, Path]:
    """Write what CreateComponentVersion and CreateDeployment take: recipe.json, deployment.json.

    The bucket and the target are still to be filled in: REGION, ACCOUNT, GROUP, BUCKET_NAME.
    """
    recipe = json.dumps(cloud_recipe(component.version, platforms), indent=2) + "\n"
    deployment = json.dumps(deployment_document(component.version), indent=2) + "\n"
    files = into / "recipe.json", into / "deployment.json"
    for path, text in zip(files, (recipe, deployment), strict=True):
        replace_file(path, text, mode=0o644)
    return files


def cloud_recipe(version: str, platforms: Sequence[Platform]) -> dict[str, Any]:
    """The model store's recipe for an account; the cloud fills in the digests."""
    text = json.dumps(model_store_recipe(platforms))
    text = text.replace("COMPONENT_NAME", PUBLIC_MODEL_STORE).replace("COMPONENT_VERSION", version)
    recipe: dict[str, Any] = json.loads(text)
    return {"RecipeFormatVersion": recipe["RecipeFormatVersion"], "ComponentVersion": version} | {
        key: value for key, value in recipe.items() if key != "RecipeFormatVersion"
    }


def deployment_document(version: str) -> dict[str, Any]:
    """A CreateDeployment request. variant.DLR comes with it, in the version that AWS's wants."""
    return {
        "targetArn": _TARGET,
        "deploymentName": f"{PUBLIC_MODEL_STORE} {version}",
        "components": {
            PUBLIC_COMPONENT: {
                "componentVersion": PUBLIC_VERSION,
                "configurationUpdate": {
                    "merge": json.dumps({"InferenceInterval": INTERVAL_SECONDS})
                },
            },
            PUBLIC_MODEL_STORE: {"componentVersion": version},
        },
        "deploymentPolicies": {"failureHandlingPolicy": "ROLLBACK"},
    }
