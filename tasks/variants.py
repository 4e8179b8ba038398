"""Deployment (CRISP-DM 6): a second model beside the first, on a device that runs already."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prefect import get_run_logger, task

from backends.artifacts import ComponentVersion, Platform
from backends.errors import InvalidInputError
from backends.ports import ComponentArchive, ComponentStore, DeployedFleet, ResultsSource
from edge.contract import CHALLENGER_COMPONENT, INFERENCE_COMPONENT, MODEL_COMPONENT
from tasks.packaging import model_stem
from tasks.recipes import PLATFORMS, challenger_recipe
from tasks.retrying import CALLS_BACKEND
from tasks.variant_comparison import Heard, sort_results

ALL = 1_000_000
Mode = Literal["shadow", "split"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall run on a device, and how it is configured."""

    components: Mapping[str, str]
    merge: Mapping[str, Mapping[str, object]]


@task(**CALLS_BACKEND, task_run_name="read what {thing} runs")
def read_deployed(fleet: DeployedFleet, thing: str) -> Wanted:
    """What was last deployed to a thing."""
    components, merge = fleet.deployed(thing)
    return Wanted(components, merge)


@task(**CALLS_BACKEND, task_run_name="hear variants of {thing}")
def hear_variants(fleet: ResultsSource, thing: str, since: str) -> Heard | None:
    """What the two models said that stood against each other last, after a moment (ISO 8601)."""
    return sort_results(fleet.results(thing, since, ALL, timeout=0))


@task(**CALLS_BACKEND, task_run_name="publish challenger")
def publish_challenger(
    store: ComponentStore, archive: ComponentArchive, version: str
) -> ComponentVersion:
    """Publish the very package of a model version once more, as a challenger.

    The same version again gives the same challenger.
    """
    with tempfile.TemporaryDirectory(prefix="edgeward-challenger-") as scratch:
        packages = archive.fetch(MODEL_COMPONENT, version, Path(scratch))
        stems = {path.stem for path in packages}
        platforms: list[Platform] = [name for name in PLATFORMS if model_stem(name) in stems]
        published = store.publish(challenger_recipe(platforms, version), packages)
    get_run_logger().info("model %s is %s %s", version, published.name, published.version)
    return published


def with_challenger(running: Wanted, challenger: str, mode: Mode, share: float) -> Wanted:
    """What runs, and a version of the challenger component beside it."""
    components = {**running.components, CHALLENGER_COMPONENT: challenger}
    return Wanted(components, _configured(running.merge, mode, share))


def check_challenge(thing: str, running: Wanted, model: str) -> None:
    """Raise InvalidInputError where there is nothing that the model version could challenge."""
    champion = running.components.get(MODEL_COMPONENT)
    if champion is None or INFERENCE_COMPONENT not in running.components:
        raise InvalidInputError(
            thing, "runs no model yet", f"Deploy one: `edgeward run --thing {thing}`."
        )
    if champion == model:
        raise InvalidInputError(
            f"--model {model}", f"{thing} runs that very version", "Name another one."
        )


def without_challenger(thing: str, running: Wanted) -> Wanted:
    """What runs, less the challenger. Raises InvalidInputError where there is none."""
    if CHALLENGER_COMPONENT not in running.components:
        raise InvalidInputError(
            thing,
            "runs no variant",
            f"Start one: `edgeward variant start {thing} --model VERSION`.",
        )
    components = {n: v for n, v in running.components.items() if n != CHALLENGER_COMPONENT}
    merge = {n: v for n, v in running.merge.items() if n != CHALLENGER_COMPONENT}
    return Wanted(components, _configured(merge, "off", None))


def _configured(
    merge: Mapping[str, Mapping[str, object]], mode: str, share: float | None
) -> dict[str, Mapping[str, object]]:
    changed: dict[str, object] = {**merge.get(INFERENCE_COMPONENT, {}), "VariantMode": mode}
    if share is not None:
        changed["VariantShare"] = str(share)
    return {**merge, INFERENCE_COMPONENT: changed}
