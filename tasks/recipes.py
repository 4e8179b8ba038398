"""Deployment (CRISP-DM 6), recipes: what tells a Greengrass core device how to install and run us.

They run on the classic nucleus and on nucleus lite alike (backends/recipe_rules.py). Lite knows no
variables of other components, so components point at each other with files in their work folders:
the model writes `location`, the runtime an executable `python`, the inference component an
executable `check-model`, which a new model must pass before `location` moves. A recipe has no
version: the component store gives it one.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from backends.artifacts import Platform
from backends.recipe_rules import FORMAT_VERSION
from edge.contract import (
    CHALLENGER_COMPONENT,
    CHECK_MODEL,
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
_START_SECONDS = "300"

# `basename` of the unpacked folder is the component's version, for which there is no variable.
_VERSION = '$(basename "{artifacts:decompressedPath}")'
_POINT_AT_MODEL = """\
model="{{artifacts:decompressedPath}}/{stem}"
if ! test -f "$model/compiled.meta"; then
  echo "the model's archive was not unpacked to $model: deploy it from S3" >&2
  exit 1
fi
{cpu}check=../{inference}/{check}
if test -x $check; then
  $check "$model" || exit 1
else
  echo "not checked: there is no $check (yet); the component itself will"
fi
printf '%s\\n%s\\n' "$model" "{version}" > {location}.new || exit 1
mv {location}.new {location}
"""
# What it writes outlives this component at times, and must then stand in no model's way.
_OFFER_CHECK = """\
cat > {check}.new <<'END' || exit 1
#!/bin/sh
code="{{artifacts:decompressedPath}}/{stem}"
python="$(dirname "$0")/../{runtime}/{python}"
if ! test -x "$python" || ! test -f "$code/edge/check_model.py"; then
  echo "not checked: $python or $code is not there (yet)"
  exit 0
fi
PYTHONPATH="$code" "$python" -m edge.check_model --model "$1"
status=$?
if test $status -gt 128; then
  echo "the model's library ended the check with signal $((status - 128))" >&2
fi
exit $status
END
chmod 755 {check}.new
mv {check}.new {check}
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
    return _model_recipe(
        MODEL_COMPONENT, "An image classifier, compiled for the device's CPU.", platforms, _VERSION
    )


def challenger_recipe(platforms: Iterable[Platform], model_version: str = "") -> dict[str, Any]:
    """A second model, to be compared with the first on live pictures.

    It is known by `model_version`, the version that it has as a model component; by its own where
    that is empty.
    """
    return _model_recipe(
        CHALLENGER_COMPONENT,
        "A second image classifier, compared with the first on live pictures.",
        platforms,
        model_version or _VERSION,
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
        dependencies={VARIANT_DLR: _needed(_VARIANT_VERSIONS)} if variant_dlr else None,
    )


def _installation(stem: str) -> dict[str, Any]:
    return {"Install": {"Script": _INSTALL_RUNTIME.format(stem=stem), "Timeout": _PIP_SECONDS}}


def inference_recipe() -> dict[str, Any]:
    """The inference component: the folder edge/, run by the runtime component's interpreter.

    It depends on the model softly: it takes a new one over by itself, and must not be restarted.
    """
    script = f"exec ../{RUNTIME_COMPONENT}/{RUNTIME_PYTHON} -u -m edge"
    start = {
        # lite's Startup is unreliable with older systemd; what it starts is RUNNING at once
        "aws_nucleus_lite": {"Run": {"Script": script}},
        # it runs in the foreground and says by UpdateState when a sound model serves
        "*": {"Startup": {"Script": script, "Timeout": _START_SECONDS}},
    }
    offer = _OFFER_CHECK.format(
        check=CHECK_MODEL, stem=INFERENCE_STEM, runtime=RUNTIME_COMPONENT, python=RUNTIME_PYTHON
    )
    prepared = {
        "Setenv": {"PYTHONPATH": "{artifacts:decompressedPath}/" + INFERENCE_STEM},
        "Install": {"Script": offer},
    }
    return _recipe(
        INFERENCE_COMPONENT,
        "Classifies pictures on the device and publishes what it sees.",
        # for every architecture: a manifest for each would be too much for lite's buffers
        [
            _manifest(None, INFERENCE_STEM, {**prepared, **started}, nucleus)
            for nucleus, started in start.items()
        ],
        configuration=DEFAULT_CONFIGURATION,
        dependencies={RUNTIME_COMPONENT: _needed(), MODEL_COMPONENT: _needed(soft=True)},
    )


def _model_recipe(
    name: str, description: str, platforms: Iterable[Platform], version: str
) -> dict[str, Any]:
    return _recipe(
        name,
        description,
        [
            _manifest(
                platform,
                model_stem(platform),
                {"Install": {"Script": _model_script(platform, version)}},
            )
            for platform in platforms
        ],
    )


def _recipe(
    name: str,
    description: str,
    manifests: list[dict[str, Any]],
    configuration: Mapping[str, Any] | None = None,
    dependencies: Mapping[str, Mapping[str, str]] | None = None,
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
    if dependencies:
        recipe["ComponentDependencies"] = dict(dependencies)
    recipe["Manifests"] = manifests
    return recipe


def _needed(versions: str = _COMPATIBLE, soft: bool = False) -> dict[str, str]:
    """Hard is what a dependency is; lite, told so in words, waits for a unit that is never made."""
    return {"VersionRequirement": versions, **({"DependencyType": "SOFT"} if soft else {})}


def _manifest(
    platform: Platform | None, stem: str, lifecycle: Mapping[str, Any], nucleus: str = "*"
) -> dict[str, Any]:
    """`platform` None: any Linux."""
    name = platform or "linux"
    return {
        "Name": name if nucleus == "*" else f"{name}-lite",
        # `runtime` is what nucleus lite asks for; "*" is any nucleus
        "Platform": {
            "os": "linux",
            **({"architecture": ARCHITECTURE[platform]} if platform else {}),
            "runtime": nucleus,
        },
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


def _model_script(platform: Platform, version: str) -> str:
    return _POINT_AT_MODEL.format(
        stem=model_stem(platform),
        cpu=_NO_ARMV6 if platform == "linux-armv7l" else "",
        inference=INFERENCE_COMPONENT,
        check=CHECK_MODEL,
        version=version,
        location=MODEL_LOCATION,
    )
