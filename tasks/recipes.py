"""Deployment (CRISP-DM 6), recipes: what tells a Greengrass core device how to install and run us.

They run on the classic nucleus and on nucleus lite alike (backends/recipe_rules.py). Lite knows no
variables of other components, so components point at each other with files in their work folders:
the model writes `location`, the runtime an executable `python`. A recipe has no version: the
component store gives it one.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from backends.artifacts import Platform
from backends.recipe_rules import FORMAT_VERSION
from edge.contract import (
    DEFAULT_CONFIGURATION,
    INFERENCE_COMPONENT,
    MODEL_COMPONENT,
    MODEL_LOCATION,
    RUNTIME_COMPONENT,
    RUNTIME_PYTHON,
)
from tasks.packaging import INFERENCE_STEM, PUBLIC_STEM, model_stem, runtime_stem

PUBLISHER = "Edgeward"
ARCHITECTURE: dict[Platform, str] = {
    "linux-x86_64": "amd64",
    "linux-aarch64": "aarch64",
    "linux-armv7l": "arm",
}
PUBLIC_MODEL_STORE = "variant.DLR.ImageClassification.ModelStore"
PLATFORMS: tuple[Platform, ...] = tuple(ARCHITECTURE)

VARIANT_DLR = "variant.DLR"
_VARIANT_VERSIONS = ">=1.6.5 <1.7.0"
# Where variant.DLR makes its environment: by venv on ARM, by conda on x86_64.
_VARIANT_PYTHON = ":".join(
    f"../variant.DLR/greengrass_ml/greengrass_ml_dlr_{kind}/bin/python"
    for kind in ("venv", "conda")
)

_COMPATIBLE = ">=1.0.0 <2.0.0"
_PIP_SECONDS = "900"

# `basename` of the unpacked folder is the component's version, for which there is no variable.
_POINT_AT_MODEL = """\
model="{{artifacts:decompressedPath}}/{stem}"
if ! test -f "$model/compiled.meta"; then
  echo "the model's archive was not unpacked to $model: deploy it from S3" >&2
  exit 1
fi
{check}version=$(basename "{{artifacts:decompressedPath}}")
printf '%s\\n%s\\n' "$model" "$version" > {location}.new
mv {location}.new {location}
"""
_NO_ARMV6 = """\
if test "$(uname -m)" = armv6l; then
  echo "this model is for ARMv7, and the CPU is an ARMv6" >&2
  exit 1
fi
"""
_INSTALL_RUNTIME = """\
set -- "{{artifacts:decompressedPath}}/{stem}" "{{configuration:/Python}}"
if ! test -f "$1/install_runtime.py"; then
  echo "the archive was not unpacked to $1: deploy it from S3" >&2
  exit 1
fi
exec python3 -u "$1/install_runtime.py" --python "$2" --requirements "$1/requirements.txt" --work .
"""


def model_recipe(platforms: Iterable[Platform]) -> dict[str, Any]:
    """The model component, with one manifest per platform that was compiled for."""
    return _recipe(
        MODEL_COMPONENT,
        "An image classifier, compiled for the device's CPU.",
        [
            _manifest(
                platform, model_stem(platform), {"Install": {"Script": _model_script(platform)}}
            )
            for platform in platforms
        ],
    )


def model_store_recipe(platforms: Iterable[Platform]) -> dict[str, Any]:
    """The model store of AWS's public inference component, with our model in it; nothing to run."""
    return _recipe(
        PUBLIC_MODEL_STORE,
        "An image classifier that aws.greengrass.DLRImageClassification runs unchanged.",
        [_manifest(platform, PUBLIC_STEM[platform], {}) for platform in platforms],
    )


def runtime_recipe(variant_dlr: bool = False, wheels: Collection[Platform] = ()) -> dict[str, Any]:
    """The runtime component: an interpreter with DLR, found (`Python`) or installed (empty).

    `variant_dlr`: found where AWS's runtime component makes it. `wheels`: the platforms that have
    an archive of their own, from which it is installed without a network.
    """
    stems = {name: runtime_stem(name if name in wheels else None) for name in PLATFORMS}
    return _recipe(
        RUNTIME_COMPONENT,
        "The DLR runtime and what else the inference component imports.",
        [_manifest(name, stem, _installation(stem)) for name, stem in stems.items()],
        configuration={"Python": _VARIANT_PYTHON if variant_dlr else ""},
        dependencies={VARIANT_DLR: _VARIANT_VERSIONS} if variant_dlr else None,
    )


def _installation(stem: str) -> dict[str, Any]:
    return {"Install": {"Script": _INSTALL_RUNTIME.format(stem=stem), "Timeout": _PIP_SECONDS}}


def inference_recipe() -> dict[str, Any]:
    """The inference component: the folder edge/, run by the runtime component's interpreter."""
    lifecycle = {
        "Setenv": {"PYTHONPATH": "{artifacts:decompressedPath}/" + INFERENCE_STEM},
        "Run": {"Script": f"exec ../{RUNTIME_COMPONENT}/{RUNTIME_PYTHON} -u -m edge"},
    }
    return _recipe(
        INFERENCE_COMPONENT,
        "Classifies pictures on the device and publishes what it sees.",
        [_manifest(platform, INFERENCE_STEM, lifecycle) for platform in PLATFORMS],
        configuration=DEFAULT_CONFIGURATION,
        dependencies={RUNTIME_COMPONENT: _COMPATIBLE, MODEL_COMPONENT: _COMPATIBLE},
    )


def _recipe(
    name: str,
    description: str,
    manifests: list[dict[str, Any]],
    configuration: Mapping[str, Any] | None = None,
    dependencies: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    recipe: dict[str, Any] = {
        "RecipeFormatVersion": FORMAT_VERSION,
        "ComponentName": name,
        "ComponentDescription": description,
        "ComponentPublisher": PUBLISHER,
        "ComponentType": "aws.greengrass.generic",
    }
    if configuration:
        recipe["ComponentConfiguration"] = {"DefaultConfiguration": dict(configuration)}
    needed = {
        other: {"VersionRequirement": versions, "DependencyType": "HARD"}
        for other, versions in (dependencies or {}).items()
    }
    if needed:
        recipe["ComponentDependencies"] = needed
    recipe["Manifests"] = manifests
    return recipe


def _manifest(platform: Platform, stem: str, lifecycle: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Name": platform,
        # `runtime` is what nucleus lite asks for; "*" is any nucleus
        "Platform": {"os": "linux", "architecture": ARCHITECTURE[platform], "runtime": "*"},
        "Lifecycle": dict(lifecycle),
        "Artifacts": [
            {
                "Uri": f"s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/{stem}.zip",
                "Unarchive": "ZIP",
                # other components read it: the inference component loads the model
                "Permission": {"Read": "ALL", "Execute": "NONE"},
            }
        ],
    }


def _model_script(platform: Platform) -> str:
    return _POINT_AT_MODEL.format(
        stem=model_stem(platform),
        check=_NO_ARMV6 if platform == "linux-armv7l" else "",
        location=MODEL_LOCATION,
    )
