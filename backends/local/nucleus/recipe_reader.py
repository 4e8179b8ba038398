"""What a recipe says for this platform: dependencies, artifacts, defaults and lifecycle steps.

Keys are read whatever their case, as the classic nucleus does. Everything that would be ignored
or misunderstood is refused with the field's name.
"""

import json
import platform as host
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from backends.local.nucleus.recipe import (
    ERROR_RESET_SECONDS,
    Access,
    Artifact,
    Dependency,
    Recipe,
    RecipeError,
    Step,
)
from backends.local.nucleus.versions import (
    Version,
    VersionError,
    parse_requirement,
    parse_version,
)

FORMAT = "2020-01-25"
MAX_BYTES = 16_000
_NAME = re.compile(r"[a-zA-Z0-9-_.]{1,128}")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "aarch64", "i686": "x86", "i386": "x86"}
_TIMEOUTS = {
    "bootstrap": 120.0,
    "install": 120.0,
    "startup": 120.0,
    "run": None,
    "shutdown": 15.0,
    "recover": 60.0,
    "uninstall": 120.0,
}
_STEP_KEYS = {"script", "timeout", "requiresprivilege", "skipif", "setenv"}
_LIFECYCLE_KEYS = {*_TIMEOUTS, "setenv", "errorresettime"}


def this_platform() -> dict[str, str]:
    """Platform attributes of this machine, in the words of recipes."""
    machine = host.machine()
    detail = {"architecture.detail": machine} if machine.startswith("arm") else {}
    architecture = _ARCHITECTURES.get(machine, "arm" if machine.startswith("arm") else machine)
    return {"os": host.system().lower(), "architecture": architecture, **detail}


def load(text: str, attributes: Mapping[str, str]) -> Recipe:
    """Reads a recipe (YAML or JSON) for a platform. Raises RecipeError."""
    try:
        raw = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise RecipeError("?", "file", f"neither JSON nor YAML: {error}") from error
    if not isinstance(raw, Mapping):
        raise RecipeError("?", "file", "not an object")
    return _Reader(raw, attributes).recipe()


