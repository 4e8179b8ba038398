"""Brings recipes and artifacts onto the device: whole, checked, unpacked safely.

A version never changes, so what is there and has its digest is not fetched again.
"""

import lzma
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from backends.local.nucleus.download import PackageFault, check_room, digest_of, download, mode_of
from backends.local.nucleus.kind import CLASSIC, Nucleus
from backends.local.nucleus.layout import Layout
from backends.local.nucleus.privileges import check_privileges
from backends.local.nucleus.recipe import Artifact, Recipe, RecipeError
from backends.local.nucleus.recipe_reader import load
from backends.local.nucleus.versions import Version, VersionError, parse_version

MAX_ENTRIES = 100_000
MAX_UNPACKED = 4 * 1024**3
MAX_NAME = 200  # characters of an entry's name that go into a reason
_CHUNK = 1024 * 1024
_UNREADABLE = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    MemoryError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
_SUFFIXES = (".yaml", ".yml", ".json")


class Packages:
    """Recipes come from `<components>/<name>/<version>.yaml`, artifacts from `<objects>/…`."""

    def __init__(
        self,
        layout: Layout,
        components: Path,
        objects: Path,
        attributes: Mapping[str, str],
        nucleus: Nucleus = CLASSIC,
    ) -> None:
        self._layout = layout
        self._components = components
        self._objects = objects
        self._attributes = attributes
        self._nucleus = nucleus

    def versions(self, name: str) -> list[Version]:
        """The versions that can be had, here or in the store."""
        folder = self._components / name
        found: dict[str, Version] = {}
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.suffix in _SUFFIXES and not path.name.startswith("."):
                try:
                    version = parse_version(path.name.removesuffix(path.suffix))
                except VersionError:
                    continue
                found[str(version)] = version
        return sorted(found.values(), key=lambda version: (version, version.build))

    def recipe(self, name: str, version: Version) -> Recipe:
        """From the store. Raises PackageFault or RecipeError."""
        for suffix in _SUFFIXES:
            path = self._components / name / f"{version}{suffix}"
            if path.is_file():
                recipe = self._read(path)
                if (recipe.name, recipe.version) != (name, version):
                    reason = f"is that of {recipe.name} {recipe.version}"
                    raise RecipeError(f"{name} {version}", "ComponentVersion", reason)
                return recipe
        raise PackageFault(f"there is no recipe of {name} {version}")

    def installed(self, name: str, version: str) -> Recipe:
        """From the device itself. Raises PackageFault or RecipeError."""
        path = self._layout.recipe(name, version)
        if not path.is_file():
            raise PackageFault(f"the recipe of {name} {version} is not on the device any more")
        return self._read(path)

    def _read(self, path: Path) -> Recipe:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RecipeError(path.name, "file", f"is not UTF-8: {error}") from error
        return load(text, self._attributes, self._nucleus)

    def fetch(self, recipe: Recipe, *, local: bool = False) -> None:
        """Artifacts first, the recipe last: a recipe on the device has its artifacts there.

        `local`: for a local deployment, whose archives nucleus lite does not unpack.
        """
        check_privileges(recipe)
        version = str(recipe.version)
        self._layout.unarchived(recipe.name, version).mkdir(parents=True, exist_ok=True)
        self._layout.artifacts(recipe.name, version).mkdir(parents=True, exist_ok=True)
        for artifact in recipe.artifacts:
            unzip = artifact.unzip and (self._nucleus.unzips_local or not local)
            self._fetch_artifact(recipe.name, version, artifact, unzip=unzip)
        self._layout.work(recipe.name).mkdir(parents=True, exist_ok=True)
        for suffix in _SUFFIXES:
            source = self._components / recipe.name / f"{version}{suffix}"
            if source.is_file():
                _replace(source, self._layout.recipe(recipe.name, version))
                return

    def _fetch_artifact(self, name: str, version: str, artifact: Artifact, *, unzip: bool) -> None:
        target = self._layout.artifacts(name, version) / artifact.file
        fresh = not target.is_file() or bool(
            artifact.digest and digest_of(target) != artifact.digest
        )
        if fresh:
            download(self._source(artifact.uri), target, artifact)
        if unzip:
            folder = self._layout.unarchived(name, version) / artifact.folder
            if fresh or not folder.is_dir():
                unpack(target, folder, artifact)

    def _source(self, uri: str) -> Path:
        parts = PurePosixPath(uri.removeprefix("s3://")).parts
        path = self._objects.joinpath(*parts)
        if ".." in parts or not path.is_file():
            raise PackageFault(f"{uri}: there is no such object")
        return path


def unpack(archive: Path, into: Path, artifact: Artifact) -> None:
    """Unzips beside the folder, then takes its place. Raises PackageFault; nothing is left then."""
    partial = into.with_name(f".{into.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as content:
            _extract(content, partial, artifact)
    except _UNREADABLE as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise PackageFault(f"{artifact.uri} is no ZIP archive that can be read: {error}") from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(into, ignore_errors=True)
    partial.replace(into)


def _extract(content: zipfile.ZipFile, into: Path, artifact: Artifact) -> None:
    entries = content.infolist()
    if len(entries) > MAX_ENTRIES:
        raise PackageFault(f"{artifact.uri} has {len(entries)} entries; {MAX_ENTRIES} at most")
    into.mkdir(parents=True)
    check_room(into, sum(entry.file_size for entry in entries), artifact.uri)
    left = MAX_UNPACKED
    for entry in entries:
        target = into / _safe(entry)
        try:
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                left -= _extract_file(content, entry, target, left)
        except (*_UNREADABLE, OSError) as error:
            reason = f"{entry.filename[:MAX_NAME]!r} cannot be unpacked: {error}"
            raise PackageFault(f"{artifact.uri}: {reason}") from error
        if left < 0:
            raise PackageFault(f"{artifact.uri} unpacks to more than {MAX_UNPACKED} bytes")
        if not entry.is_dir():
            target.chmod(mode_of(artifact))


def _extract_file(content: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int) -> int:
    """The bytes written; a little more than `left` when there are more than that."""
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with content.open(entry) as source, target.open("wb") as sink:
        while size <= left and (chunk := source.read(_CHUNK)):
            size += len(chunk)
            sink.write(chunk)
    return size


def _safe(entry: zipfile.ZipInfo) -> str:
    path = PurePosixPath(entry.filename)
    outside = path.is_absolute() or ".." in path.parts or "\\" in entry.filename
    nowhere = not path.parts and not entry.is_dir()  # as a folder it is the archive's own
    if outside or nowhere or "\0" in entry.filename:
        raise PackageFault(f"the archive holds a path that leads out of it: {entry.filename!r}")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise PackageFault(f"the archive holds a link or device: {entry.filename!r}")
    return str(path)


def _replace(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, partial)
    partial.replace(target)
