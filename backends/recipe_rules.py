"""Which Greengrass v2 recipes run on the classic nucleus and on nucleus lite alike.

The cloud's own schema lets a lot through: an empty list of manifests, unknown lifecycle steps,
versions that are none. Nucleus lite wants the documented spelling of keys, knows no regular
expressions and no variables of other components, and cuts a script off at a stray brace while it
reports success. Everything that either of them would stumble over is refused here by name.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from backends.errors import PackageError

FORMAT_VERSION = "2020-01-25"
MAX_BYTES = 8_000
"""Lite reads a recipe into a buffer of 8,196."""
MAX_VALUES = 255
"""Lite walks at most so many: two for an entry of a map, one for an item of a list."""

_TOP = {
    "RecipeFormatVersion",
    "ComponentName",
    "ComponentVersion",
    "ComponentDescription",
    "ComponentPublisher",
    "ComponentType",
    "ComponentConfiguration",
    "ComponentDependencies",
    "Manifests",
}
_MANIFEST = {"Name", "Platform", "Lifecycle", "Artifacts"}
_PLATFORM = {"os", "architecture", "architecture.detail", "runtime"}
_STEPS = {"Install", "Run", "Startup", "Shutdown", "Recover", "Bootstrap"}
_STEP_KEYS = {"Script", "Timeout", "Setenv", "RequiresPrivilege", "Skipif"}
_ARTIFACT = {"Uri", "Unarchive", "Permission", "Digest", "Algorithm"}
_PERMISSION = {"NONE", "OWNER", "ALL"}
_ARCHITECTURES = {"amd64", "arm", "aarch64", "x86", "*"}

_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
# https://semver.org, without build metadata
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?")
_COMPARATOR = re.compile(r"(>=|<=|>|<|=)?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_VARIABLE = re.compile(r"\{([.\w-]+):([^:{}]*)\}")
_FOREIGN_VARIABLE = re.compile(r"\{[.\w-]+:[.\w-]+:[^:{}]*\}")
_NAMESPACES = {
    "artifacts": {"path", "decompressedPath"},
    "work": {"path"},
    "kernel": {"rootPath"},
    "iot": {"thingName"},
}


def check_recipe(recipe: Mapping[str, Any]) -> None:
    """Raise PackageError that names the first field of `recipe` which a nucleus would not take."""
    for field, reason in _faults(recipe):
        raise PackageError(str(recipe.get("ComponentName", "recipe")), f"{field}: {reason}")


def is_version(text: str) -> bool:
    """Tell whether `text` is a semantic version, as component versions must be."""
    return bool(_VERSION.fullmatch(text)) and len(text) <= 64  # noqa: PLR2004 - the API's limit


def is_requirement(text: str) -> bool:
    """Tell whether both nuclei read the version requirement: plain comparators, or empty."""
    return all(_COMPARATOR.fullmatch(part) for part in text.split())


_Faults = Iterator[tuple[str, str]]


def _faults(recipe: Mapping[str, Any]) -> _Faults:
    yield from _unknown("", recipe, _TOP)
    if recipe.get("RecipeFormatVersion") != FORMAT_VERSION:
        yield "RecipeFormatVersion", f"must be {FORMAT_VERSION!r}"
    if not _NAME.fullmatch(str(recipe.get("ComponentName", ""))):
        yield "ComponentName", "must be 1 to 128 letters, digits, '.', '_' or '-'"
    if not is_version(str(recipe.get("ComponentVersion", ""))):
        version = recipe.get("ComponentVersion")
        yield "ComponentVersion", f"{version!r} is not a semantic version"
    if recipe.get("ComponentType", "aws.greengrass.generic") != "aws.greengrass.generic":
        yield "ComponentType", "nucleus lite runs generic components only"
    if not recipe.get("ComponentPublisher"):
        yield "ComponentPublisher", "is missing"
    yield from _configuration(recipe.get("ComponentConfiguration", {}))
    yield from _dependencies(recipe.get("ComponentDependencies", {}))
    manifests = recipe.get("Manifests")
    if not isinstance(manifests, list) or not manifests:
        yield "Manifests", "there must be at least one"
        return
    for number, manifest in enumerate(manifests):
        yield from _manifest(f"Manifests[{number}]", manifest)
    size = len(yaml.safe_dump(_plain(recipe), sort_keys=False).encode())
    if size > MAX_BYTES:
        yield "recipe", f"has {size} bytes, and {MAX_BYTES} are allowed"
    if (values := _values(recipe)) > MAX_VALUES:
        yield "recipe", f"has {values} keys and values, and {MAX_VALUES} are allowed"


def _configuration(configuration: Any) -> _Faults:
    if not isinstance(configuration, Mapping):
        yield "ComponentConfiguration", "must be a map"
        return
    yield from _unknown("ComponentConfiguration", configuration, {"DefaultConfiguration"})
    if not isinstance(configuration.get("DefaultConfiguration", {}), Mapping):
        yield "ComponentConfiguration.DefaultConfiguration", "must be a map"


def _dependencies(dependencies: Any) -> _Faults:
    if not isinstance(dependencies, Mapping):
        yield "ComponentDependencies", "must be a map"
        return
    for name, dependency in dependencies.items():
        where = f"ComponentDependencies.{name}"
        if not isinstance(dependency, Mapping):
            yield where, "must be a map"
            continue
        yield from _unknown(where, dependency, {"VersionRequirement", "DependencyType"})
        requirement = dependency.get("VersionRequirement")
        if not isinstance(requirement, str) or not is_requirement(requirement):
            yield (
                f"{where}.VersionRequirement",
                f"{requirement!r} is not plain comparators, such as '>=1.0.0 <2.0.0'",
            )
        if dependency.get("DependencyType", "SOFT") != "SOFT":
            yield f"{where}.DependencyType", "must be SOFT, or left out for a hard one"


def _manifest(where: str, manifest: Any) -> _Faults:
    if not isinstance(manifest, Mapping):
        yield where, "must be a map"
        return
    yield from _unknown(where, manifest, _MANIFEST)
    yield from _platform(f"{where}.Platform", manifest.get("Platform"))
    yield from _lifecycle(f"{where}.Lifecycle", manifest.get("Lifecycle", {}))
    artifacts = manifest.get("Artifacts", [])
    if not isinstance(artifacts, list):
        yield f"{where}.Artifacts", "must be a list"
        return
    for number, artifact in enumerate(artifacts):
        yield from _artifact(f"{where}.Artifacts[{number}]", artifact)


def _platform(where: str, platform: Any) -> _Faults:
    if not isinstance(platform, Mapping):
        yield where, "must be a map"
        return
    yield from _unknown(where, platform, _PLATFORM)
    for key, value in platform.items():
        if not isinstance(value, str) or not value:
            yield f"{where}.{key}", "must be a text"
        elif value.startswith("/"):
            yield f"{where}.{key}", "nucleus lite knows no regular expressions"
    if platform.get("os") != "linux":
        yield f"{where}.os", "must be 'linux'"
    if platform.get("runtime") not in ("*", "aws_nucleus_lite"):
        yield f"{where}.runtime", "must be '*': nucleus lite ignores manifests without it"
    if platform.get("architecture", "*") not in _ARCHITECTURES:
        yield f"{where}.architecture", f"must be one of {', '.join(sorted(_ARCHITECTURES))}"


def _lifecycle(where: str, lifecycle: Any) -> _Faults:
    if not isinstance(lifecycle, Mapping):
        yield where, "must be a map"
        return
    yield from _unknown(where, lifecycle, _STEPS | {"Setenv"})
    if "Run" in lifecycle and "Startup" in lifecycle:
        yield where, "has both Run and Startup, and only one may be there"
    yield from _setenv(f"{where}.Setenv", lifecycle.get("Setenv", {}))
    for step in sorted(_STEPS & set(lifecycle)):
        yield from _step(f"{where}.{step}", lifecycle[step])


def _step(where: str, step: Any) -> _Faults:
    if isinstance(step, str):
        step = {"Script": step}
    if not isinstance(step, Mapping):
        yield where, "must be a script or a map"
        return
    yield from _unknown(where, step, _STEP_KEYS)
    script = step.get("Script")
    if not isinstance(script, str) or not script.strip():
        yield f"{where}.Script", "is missing"
    else:
        yield from _variables(f"{where}.Script", script)
    timeout = step.get("Timeout", 1)
    if isinstance(timeout, bool) or not str(timeout).isdecimal() or int(timeout) < 1:
        yield f"{where}.Timeout", f"{timeout!r} is not a whole number of seconds"
    if str(step.get("RequiresPrivilege", "false")).lower() not in ("true", "false"):
        yield f"{where}.RequiresPrivilege", "must be true or false"
    skip = step.get("Skipif", "onpath true")
    if not re.fullmatch(r"!?\s*(onpath|exists) \S+", str(skip)):
        yield f"{where}.Skipif", "must be 'onpath <program>' or 'exists <file>'"
    yield from _setenv(f"{where}.Setenv", step.get("Setenv", {}))


def _setenv(where: str, setenv: Any) -> _Faults:
    if not isinstance(setenv, Mapping):
        yield where, "must be a map"
        return
    for name, value in setenv.items():
        if not isinstance(value, str):
            yield f"{where}.{name}", "must be a text"
        else:
            yield from _variables(f"{where}.{name}", value)


def _variables(where: str, text: str) -> _Faults:
    if found := _FOREIGN_VARIABLE.search(text):
        yield where, f"{found[0]}: nucleus lite knows no variables of other components"
    for namespace, key in _VARIABLE.findall(text):
        known = key.startswith("/") if namespace == "configuration" else False
        if not known and key not in _NAMESPACES.get(namespace, ()):
            yield where, f"{{{namespace}:{key}}} is not a recipe variable"
    rest = _VARIABLE.sub("", text)
    if "{" in rest or "}" in rest:
        yield where, "nucleus lite cuts the text off at a brace that is no recipe variable"


def _artifact(where: str, artifact: Any) -> _Faults:
    if not isinstance(artifact, Mapping):
        yield where, "must be a map"
        return
    yield from _unknown(where, artifact, _ARTIFACT)
    if not re.fullmatch(r"s3://[^/]+/\S+", str(artifact.get("Uri", ""))):
        yield f"{where}.Uri", f"{artifact.get('Uri')!r} is not s3://<bucket>/<key>"
    if artifact.get("Unarchive", "NONE") not in ("NONE", "ZIP"):
        yield f"{where}.Unarchive", f"{artifact['Unarchive']!r} is neither NONE nor ZIP"
    if "Digest" in artifact and artifact.get("Algorithm") != "SHA-256":
        yield f"{where}.Algorithm", "must be SHA-256"
    permission = artifact.get("Permission", {})
    if not isinstance(permission, Mapping):
        yield f"{where}.Permission", "must be a map"
        return
    yield from _unknown(f"{where}.Permission", permission, {"Read", "Execute"})
    for key, value in permission.items():
        if value not in _PERMISSION:
            yield f"{where}.Permission.{key}", f"{value!r} is none of NONE, OWNER, ALL"


def _unknown(where: str, value: Mapping[str, Any], known: set[str]) -> _Faults:
    spelling = {name.lower(): name for name in known}
    for key in value:
        if key in known:
            continue
        right = spelling.get(str(key).lower())
        hint = f"nucleus lite wants it spelt {right!r}" if right else "is not a known key"
        yield f"{where}.{key}".lstrip("."), hint


def _values(value: Any) -> int:
    """What lite counts of a recipe."""
    if isinstance(value, Mapping):
        return sum(2 + _values(item) for item in value.values())
    if isinstance(value, list | tuple):
        return sum(1 + _values(item) for item in value)
    return 0


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