class _Reader:
    def __init__(self, raw: Mapping[str, Any], attributes: Mapping[str, str]) -> None:
        self._top = _lower(raw)
        self._attributes = attributes
        self._label = f"{self._top.get('componentname')} {self._top.get('componentversion')}"

    def recipe(self) -> Recipe:
        if str(self._top.get("recipeformatversion")) != FORMAT:
            raise self._error("RecipeFormatVersion", f"must be {FORMAT}")
        name = str(self._top.get("componentname", ""))
        if not _NAME.fullmatch(name) or name in (".", ".."):
            raise self._error("ComponentName", f"{name!r} is no component name")
        manifest = self._manifest()
        lifecycle = self._lifecycle(manifest)
        reset = lifecycle.get("errorresettime", ERROR_RESET_SECONDS)
        return Recipe(
            name=name,
            version=self._version(),
            defaults=self._defaults(),
            dependencies=self._dependencies(),
            artifacts=tuple(self._artifacts(manifest)),
            steps={key: self._step(key, lifecycle[key]) for key in _TIMEOUTS if key in lifecycle},
            environment=self._environment("Lifecycle.Setenv", lifecycle.get("setenv")),
            error_reset_seconds=self._seconds("Lifecycle.errorResetTime", reset),
        )

    def _error(self, where: str, reason: str) -> RecipeError:
        return RecipeError(self._label, where, reason)

    def _version(self) -> Version:
        try:
            return parse_version(str(self._top.get("componentversion", "")))
        except VersionError as error:
            raise self._error("ComponentVersion", str(error)) from error

    def _object(self, where: str, value: Any) -> Mapping[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self._error(where, "must be an object")
        return value

    def _defaults(self) -> Mapping[str, Any]:
        where = "ComponentConfiguration"
        holder = _lower(self._object(where, self._top.get(where.lower())))
        return self._object(f"{where}.DefaultConfiguration", holder.get("defaultconfiguration"))

    def _dependencies(self) -> dict[str, Dependency]:
        where = "ComponentDependencies"
        given = self._object(where, self._top.get(where.lower()))
        return {name: self._dependency(f"{where}.{name}", value) for name, value in given.items()}

    def _dependency(self, where: str, value: Any) -> Dependency:
        entry = _lower(self._object(where, value))
        kind = str(entry.get("dependencytype", "HARD")).upper()
        if kind not in ("HARD", "SOFT"):
            raise self._error(f"{where}.DependencyType", f"{kind!r} is neither HARD nor SOFT")
        try:
            requirement = parse_requirement(str(entry.get("versionrequirement", "")))
        except VersionError as error:
            raise self._error(f"{where}.VersionRequirement", str(error)) from error
        return Dependency(requirement, kind == "HARD")

    def _manifest(self) -> Mapping[str, Any]:
        manifests = self._top.get("manifests")
        if not isinstance(manifests, Sequence) or isinstance(manifests, str) or not manifests:
            raise self._error("Manifests", "must be a list with at least one manifest")
        for at, entry in enumerate(manifests):
            manifest = _lower(self._object(f"Manifests[{at}]", entry))
            wanted = self._object(f"Manifests[{at}].Platform", manifest.get("platform"))
            if all(self._suits(key, value) for key, value in wanted.items()):
                return manifest
        raise self._error("Manifests", f"none is for this platform ({dict(self._attributes)})")

    def _suits(self, key: str, wanted: Any) -> bool:
        """`*` is anything, also nothing; `/…/` is a regular expression; else the very text."""
        pattern = str(wanted)
        actual = self._attributes.get(key.lower())
        if pattern == "*":
            return True
        if actual is None:
            return False
        if len(pattern) > 1 and pattern[0] == pattern[-1] == "/":
            return re.fullmatch(pattern[1:-1], actual) is not None
        return pattern == actual

    def _lifecycle(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        lifecycle = _lower(self._object("Lifecycle", manifest.get("lifecycle")))
        if not lifecycle and (everything := self._top.get("lifecycle")):
            selections = [str(s) for s in manifest.get("selections") or ["all"]]
            chosen = _select(self._object("Lifecycle", everything), [*selections, "all"])
            lifecycle = _lower(self._object("Lifecycle", chosen))
        for key in lifecycle:
            if key not in _LIFECYCLE_KEYS:
                raise self._error(f"Lifecycle.{key}", "there is no such step")
        if "run" in lifecycle and "startup" in lifecycle:
            raise self._error("Lifecycle", "has both Run and Startup; one of them is allowed")
        return lifecycle

    def _step(self, key: str, value: Any) -> Step:
        where = f"Lifecycle.{key.capitalize()}"
        if isinstance(value, str):
            return Step(value, _TIMEOUTS[key])
        entry = _lower(self._object(where, value))
        for name in entry:
            if name not in _STEP_KEYS:
                raise self._error(f"{where}.{name}", "there is no such key")
        if not isinstance(entry.get("script"), str):
            raise self._error(f"{where}.Script", "must be text")
        timeout = entry.get("timeout")
        return Step(
            script=entry["script"],
            timeout=_TIMEOUTS[key] if timeout is None else self._seconds(where, timeout),
            privileged=str(entry.get("requiresprivilege", False)).lower() == "true",
            skip_if=str(entry.get("skipif") or ""),
            environment=self._environment(f"{where}.Setenv", entry.get("setenv")),
        )

    def _seconds(self, where: str, value: Any) -> float:
        try:
            seconds = float(value)
        except (TypeError, ValueError) as error:
            raise self._error(where, f"{value!r} is no number of seconds") from error
        if seconds <= 0:
            raise self._error(where, f"{value!r} is no number of seconds")
        return seconds

    def _environment(self, where: str, value: Any) -> dict[str, str]:
        return {str(k): _text(v) for k, v in self._object(where, value).items()}

    def _artifacts(self, manifest: Mapping[str, Any]) -> list[Artifact]:
        return [
            self._artifact(f"Artifacts[{at}]", _lower(self._object("Artifacts", entry)))
            for at, entry in enumerate(manifest.get("artifacts") or [])
        ]

    def _artifact(self, where: str, entry: Mapping[str, Any]) -> Artifact:
        uri = str(entry.get("uri", ""))
        unarchive = str(entry.get("unarchive") or "NONE").upper()
        if unarchive not in ("NONE", "ZIP"):
            raise self._error(f"{where}.Unarchive", f"{unarchive!r} is neither NONE nor ZIP")
        if not uri.startswith("s3://") or uri.rpartition("/")[2] in ("", ".", ".."):
            raise self._error(f"{where}.Uri", f"{uri!r} is not s3://<bucket>/<key>")
        algorithm = str(entry.get("algorithm") or "SHA-256")
        if algorithm != "SHA-256":
            raise self._error(f"{where}.Algorithm", f"{algorithm!r} is not SHA-256")
        permission = _lower(self._object(f"{where}.Permission", entry.get("permission")))
        return Artifact(
            uri=uri,
            unzip=unarchive == "ZIP",
            read=self._access(f"{where}.Permission.Read", permission.get("read", "OWNER")),
            execute=self._access(f"{where}.Permission.Execute", permission.get("execute", "NONE")),
            digest=str(entry.get("digest") or ""),
        )

    def _access(self, where: str, value: Any) -> Access:
        match str(value).upper():
            case "NONE":
                return "NONE"
            case "OWNER":
                return "OWNER"
            case "ALL":
                return "ALL"
        raise self._error(where, f"{value!r} is none of NONE, OWNER, ALL")


def _lower(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key).lower(): value for key, value in mapping.items()}


def _select(node: Any, selections: Sequence[str]) -> Any:
    """The global lifecycle by a manifest's selections: the first selector of a level wins."""
    if not isinstance(node, Mapping):
        return node
    for selector in selections:
        if selector in node:
            return _select(node[selector], selections)
    return {key: _select(value, selections) for key, value in node.items()}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
