"""What every store of component versions does: digests, content, numbering, and filling in Uris.

CreateComponentVersion does the same in the cloud, and no more. A recipe's `Uri` is matched with an
artifact's file by its last part.
"""

import base64
import copy
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backends.archives import check_unarchive
from backends.errors import InvalidInputError, PackageError

FIRST = "1.0.0"
_PARTS = 3  # of a version
_NAME = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*")


def check_name(name: str) -> str:
    """Raises InvalidInputError unless `name` is a component's."""
    if not _NAME.fullmatch(name):
        raise InvalidInputError("ComponentName", f"{name!r} is none", "Mend the recipe.")
    return name


def by_name(component: str, artifacts: Sequence[Path]) -> dict[str, Path]:
    """The files by their names. Raises PackageError (a name twice), InvalidInputError (no file)."""
    files = {path.name: path for path in artifacts}
    if len(files) != len(artifacts):
        raise PackageError(component, "two artifacts have the same file name")
    for path in artifacts:
        if not path.is_file():
            raise InvalidInputError(str(path), "there is no such file", "Package it first.")
    return files


def with_digests(
    component: str, recipe: Mapping[str, Any], files: Mapping[str, Path]
) -> dict[str, Any]:
    """The recipe with digests; until there is a version, an artifact's Uri is its file's name.

    Raises PackageError: an artifact that is missing, left over or not what its Unarchive says.
    """
    draft: dict[str, Any] = json.loads(json.dumps(recipe))  # a copy, and as YAML will give it back
    if "ComponentVersion" in draft:
        raise PackageError(component, "ComponentVersion: the store chooses it")
    used = set()
    for artifact in artifacts_of(draft):
        file = file_of(str(artifact.get("Uri", "")))
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


def with_version(
    draft: Mapping[str, Any], version: str, uri: Callable[[str], str]
) -> dict[str, Any]:
    """The draft as a version; `uri` says where an artifact's file lies."""
    final: dict[str, Any] = {}
    for key, value in copy.deepcopy(dict(draft)).items():
        final[key] = value
        if key == "ComponentName":
            final["ComponentVersion"] = version
    for artifact in artifacts_of(final):
        artifact["Uri"] = uri(artifact["Uri"])
    return final


def content_of(recipe: Mapping[str, Any]) -> str:
    """SHA-256 of what a version is about: all but the version and where its artifacts lie."""
    bare = copy.deepcopy(dict(recipe))
    bare.pop("ComponentVersion", None)
    for artifact in artifacts_of(bare):
        artifact["Uri"] = file_of(artifact["Uri"])
    return hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()


def digests_of(recipe: Mapping[str, Any]) -> dict[str, str]:
    """The digests (base64; empty: none is given) of a recipe's artifacts by file name."""
    return {file_of(each["Uri"]): str(each.get("Digest", "")) for each in artifacts_of(recipe)}


def artifacts_of(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The artifacts of all manifests: the recipe's own objects, not copies."""
    return [
        artifact
        for manifest in recipe.get("Manifests") or []
        for artifact in manifest.get("Artifacts") or []
    ]


def file_of(uri: str) -> str:
    return uri.rpartition("/")[2]


def in_order(versions: Iterable[str]) -> tuple[str, ...]:
    """Those that are three numbers, oldest first; others have none of our numbers."""
    found = (_numbers(version) for version in versions)
    return tuple(_text(numbers) for numbers in sorted(n for n in found if n is not None))


def next_version(versions: Sequence[str], first: str) -> str:
    """The next free patch version after the last of `versions`; `first`, where there is none."""
    if not versions:
        return first
    *head, patch = map(int, versions[-1].split("."))
    return _text((*head, patch + 1))


def _numbers(version: str) -> tuple[int, ...] | None:
    parts = version.split(".")
    return (
        tuple(map(int, parts)) if len(parts) == _PARTS and all(map(str.isdecimal, parts)) else None
    )


def _text(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
