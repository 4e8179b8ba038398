"""Deployment (CRISP-DM 6): compile, pack, verify and publish what ships."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger, task

from backends.artifacts import (
    CompiledModel,
    ComponentVersion,
    Platform,
    Predictions,
    TrainedModel,
    Verification,
    Wheels,
)
from backends.ports import Compiler, ComponentStore, Verifier, WheelHouse
from edge.contract import INFERENCE_COMPONENT, MODEL_COMPONENT, RUNTIME_COMPONENT
from tasks.packaging import package_inference, package_model, package_runtime
from tasks.recipes import inference_recipe, model_recipe, runtime_recipe
from tasks.retrying import CALLS_BACKEND
from tasks.self_test import KnownPicture


@dataclass(frozen=True, slots=True)
class Package:
    """The zip of a compiled model, ready to be verified and published."""

    zip: Path
    compiled: CompiledModel

    @property
    def platform(self) -> Platform:
        return self.compiled.platform


@task(**CALLS_BACKEND, task_run_name="compile for {platform}")
def compile_model(
    compiler: Compiler,
    job: str,
    model: TrainedModel,
    platform: Platform,
    self_test: KnownPicture,
    into: Path,
) -> Package:
    """Compile a trained model and pack it as it ships. Raises JobError, PackageError."""
    compiled = compiler.compile(job, model, platform, get_run_logger().debug)
    package = Package(package_model(compiled, into, self_test), compiled)
    get_run_logger().info(
        "compiled for %s with %s %s: %.1f MB",
        platform,
        compiled.compiler,
        compiled.compiler_version,
        package.zip.stat().st_size / 1e6,
    )
    return package


@task(**CALLS_BACKEND, task_run_name="verify package")
def verify_package(
    verifier: Verifier, job: str, package: Package, pictures: Path, expected: Predictions
) -> Verification:
    """Run the held-out pictures through the very zip that ships, in the real runtime."""
    verified = verifier.verify(job, package.zip, package.platform, pictures, expected)
    if verified.executed:
        get_run_logger().info(
            "DLR %s: p95 %.2f ms, peak %.0f MB, largest difference %.2g",
            verified.runtime_version,
            verified.latency_p95_ms,
            verified.peak_rss_mb,
            verified.max_abs_diff,
        )
    else:
        get_run_logger().warning("%s", verified.reason)
    return verified


@task(**CALLS_BACKEND, task_run_name="gather wheels for {platform}")
def gather_wheels(house: WheelHouse, platform: Platform, python: str) -> Wheels | None:
    """Fetch what a device without a network installs; nothing, where no `python` is named."""
    if not python:
        return None
    wheels = house.gather(platform, python)
    size = sum(path.stat().st_size for path in wheels.folder.iterdir()) / 1e6
    get_run_logger().info("wheels for %s, Python %s: %.1f MB", platform, python, size)
    return wheels


@task(**CALLS_BACKEND, task_run_name="publish components")
def publish_components(
    store: ComponentStore,
    package: Package,
    into: Path,
    variant_dlr: bool = False,
    wheels: Wheels | None = None,
) -> Mapping[str, ComponentVersion]:
    """Publish model, runtime and inference component; what is unchanged keeps its version.

    `variant_dlr` and `wheels` say where the runtime comes from (tasks/recipes.py).
    """
    runtime = runtime_recipe(variant_dlr, [wheels.platform] if wheels else [])
    runtimes = [package_runtime(into)]
    if wheels:
        runtimes.append(package_runtime(into, wheels=wheels))
    recipes = {
        MODEL_COMPONENT: (model_recipe([package.platform]), [package.zip]),
        RUNTIME_COMPONENT: (runtime, runtimes),
        INFERENCE_COMPONENT: (inference_recipe(), [package_inference(into)]),
    }
    published = {
        name: store.publish(recipe, archives) for name, (recipe, archives) in recipes.items()
    }
    for name, component in published.items():
        get_run_logger().info("published %s %s", name, component.version)
    return published
