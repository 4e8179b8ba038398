"""Deployment (CRISP-DM 6), packing: the archives that devices download, repeatable to the byte."""

import tempfile
from pathlib import Path

from backends.archives import write_archive
from backends.artifacts import CompiledModel, Platform, Wheels
from backends.errors import InvalidInputError, PackageError
from backends.package_rules import check_model_package
from tasks.self_test import KnownPicture, add_self_test

INFERENCE_STEM = "edgeward-inference"
RUNTIME_STEM = "edgeward-runtime"
EDGE = Path(__file__).resolve().parents[1] / "edge"

_RUNTIME_FILES = ("install_runtime.py", "requirements.txt")


PUBLIC_STEM: dict[Platform, str] = {
    "linux-x86_64": "DLR-resnet50-x86_64-cpu-ImageClassification",
    "linux-aarch64": "DLR-resnet50-aarch64-cpu-ImageClassification",
    "linux-armv7l": "DLR-resnet50-armv7l-cpu-ImageClassification",
}
"""The folders that AWS's public inference component looks into, whatever network is in them."""


def model_stem(platform: Platform) -> str:
    """Name of the model's archive and of the folder that it becomes on the device."""
    return f"edgeward-model-{platform}"


def runtime_stem(platform: Platform | None) -> str:
    """Name of the runtime's archive: the one with the wheels of `platform`, or the one without."""
    return f"{RUNTIME_STEM}-{platform}" if platform else RUNTIME_STEM


def package_model(
    compiled: CompiledModel, into: Path, self_test: KnownPicture | None = None
) -> Path:
    """Zip a compiled folder, its files flat at the root, and check that the zip may ship.

    With `self_test`, the model carries that picture and its answer. The same folder and picture
    give the same bytes. Raises PackageError that names what is wrong; there is no zip then.
    """
    files = {path.name: path for path in compiled.folder.iterdir() if path.is_file()}
    package = into / f"{model_stem(compiled.platform)}.zip"
    with tempfile.TemporaryDirectory(prefix=".packing-", dir=_made(into)) as scratch:
        if self_test is not None:
            added = add_self_test(files["compiled.meta"], self_test, Path(scratch))
            files |= {path.name: path for path in added}
        draft = Path(scratch) / package.name
        write_archive(draft, files.items())
        check_model_package(draft, compiled.platform)
        draft.replace(package)
    return package


def package_public_model(compiled: CompiledModel, into: Path) -> Path:
    """Zip a folder that was compiled for AWS's public component, named and laid out as it wants.

    The same folder gives the same bytes. Raises PackageError; there is no zip then.
    """
    files = [path for path in compiled.folder.iterdir() if path.is_file()]
    package = into / f"{PUBLIC_STEM[compiled.platform]}.zip"
    with tempfile.TemporaryDirectory(prefix=".packing-", dir=_made(into)) as scratch:
        draft = Path(scratch) / package.name
        write_archive(draft, ((path.name, path) for path in files))
        check_model_package(draft, compiled.platform, "public-component")
        draft.replace(package)
    return package


def package_inference(into: Path, edge: Path = EDGE) -> Path:
    """Zip the folder edge/ as the inference component ships it: below `edge/` in the archive."""
    files = [
        path
        for path in edge.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix in (".py", ".txt")
    ]
    if edge / "__main__.py" not in files:
        raise InvalidInputError(str(edge), "holds no inference component", "Check the checkout.")
    package = _made(into) / f"{INFERENCE_STEM}.zip"
    write_archive(package, ((f"edge/{path.relative_to(edge).as_posix()}", path) for path in files))
    return package


def package_runtime(into: Path, edge: Path = EDGE, wheels: Wheels | None = None) -> Path:
    """Zip the installer of the device's Python requirements; with `wheels`, it needs no network."""
    for name in _RUNTIME_FILES:
        if not (edge / name).is_file():
            raise PackageError(RUNTIME_STEM, f"{name} is missing in {edge}")
    package = _made(into) / f"{runtime_stem(wheels.platform if wheels else None)}.zip"
    files = [(name, edge / name) for name in _RUNTIME_FILES]
    if wheels:
        files += [(f"wheels/{path.name}", path) for path in wheels.folder.iterdir()]
    write_archive(package, files)
    return package


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
