"""Greengrass component versions in a folder: `<root>/<name>/<version>.yaml`; artifacts elsewhere.

Does what CreateComponentVersion does in the cloud, and no more: it fills in the artifacts' Uri,
Digest and Algorithm, and a version never changes once it is there.
"""

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from backends.artifacts import ComponentVersion
from backends.component_versions import (
    FIRST,
    artifacts_of,
    by_name,
    check_name,
    content_of,
    file_of,
    in_order,
    next_version,
    with_digests,
    with_version,
)
from backends.errors import InvalidInputError
from backends.files import replace_file
from backends.local.objects import BUCKET, LocalObjects
from backends.recipe_rules import check_recipe


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
        files = by_name(name, artifacts)
        draft = with_digests(name, recipe, files)
        content = content_of(draft)
        with _locked(folder):
            for version in self.versions(name):
                known = self.find(name, version)
                if known is not None and known.sha256 == content:
                    return known
            version = next_version(self.versions(name), first)
            final = with_version(draft, version, lambda file: _uri(name, version, file))
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
        return ComponentVersion(name, version, path, content_of(recipe))

    def fetch(self, name: str, version: str, into: Path) -> Sequence[Path]:
        """Copy the artifacts of a version into the folder `into`. Raises InvalidInputError."""
        if version not in self.versions(name):
            known = ", ".join(self.versions(name)) or "none"
            raise InvalidInputError(
                f"{name} {version}", "there is no such version", f"Published: {known}."
            )
        path = self._folder(name) / f"{version}.yaml"
        uris = {each["Uri"] for each in artifacts_of(yaml.safe_load(path.read_text("utf-8")))}
        into.mkdir(parents=True, exist_ok=True)
        return [self._objects.get(uri, into / file_of(uri)) for uri in sorted(uris)]

    def versions(self, name: str) -> tuple[str, ...]:
        """All versions of a component, oldest first."""
        return in_order(path.stem for path in self._folder(name).glob("*.yaml"))

    def _folder(self, name: str) -> Path:
        return self._root / check_name(name)


def _uri(name: str, version: str, file: str) -> str:
    return f"s3://{BUCKET}/components/{name}/{version}/{file}"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
