"""What a recipe says for this platform: dependencies, artifacts, defaults and lifecycle steps.

It is read as the device's kind of nucleus reads it: the classic one finds keys whatever their
case, lite only as they are documented. Everything that would be ignored or misunderstood is
refused with the field's name.
"""

import platform as host
import re
from collections.abc import Mapping
from typing import Any

from backends.local.nucleus import spelling
from backends.local.nucleus.kind import CLASSIC, Nucleus
from backends.local.nucleus.lifecycle_reader import read_lifecycle, select
from backends.local.nucleus.recipe import Access, Artifact, Dependency, Recipe
from backends.local.nucleus.recipe_fields import Fields
from backends.local.nucleus.recipe_text import parse
from backends.local.nucleus.versions import (
    Version,
    VersionError,
    parse_comparators,
    parse_requirement,
    parse_version,
)

FORMAT = "2020-01-25"
GENERIC = "aws.greengrass.generic"
MAX_VERSION = 64
_NAME = re.compile(r"[a-zA-Z0-9-_.]{1,128}")
_S3 = re.compile(r"s3://[^/]+/(.*/)?(?!\.{1,2}$)[^/]+", re.DOTALL)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "aarch64", "i686": "x86", "i386": "x86"}


def this_platform() -> dict[str, str]:
    """Platform attributes of this machine, in the words of recipes."""
    machine = host.machine()
    detail = {"architecture.detail": machine} if machine.startswith("arm") else {}
    architecture = _ARCHITECTURES.get(machine, "arm" if machine.startswith("arm") else machine)
    return {"os": host.system().lower(), "architecture": architecture, **detail}


def load(text: str, attributes: Mapping[str, str], nucleus: Nucleus = CLASSIC) -> Recipe:
    """Reads a recipe (YAML or JSON) for a platform. Raises RecipeError."""
    return _Reader(parse(text, text_scalars=nucleus.text_scalars), attributes, nucleus).recipe()


