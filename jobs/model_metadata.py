"""Writes what a compiled model says about itself: Neo's compiled.meta with our key, synset.txt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from public_input import SHAPE, SIDE

MODEL = "model"
PUBLIC_COMPONENT = "public-component"
INPUTS = (MODEL, PUBLIC_COMPONENT)

_NEO_ARCHITECTURE = {
    "linux-x86_64": "X86_64",
    "linux-aarch64": "ARM64",
    "linux-armv7l": "ARM_EABIHF",
}


@dataclass(frozen=True)
class Compiled:
    """What was compiled, for which platform, by what.

    `output` is the model's output shape, `takes` one of INPUTS, `width` and `height` the network's.
    """

    platform: str
    width: int
    height: int
    labels: Sequence[str]
    output: Sequence[int]
    compiler: Mapping[str, Any]
    runtime: Mapping[str, Any]
    takes: str


def write_metadata(compiled: Compiled, into: Path) -> None:
    """Write compiled.meta (JSON) and synset.txt (a dict literal {0: 'label', …}).

    The time of creation is left at the epoch: the same model must give the same bytes.
    """
    content = json.dumps(_metadata(compiled), indent=1, ensure_ascii=False) + "\n"
    (into / "compiled.meta").write_text(content, encoding="utf-8")
    synset = repr(dict(enumerate(compiled.labels))) + "\n"
    (into / "synset.txt").write_text(synset, encoding="utf-8")


def _metadata(compiled: Compiled) -> dict[str, Any]:
    public = compiled.takes == PUBLIC_COMPONENT
    shape = list(SHAPE) if public else [1, 3, compiled.height, compiled.width]
    return {
        "Requirements": {
            "TargetDeviceType": "cpu",
            "TargetPlatformOs": "LINUX",
            "TargetPlatformArch": _NEO_ARCHITECTURE[compiled.platform],
        },
        "Compilation": {"CreatedTime": 0.0},
        "Model": {
            "Inputs": [{"name": "data", "dtype": "float32", "shape": shape}],
            "Outputs": [{"name": "output_0", "dtype": "float32", "shape": list(compiled.output)}],
        },
        "Edgeward": {
            "format": 1,
            "platform": compiled.platform,
            "labels": list(compiled.labels),
            "input": compiled.takes,
            "preprocessing": {
                "width": SIDE if public else compiled.width,
                "height": SIDE if public else compiled.height,
                "color": "BGR" if public else "RGB",
                "resize": "bilinear",
                "layout": "NHWC" if public else "NCHW",
                "dtype": "float32",
                "range": [0, 255],
            },
            "compiler": dict(compiled.compiler),
            "runtime": dict(compiled.runtime),
        },
    }
