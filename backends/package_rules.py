"""Whether a packed model may ship: its parts agree with each other and with the platform.

Each rule is a fault that a published example of this kind of system has had, and that shows on a
device as a crash, or worse, as wrong answers.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backends.archives import check_unarchive, unpack
from backends.artifacts import ModelInput, Platform
from backends.elf import library_platform
from backends.errors import PackageError
from edge.contract import ModelFolderError, SelfTest, read_metadata
from edge.pictures import UnreadablePictureError, image_id, read_picture

NEO_ARCHITECTURE: dict[Platform, str] = {
    "linux-x86_64": "X86_64",
    "linux-aarch64": "ARM64",
    "linux-armv7l": "ARM_EABIHF",
}

SUM_TOLERANCE = 0.01

NEO = "sagemaker-neo"
BELONG_TOGETHER = {("hhb-tvm==3.2.3", "1.6.0"), (NEO, "")}
"""(compiler, libdlr) pairs of which the runtime was seen to load what the compiler makes.

libdlr carries a TVM of its own, whose graph format and operator calls must be the compiler's.
A new pair belongs here once benchmarks and verification have run with it. Neo's archives bring the
runtime that they were compiled for, of whatever version: its digest is what is held to.
"""


def check_model_package(package: Path, platform: Platform, takes: ModelInput = "model") -> None:
    """Raise PackageError that names why the zip `package` must not ship to `platform`.

    `takes` is what the component feeds that it is for.
    """
    check_unarchive(package, "ZIP")
    with tempfile.TemporaryDirectory(prefix="edgeward-package-") as scratch:
        check_model_folder(unpack(package, Path(scratch)), platform, package.name, takes)


def check_model_folder(
    folder: Path, platform: Platform, name: str, takes: ModelInput = "model"
) -> None:
    """The same for an unpacked model; `name` is what the error calls it."""
    if below := sorted(path.name for path in folder.iterdir() if path.is_dir()):
        raise PackageError(name, f"holds the folder {below[0]!r}: DLR reads the top level only")
    try:
        metadata = read_metadata(folder)
    except ModelFolderError as error:
        raise PackageError(name, error.reason) from error
    if metadata.takes != takes:
        raise PackageError(name, f"its input is {metadata.takes!r}, its component feeds {takes!r}")
    meta = json.loads((folder / "compiled.meta").read_text(encoding="utf-8"))
    _check_outputs(folder, len(metadata.labels), name)
    _check_platform(folder, meta, platform, name)
    _check_runtime(folder, meta, name)
    if metadata.self_test:
        _check_self_test(folder, metadata.self_test, name)


def _check_self_test(folder: Path, test: SelfTest, name: str) -> None:
    """A question that cannot be asked, or whose answer is no answer, refuses a sound model."""
    try:
        data = (folder / test.picture).read_bytes()
        read_picture(data)
    except UnreadablePictureError as error:
        raise PackageError(name, f"{test.picture}: {error}") from error
    if image_id(data) != test.image_id:
        raise PackageError(name, f"{test.picture} is not the picture that compiled.meta names")
    if abs(sum(test.probabilities) - 1) > SUM_TOLERANCE:
        raise PackageError(name, "the answer to the self-test picture is no probabilities")


def _check_outputs(folder: Path, labels: int, name: str) -> None:
    """compiled.meta only claims; what the graph itself gives out is what counts."""
    try:
        graph = json.loads((folder / "compiled_model.json").read_text(encoding="utf-8"))
        shapes = graph["attrs"]["shape"][1]
        outputs = [
            shapes[graph["node_row_ptr"][node] + index] for node, index, *_ in graph["heads"]
        ]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise PackageError(name, f"compiled_model.json is no TVM graph: {error!r}") from error
    if outputs != [[1, labels]]:
        raise PackageError(name, f"the model gives out {outputs} and has {labels} labels")


def _check_platform(folder: Path, meta: Mapping[str, Any], platform: Platform, name: str) -> None:
    for library in sorted(folder.glob("*.so")):
        found = library_platform(library)
        if found != platform:
            raise PackageError(name, f"{library.name} is for {found}, its recipe for {platform}")
    claimed = (meta.get("Requirements") or {}).get("TargetPlatformArch")
    if claimed != NEO_ARCHITECTURE[platform]:
        raise PackageError(name, f"compiled.meta is for {claimed}, its recipe for {platform}")


def _check_runtime(folder: Path, meta: Mapping[str, Any], name: str) -> None:
    own = meta["Edgeward"]
    compiler = str((own.get("compiler") or {}).get("wheel"))
    runtime = own.get("runtime") or {}
    version, digest = str(runtime.get("version")), runtime.get("sha256")
    if (compiler, version) not in BELONG_TOGETHER:
        raise PackageError(
            name, f"compiler {compiler} and runtime libdlr {version} are not known to work together"
        )
    library = folder / "libdlr.so"
    found = _sha256(library) if library.is_file() else None
    if found != digest:
        raise PackageError(name, f"libdlr.so has SHA-256 {found}, and compiled.meta says {digest}")


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