class _Reader:
    def __init__(
        self, raw: Mapping[str, Any], attributes: Mapping[str, str], nucleus: Nucleus
    ) -> None:
        named = {key.lower(): value for key, value in raw.items()}
        label = f"{named.get('componentname')} {named.get('componentversion')}"
        self._fields = Fields(label, nucleus.exact_keys)
        self._top = self._fields.keys("", raw, spelling.TOP)
        self._nucleus = nucleus
        self._attributes = {**attributes}
        if nucleus.runtime:
            self._attributes["runtime"] = nucleus.runtime

    def recipe(self) -> Recipe:
        fields = self._fields
        if self._top.get("recipeformatversion") != FORMAT:
            raise fields.error("RecipeFormatVersion", f"must be {FORMAT}")
        kind = self._top.get("componenttype", GENERIC)
        if kind != GENERIC:
            raise fields.error("ComponentType", f"{kind!r}: this device runs {GENERIC} only")
        name = self._name()
        version = self._version()
        where, manifest = self._manifest()
        lifecycle = read_lifecycle(fields, *self._lifecycle(where, manifest), self._nucleus)
        return Recipe(
            name=name,
            version=version,
            defaults=self._defaults(),
            dependencies=self._dependencies(),
            artifacts=self._artifacts(f"{where}.Artifacts", manifest.get("artifacts")),
            steps=lifecycle.steps,
            environment=lifecycle.environment,
            error_reset_seconds=lifecycle.error_reset_seconds,
        )

    def _name(self) -> str:
        name = self._fields.text("ComponentName", self._top.get("componentname"))
        if not _NAME.fullmatch(name) or name in (".", ".."):
            raise self._fields.error("ComponentName", f"{name!r} is no component name")
        return name

    def _version(self) -> Version:
        text = self._fields.text("ComponentVersion", self._top.get("componentversion"))
        if len(text) > MAX_VERSION:
            reason = f"has {len(text)} characters, and {MAX_VERSION} are allowed"
            raise self._fields.error("ComponentVersion", reason)
        try:
            return parse_version(text)
        except VersionError as error:
            raise self._fields.error("ComponentVersion", str(error)) from error

    def _defaults(self) -> Mapping[str, Any]:
        where = "ComponentConfiguration"
        holder = self._fields.keys(where, self._top.get(where.lower()), spelling.CONFIGURATION)
        return self._fields.object(
            f"{where}.DefaultConfiguration", holder.get("defaultconfiguration")
        )

    def _dependencies(self) -> dict[str, Dependency]:
        where = "ComponentDependencies"
        given = self._fields.object(where, self._top.get(where.lower()))
        return {name: self._dependency(f"{where}.{name}", value) for name, value in given.items()}

    def _dependency(self, where: str, value: Any) -> Dependency:
        entry = self._fields.keys(where, value, spelling.DEPENDENCY)
        kind = entry.get("dependencytype", "HARD")
        self._fields.choice(f"{where}.DependencyType", kind, ("HARD", "SOFT"))
        at = f"{where}.VersionRequirement"
        text = self._fields.text(at, entry.get("versionrequirement"))
        read = parse_requirement if self._nucleus.npm_requirements else parse_comparators
        try:
            return Dependency(read(text), kind == "HARD")
        except ValueError as error:  # also a number that is too long
            raise self._fields.error(at, str(error)) from error

    def _manifest(self) -> tuple[str, dict[str, Any]]:
        """The path of the first manifest for this platform, and its content.

        What is in those for other platforms may be anything, as for a nucleus.
        """
        manifests = self._top.get("manifests")
        if not isinstance(manifests, list) or not manifests:
            raise self._fields.error("Manifests", "must be a list with at least one manifest")
        chosen: tuple[str, dict[str, Any]] | None = None
        for at, entry in enumerate(manifests):
            where = f"Manifests[{at}]"
            given = self._fields.object(where, entry)
            if not self._suits_all(where, given):
                continue
            manifest = self._fields.keys(where, given, spelling.MANIFEST)
            read_lifecycle(
                self._fields, f"{where}.Lifecycle", manifest.get("lifecycle"), self._nucleus
            )
            if chosen is None:
                chosen = where, manifest
        if chosen is None:
            attributes = ", ".join(f"{key} {value}" for key, value in self._attributes.items())
            raise self._fields.error("Manifests", f"none is for this platform ({attributes})")
        return chosen

    def _suits_all(self, where: str, manifest: Mapping[str, Any]) -> bool:
        exact = self._nucleus.exact_keys
        named = manifest if exact else {key.lower(): value for key, value in manifest.items()}
        where = f"{where}.Platform"
        given = self._fields.object(where, named.get("Platform" if exact else "platform"))
        wanted = given if exact else {key.lower(): value for key, value in given.items()}
        if self._nucleus.runtime and "runtime" not in wanted:
            return False
        suits = [self._suits(where, key, value) for key, value in wanted.items()]  # all are checked
        return all(suits)

    def _suits(self, where: str, key: str, wanted: Any) -> bool:
        """`*` is anything, also nothing; `/…/` is a regular expression; else the very text."""
        pattern = self._fields.text(f"{where}.{key}", wanted)
        known = {*spelling.PLATFORM, *self._attributes}
        if key not in known and (meant := spelling.misspelt(key, known)):
            reason = f"there is no such attribute; is {meant!r} meant?"
            raise self._fields.error(f"{where}.{key}", reason)
        actual = self._attributes.get(key)
        if pattern == "*":
            return True
        if self._nucleus.patterns and len(pattern) > 1 and pattern[0] == pattern[-1] == "/":
            try:
                expression = re.compile(pattern[1:-1])
            except (re.error, OverflowError, RecursionError) as error:
                reason = (
                    f"{pattern!r} is no regular expression of Python's (here, not Java's): {error}"
                )
                raise self._fields.error(f"{where}.{key}", reason) from error
            return actual is not None and expression.fullmatch(actual) is not None
        return pattern == actual

    def _lifecycle(self, where: str, manifest: Mapping[str, Any]) -> tuple[str, Any]:
        """Path and content: the manifest's, unless it is empty; else the global one."""
        own = self._fields.object(f"{where}.Lifecycle", manifest.get("lifecycle"))
        at = f"{where}.Selections"
        selections = [
            self._fields.text(at, each)
            for each in self._fields.list(at, manifest.get("selections"))
        ]
        everything = self._fields.object("Lifecycle", self._top.get("lifecycle"))
        if own or not everything:
            return f"{where}.Lifecycle", own
        keywords = self._all_selections()
        return "Lifecycle", select(self._fields, everything, selections, keywords, self._nucleus)

    def _all_selections(self) -> set[str]:
        """Of all manifests; what is wrong in those for other platforms is not looked at."""
        return {
            each
            for manifest in self._top["manifests"]
            if isinstance(manifest, Mapping)
            for key, value in manifest.items()
            if key.lower() == "selections" and isinstance(value, list)
            for each in value
            if isinstance(each, str)
        }

    def _artifacts(self, where: str, given: Any) -> tuple[Artifact, ...]:
        found: list[Artifact] = []
        for at, entry in enumerate(self._fields.list(where, given)):
            artifact = self._artifact(f"{where}[{at}]", entry)
            for other in found:
                clash = ""
                if artifact.file == other.file:
                    clash = f"file {artifact.file!r}"
                elif artifact.unzip and other.unzip and artifact.folder == other.folder:
                    clash = f"folder {artifact.folder!r}"
                if clash:
                    reason = f"the {clash} is that of {other.uri} already; give it another name"
                    raise self._fields.error(f"{where}[{at}].Uri", reason)
            found.append(artifact)
        return tuple(found)

    def _artifact(self, where: str, given: Any) -> Artifact:
        fields = self._fields
        entry = fields.keys(where, given, spelling.ARTIFACT)
        uri = fields.text(f"{where}.Uri", entry.get("uri"))
        if not _S3.fullmatch(uri):
            raise fields.error(f"{where}.Uri", f"{uri!r} is not s3://<bucket>/<key>")
        unarchive = entry.get("unarchive") or "NONE"
        fields.choice(f"{where}.Unarchive", unarchive, ("NONE", "ZIP"))
        fields.choice(f"{where}.Algorithm", entry.get("algorithm") or "SHA-256", ("SHA-256",))
        at = f"{where}.Permission"
        permission = fields.keys(at, entry.get("permission"), spelling.PERMISSION)
        return Artifact(
            uri=uri,
            unzip=unarchive == "ZIP",
            read=self._access(f"{at}.Read", permission.get("read", "OWNER")),
            execute=self._access(f"{at}.Execute", permission.get("execute", "NONE")),
            digest=fields.text(f"{where}.Digest", entry.get("digest") or ""),
        )

    def _access(self, where: str, value: Any) -> Access:
        match value:
            case "NONE":
                return "NONE"
            case "OWNER":
                return "OWNER"
            case "ALL":
                return "ALL"
        raise self._fields.error(where, f"{value!r} is none of NONE, OWNER, ALL")
