"""The files of a trained model, named as SageMaker's built-in image classification names them.

`image-classification-symbol.json`, `image-classification-NNNN.params` (NNNN: the epoch, from 1;
keys start with `arg:` or `aux:`) and `model-shapes.json`. With several .params files the highest
epoch counts, as it does for Neo.
"""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mxnet as mx
from container import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

STEM = "image-classification"


@dataclass(frozen=True)
class Model:
    """A network and its values: NDArrays by name; `shape` is (channels, height, width)."""

    symbol: Any
    arguments: dict[str, Any]
    auxiliaries: dict[str, Any]
    shape: tuple[int, int, int]

    @property
    def classes(self) -> int:
        return int(self.arguments["fc1_bias"].shape[0])


def params_name(epoch: int) -> str:
    return f"{STEM}-{epoch:04d}.params"


def save_params(path: Path, arguments: dict[str, Any], auxiliaries: dict[str, Any]) -> None:
    """Same values, same bytes; the file appears whole or not at all.

    MXNet does not notice when the disk fills up while it closes the file, but reading it back does.
    """
    named = {f"arg:{name}": value for name, value in sorted(arguments.items())}
    named |= {f"aux:{name}": value for name, value in sorted(auxiliaries.items())}
    unfinished = path.with_suffix(".tmp")
    mx.nd.save(str(unfinished), named)
    mx.nd.load(str(unfinished))
    unfinished.replace(path)


def save_description(folder: Path, symbol: Any, shape: tuple[int, int, int]) -> None:
    symbol.save(str(folder / f"{STEM}-symbol.json"))
    shapes = [{"name": "data", "shape": [1, *shape]}]
    (folder / "model-shapes.json").write_text(json.dumps(shapes), encoding="utf-8")


def load_params(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments and auxiliary states by name."""
    values: dict[str, dict[str, Any]] = {"arg": {}, "aux": {}}
    for key, value in mx.nd.load(str(path)).items():
        kind, _, name = key.partition(":")
        if kind not in values:
            raise RefusedError(
                f"{path.name}: {key!r} is neither an argument nor an auxiliary state"
            )
        values[kind][name] = value
    return values["arg"], values["aux"]


def load(channel: Path, scratch: Path) -> Model:
    """Read the model of a channel: the files, or the model.tar.gz that holds them."""
    folder = _unpacked(channel, scratch)
    symbol, shapes = folder / f"{STEM}-symbol.json", folder / "model-shapes.json"
    params = sorted(folder.glob(f"{STEM}-*.params"))
    if not (symbol.exists() and shapes.exists() and params):
        raise RefusedError(
            f"channel {channel.name!r} holds no trained model: expected {symbol.name}, "
            f"{shapes.name} and {STEM}-NNNN.params"
        )
    shape = json.loads(shapes.read_text(encoding="utf-8"))[0]["shape"][1:]
    return Model(mx.sym.load(str(symbol)), *load_params(params[-1]), tuple(shape))


def _unpacked(channel: Path, scratch: Path) -> Path:
    archives = sorted(channel.glob("*.tar.gz"))
    if not archives:
        return channel
    with tarfile.open(archives[0]) as tar:
        for member in tar:
            name = os.path.basename(member.name)  # noqa: PTH119 - never outside of `scratch`
            if member.isfile() and (content := tar.extractfile(member)):
                (scratch / name).write_bytes(content.read())
    return scratch
