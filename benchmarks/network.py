"""Writes a network with random weights as a training job would, and as ONNX. Runs in the jobs env.

    python network.py FOLDER LAYERS CLASSES SIDE

FOLDER receives model.tar.gz, network-{symbol.json,0001.params} (for MXNet), and model.onnx, whose
weights are constants: `mx.onnx` lists every weight as an input, and then ONNX Runtime cannot fold
batch normalisation into the convolutions, which costs it a third of its speed.
"""

from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "jobs"))

import mxnet as mx  # type: ignore[import-not-found]
from model_files import params_name, save_description, save_params  # type: ignore[import-not-found]
from networks import first_values, resnet  # type: ignore[import-not-found]

SEED = 1


def main() -> None:
    folder = Path(sys.argv[1])
    layers, classes, side = map(int, sys.argv[2:5])
    shape = (3, side, side)
    symbol = resnet(layers, classes, side)
    arguments, auxiliaries = (
        {name: mx.nd.array(value) for name, value in values.items()}
        for values in first_values(symbol, SEED, data=(1, *shape))
    )
    save_description(folder, symbol, shape)
    params = folder / params_name(1)
    save_params(params, arguments, auxiliaries)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        for path in [*sorted(folder.glob("*.json")), params]:
            archive.add(path, path.name)
    # the loss layer wants a label, which neither an exported nor a bound network should have
    inference = mx.sym.softmax(symbol.get_internals()["fc1_output"], axis=1)
    inference.save(str(folder / "network-symbol.json"))
    params.rename(folder / "network-0001.params")
    _export(folder, (1, *shape))


def _export(folder: Path, shape: tuple[int, ...]) -> None:
    import mxnet.onnx  # type: ignore[import-not-found]
    import onnx  # type: ignore[import-not-found]

    os.chdir(folder)  # mxnet.onnx takes a hyphen anywhere in a path for that of "name-epoch"
    target = "model.onnx"
    mxnet.onnx.export_model(
        "network-symbol.json", "network-0001.params", [shape], "float32", target
    )
    model = onnx.load(target)
    constants = {initializer.name for initializer in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    onnx.save(model, target)


if __name__ == "__main__":
    main()
