"""Makes of what Neo compiled a model folder of ours: labels, preprocessing, and nothing too much.

Neo writes compiled.so, compiled_model.json, compiled.params, compiled.meta and libdlr.so, and
passes on what lay beside the model. DLR reads one file of each kind and fails at a second.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.artifacts import Platform, TrainedModel
from backends.aws.objects import sha256_of
from backends.elf import library_platform
from backends.errors import PackageError
from backends.files import replace_file
from backends.package_rules import NEO, NEO_ARCHITECTURE

FORMAT = 1
KEPT = ("compiled.so", "compiled_model.json", "compiled.params", "compiled.meta", "libdlr.so")


@dataclass(frozen=True, slots=True)
class Compilation:
    """What was compiled for, and what compiled it."""

    platform: Platform
    target: str
    version: str
    flags: Mapping[str, str]


def as_model_folder(folder: Path, model: TrainedModel, compilation: Compilation) -> None:
    """Change the unpacked archive `folder` into what the component loads.

    Raises PackageError when it lacks a part, or was compiled for another platform.
    """
    for path in folder.iterdir():
        if path.is_dir():
            raise PackageError(folder.name, f"the archive holds the folder {path.name!r}")
        if path.name not in KEPT:
            path.unlink()
    for name in KEPT[:-1]:
        if not (folder / name).is_file():
            raise PackageError(folder.name, f"the archive lacks {name}")
    found = library_platform(folder / "compiled.so")
    if found != compilation.platform:
        reason = f"the archive is for {found}, and {compilation.platform} was asked for"
        raise PackageError(folder.name, reason)
    meta = _completed(_read(folder / "compiled.meta"), folder, model, compilation)
    replace_file(folder / "compiled.meta", json.dumps(meta, indent=1, ensure_ascii=False) + "\n")
    replace_file(folder / "synset.txt", repr(dict(enumerate(model.classes))) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PackageError(path.name, f"compiled.meta is not JSON: {error}") from error
    if not isinstance(meta, dict):
        raise PackageError(path.name, "compiled.meta is not a JSON object")
    return meta


def _completed(
    meta: dict[str, Any], folder: Path, model: TrainedModel, compilation: Compilation
) -> dict[str, Any]:
    """Neo's own entries with what it leaves out, and our key.

    A built-in model takes pixels as they are: its graph normalises, as in SageMaker's own serving.
    """
    library = folder / "libdlr.so"
    requirements = {
        "TargetDeviceType": "cpu",
        "TargetPlatformOs": "LINUX",
        **(meta.get("Requirements") or {}),
        "TargetPlatformArch": NEO_ARCHITECTURE[compilation.platform],
    }
    own = {
        "format": FORMAT,
        "platform": compilation.platform,
        "labels": list(model.classes),
        "input": "model",
        "preprocessing": {
            "width": model.width,
            "height": model.height,
            "color": "RGB",
            "resize": "bilinear",
            "layout": "NCHW",
            "dtype": "float32",
            "range": [0, 255],
        },
        "compiler": {
            "name": "neo",
            "version": compilation.version,
            "wheel": NEO,
            "target": compilation.target,
            "flags": dict(compilation.flags),
        },
        "runtime": {
            "name": "libdlr",
            "version": "",
            "sha256": sha256_of(library) if library.is_file() else None,
            "threads": 0,
        },
    }
    return {**meta, "Requirements": requirements, "Edgeward": own}
