"""What a compiled model folder holds, and whether its parts agree. Standard library only.

compiled.so compiled_model.json compiled.params   what DLR loads: exactly one of each kind
compiled.meta    Neo's metadata, with our own key "Edgeward": labels, preprocessing, compiler
self-test.*      a picture, to which compiled.meta holds the right answer; older models have none
synset.txt       the labels again, as the dict literal that AWS's component reads
libdlr.so        the runtime itself, where it ships with the model (x86_64)
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from edge.fields import expect_keys, read_share, read_text

FORMAT = 1
"""Of our key in compiled.meta: what this code knows. A model without one is of the first."""

SELF_TEST_STEM = "self-test"

_IGNORED_BY_DLR = ("libdlr.so", "model-shapes.json", "hyperparams.json")
_INPUTS = ("model", "public-component")
_PREPROCESSING_KEYS = ("width", "height", "color", "resize", "layout", "dtype", "range")


class ModelFolderError(ValueError):
    """A folder is not a model that this component can serve."""

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(folder, reason)
        self.folder = folder
        self.reason = reason

    def __str__(self) -> str:
        return f"model folder {self.folder}: {self.reason}"


class NewerFormatError(ModelFolderError):
    """A folder is of a later format than this code knows; a later component may serve it."""


@dataclass(frozen=True)
class SelfTest:
    """A picture in the folder, and what the trained model says to it.

    `image_id` is the SHA-256 of the picture's bytes. Each of `probabilities`, in the order of the
    labels, may be missed by `tolerance`.
    """

    picture: str
    image_id: str
    probabilities: Tuple[float, ...]
    tolerance: float

    def to_dict(self) -> Dict[str, Any]:
        """Give what `read_metadata` reads, for the key "self_test"."""
        return {**vars(self), "probabilities": list(self.probabilities)}


@dataclass(frozen=True)
class ModelMetadata:
    """What a model says about itself. `outputs` is the number of probabilities it gives.

    `architecture` is Neo's name of the CPU (X86_64, ARM64, ARM_EABIHF), "" where it is not said.
    `threads` is how many threads suit the model; 0: as many as there are cores. `takes` is
    "model" (what this component feeds) or "public-component" (what AWS's own feeds).
    """

    labels: Tuple[str, ...]
    preprocessing: Dict[str, Any]
    compiler: Dict[str, Any]
    outputs: int
    architecture: str = ""
    threads: int = 0
    self_test: Optional[SelfTest] = None
    takes: str = "model"


def read_metadata(folder: Path) -> ModelMetadata:
    """Read and cross-check the metadata of a compiled model folder.

    Raises ModelFolderError that says which file is missing, double or wrong, and where labels
    and outputs differ; NewerFormatError where a later component has to read it.
    """
    folder = Path(folder)
    try:
        _check_files(folder)
        meta = _read_json(folder / "compiled.meta")
        own = _mapping(meta, "Edgeward", "compiled.meta")
        _check_format(own.get("format", FORMAT), folder)
        labels = _labels(own.get("labels"))
        _check_synset(folder / "synset.txt", labels)
        outputs = _outputs(meta)
        _check_count(outputs, labels)
        return ModelMetadata(
            labels=labels,
            preprocessing=_preprocessing(own),
            compiler=dict(_mapping(own, "compiler", "compiled.meta, Edgeward")),
            outputs=outputs,
            architecture=str((meta.get("Requirements") or {}).get("TargetPlatformArch", "")),
            threads=_threads(own),
            self_test=_self_test(own.get("self_test"), folder, labels),
            takes=_takes(own),
        )
    except _Wrong as error:
        raise ModelFolderError(str(folder), str(error)) from None
    except OSError as error:
        raise ModelFolderError(str(folder), f"cannot be read: {error}") from error


class _Wrong(Exception):  # noqa: N818  (never leaves this module)
    """Why the folder is refused."""


def _check_files(folder: Path) -> None:
    if not folder.is_dir():
        raise _Wrong("there is no such folder")
    names = sorted(entry.name for entry in folder.iterdir())
    if "compiled.so" not in names and any(name.endswith(".zip") for name in names):
        raise _Wrong(
            "its archive is still packed: this nucleus did not carry out `Unarchive: ZIP` "
            "(nucleus lite does not for local deployments; deploy from S3)"
        )
    for suffix in (".so", ".json", ".params", ".meta"):
        found = [name for name in names if name.endswith(suffix) and name not in _IGNORED_BY_DLR]
        if len(found) != 1:
            listed = ", ".join(found) or "none"
            raise _Wrong(f"DLR wants exactly one *{suffix} file, found {listed}")
    if any(name.endswith(".tensorrt") for name in names):
        raise _Wrong("DLR refuses a folder with a *.tensorrt file")
    if "compiled.meta" not in names:
        raise _Wrong("compiled.meta is missing")


def _read_json(path: Path) -> Dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise _Wrong(f"{path.name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise _Wrong(f"{path.name} is not a JSON object")
    return value


def _mapping(parent: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = parent.get(key)
    if not isinstance(value, dict):
        raise _Wrong(f"{where} has no {key!r}")
    return value


def _check_format(value: Any, folder: Path) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _Wrong(f"compiled.meta, Edgeward.format must be a whole number from 1, not {value!r}")
    if value > FORMAT:
        reason = f"is of format {value}, and this component knows {FORMAT}: deploy a newer one"
        raise NewerFormatError(str(folder), reason)


def _labels(value: Any) -> Tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise _Wrong("compiled.meta, Edgeward.labels must be a list of names")
    if not all(isinstance(label, str) and label for label in value):
        raise _Wrong("compiled.meta, Edgeward.labels holds something that is not a name")
    if len(set(value)) != len(value):
        raise _Wrong("compiled.meta, Edgeward.labels names a label twice")
    return tuple(value)


def _check_synset(path: Path, labels: Tuple[str, ...]) -> None:
    if not path.is_file():
        raise _Wrong("synset.txt is missing")
    try:
        synset = ast.literal_eval(path.read_text(encoding="utf-8").strip())
    except (ValueError, SyntaxError) as error:
        raise _Wrong(f"synset.txt is not a dict literal: {error}") from error
    if synset != dict(enumerate(labels)):
        raise _Wrong("synset.txt and compiled.meta name different labels")


def _check_count(outputs: int, labels: Tuple[str, ...]) -> None:
    if outputs != len(labels):
        raise _Wrong(f"the model has {outputs} outputs but {len(labels)} labels")


def _outputs(meta: Mapping[str, Any]) -> int:
    try:
        outputs = meta["Model"]["Outputs"]
        (output,) = outputs
        batch, count = output["shape"]
    except (KeyError, TypeError, ValueError):
        raise _Wrong("compiled.meta must name one output of shape [1, N]") from None
    if batch != 1 or not isinstance(count, int) or count < 1:
        raise _Wrong(f"compiled.meta must name one output of shape [1, N], not {[batch, count]}")
    return count


def _takes(own: Mapping[str, Any]) -> str:
    takes = own.get("input", _INPUTS[0])
    if takes not in _INPUTS:
        raise _Wrong(f"compiled.meta, Edgeward.input must be one of {_INPUTS}, not {takes!r}")
    return str(takes)


def _threads(own: Mapping[str, Any]) -> int:
    runtime = own.get("runtime")
    threads = runtime.get("threads", 0) if isinstance(runtime, dict) else 0
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 0:
        raise _Wrong(f"compiled.meta, Edgeward.runtime.threads must be 0 or more, not {threads!r}")
    return threads


def _self_test(value: Any, folder: Path, labels: Tuple[str, ...]) -> Optional[SelfTest]:
    if value is None:
        return None
    where = "compiled.meta, Edgeward.self_test"
    try:
        expect_keys(value, ("picture", "image_id", "probabilities", "tolerance"), where)
        picture = read_text(value["picture"], f"{where}.picture")
        image_id = read_text(value["image_id"], f"{where}.image_id")
        tolerance = read_share(value["tolerance"], f"{where}.tolerance")
        shares = value["probabilities"]
        if not isinstance(shares, list) or len(shares) != len(labels):
            raise _Wrong(f"{where}.probabilities must be {len(labels)} numbers, one a label")
        probabilities = tuple(read_share(share, f"{where}.probabilities") for share in shares)
    except ValueError as error:
        raise _Wrong(str(error)) from None
    if not re.fullmatch(rf"{SELF_TEST_STEM}\.[a-z]{{3,4}}", picture):
        raise _Wrong(f"{where}.picture must be {SELF_TEST_STEM} with a suffix, not {picture!r}")
    if not (folder / picture).is_file():
        raise _Wrong(f"{picture} is missing")
    return SelfTest(picture, image_id, probabilities, tolerance)


def _preprocessing(own: Mapping[str, Any]) -> Dict[str, Any]:
    value = dict(_mapping(own, "preprocessing", "compiled.meta, Edgeward"))
    missing = [key for key in _PREPROCESSING_KEYS if key not in value]
    if missing:
        raise _Wrong(f"compiled.meta, Edgeward.preprocessing lacks {', '.join(missing)}")
    return value
