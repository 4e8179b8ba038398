"""Greengrass component versions in a folder: `<root>/<name>/<version>.yaml`; artifacts elsewhere.

Does what CreateComponentVersion does in the cloud, and no more: it fills in the artifacts' Uri,
Digest and Algorithm, and a version never changes once it is there.
"""

import base64
import copy
import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from backends.archives import check_unarchive
from backends.artifacts import ComponentVersion
from backends.errors import InvalidInputError, PackageError
from backends.files import replace_file
from backends.local.objects import BUCKET, LocalObjects
from backends.recipe_rules import check_recipe

FIRST = "1.0.0"
_PARTS = 3  # of a version
_NAME = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*")


class LocalComponents:
    """The component store of this machine. Publishing is safe from several processes at once."""

    def __init__(self, root: Path, objects: LocalObjects) -> None:
        self._root = root
        self._objects = objects

    def publish(
        self, recipe: Mapping[str, object], artifacts: Sequence[Path], first: str = FIRST
    ) -> ComponentVersion:
        """Give `recipe` (without ComponentVersion) the next free patch version and keep it.

        `first` is the version of the component that has none yet.

        An artifact of the recipe is matched with a file of `artifacts` by the last part of its
        Uri. The same recipe and files again give the version that they already have. Raises
        PackageError (a recipe that a nucleus would refuse, an artifact that is missing, left over
        or not what its Unarchive says), InvalidInputError (a file or name that is none).
        """
        name = str(recipe.get("ComponentName", ""))
        folder = self._folder(name)
        files = _by_name(name, artifacts)
        draft = _with_digests(name, recipe, files)
        content = _content(draft)
        with _locked(folder):
            for version in self.versions(name):
                known = self.find(name, version)
                if known is not None and known.sha256 == content:
                    return known
            version = _next(self.versions(name), first)
            final = _with_version(draft, name, version)
            check_recipe(final)
            for file in files.values():
                self._objects.put(file, _uri(name, version, file.name))
            text = yaml.safe_dump(final, sort_keys=False, allow_unicode=True, width=1000)
            replace_file(folder / f"{version}.yaml", text, mode=0o644)
        return ComponentVersion(name, version, folder / f"{version}.yaml", content)

    def find(self, name: str, version: str) -> ComponentVersion | None:
        """The version, if there is one; its `sha256` is that of recipe and artifacts together."""
        path = self._folder(name) / f"{version}.yaml"
        if version not in self.versions(name):
            return None
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        return ComponentVersion(name, version, path, _content(recipe))

    def fetch(self, name: str, version: str, into: Path) -> Sequence[Path]:
        """Copy the artifacts of a version into the folder `into`. Raises InvalidInputError."""
        if version not in self.versions(name):
            known = ", ".join(self.versions(name)) or "none"
            raise InvalidInputError(
                f"{name} {version}", "there is no such version", f"Published: {known}."
            )
        path = self._folder(name) / f"{version}.yaml"
        uris = {each["Uri"] for each in _artifacts(yaml.safe_load(path.read_text("utf-8")))}
        return [self._objects.get(uri, into / uri.rpartition("/")[2]) for uri in sorted(uris)]

    def versions(self, name: str) -> tuple[str, ...]:
        """All versions of a component, oldest first."""
        found = (_numbers(path.stem) for path in self._folder(name).glob("*.yaml"))
        return tuple(_text(numbers) for numbers in sorted(n for n in found if n is not None))

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidInputError("ComponentName", f"{name!r} is none", "Mend the recipe.")
        return self._root / name


def _by_name(component: str, artifacts: Sequence[Path]) -> dict[str, Path]:
    files = {path.name: path for path in artifacts}
    if len(files) != len(artifacts):
        raise PackageError(component, "two artifacts have the same file name")
    for path in artifacts:
        if not path.is_file():
            raise InvalidInputError(str(path), "there is no such file", "Package it first.")
    return files


def _with_digests(
    component: str, recipe: Mapping[str, Any], files: Mapping[str, Path]
) -> dict[str, Any]:
    """The recipe with digests; until there is a version, an artifact's Uri is its file's name."""
    draft: dict[str, Any] = json.loads(json.dumps(recipe))  # a copy, and as YAML will give it back
    if "ComponentVersion" in draft:
        raise PackageError(component, "ComponentVersion: the store chooses it")
    used = set()
    for artifact in _artifacts(draft):
        file = str(artifact.get("Uri", "")).rpartition("/")[2]
        if file not in files:
            raise PackageError(component, f"Artifacts: there is no file for {file!r}")
        used.add(file)
        check_unarchive(files[file], str(artifact.get("Unarchive", "NONE")))
        with files[file].open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").digest()
        artifact["Uri"] = file
        artifact["Digest"] = base64.b64encode(digest).decode()
        artifact["Algorithm"] = "SHA-256"
    if left := sorted(set(files) - used):
        raise PackageError(component, f"no manifest names the artifact {left[0]!r}")
    return draft


def _with_version(draft: Mapping[str, Any], name: str, version: str) -> dict[str, Any]:
    final: dict[str, Any] = {}
    for key, value in copy.deepcopy(dict(draft)).items():
        final[key] = value
        if key == "ComponentName":
            final["ComponentVersion"] = version
    for artifact in _artifacts(final):
        artifact["Uri"] = _uri(name, version, artifact["Uri"])
    return final


def _content(recipe: Mapping[str, Any]) -> str:
    """SHA-256 of what a version is about: all but the version and where its artifacts lie."""
    bare = copy.deepcopy(dict(recipe))
    bare.pop("ComponentVersion", None)
    for artifact in _artifacts(bare):
        artifact["Uri"] = artifact["Uri"].rpartition("/")[2]
    return hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()


def _artifacts(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        artifact
        for manifest in recipe.get("Manifests") or []
        for artifact in manifest.get("Artifacts") or []
    ]


def _uri(name: str, version: str, file: str) -> str:
    return f"s3://{BUCKET}/components/{name}/{version}/{file}"


def _numbers(version: str) -> tuple[int, ...] | None:
    parts = version.split(".")
    return (
        tuple(map(int, parts)) if len(parts) == _PARTS and all(map(str.isdecimal, parts)) else None
    )


def _text(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _next(versions: Sequence[str], first: str) -> str:
    if not versions:
        return first
    *head, patch = map(int, versions[-1].split("."))
    return _text((*head, patch + 1))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
