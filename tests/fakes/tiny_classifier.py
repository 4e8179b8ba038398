"""Makes a small classifier with random weights, as a training job leaves it. Runs in the jobs env.

    python tiny_classifier.py FOLDER CLASSES WIDTH HEIGHT INPUTS.npy [UNITS]

UNITS of a layer before the last make it heavy.
FOLDER receives model.tar.gz, and probabilities.npy: what MXNet says to INPUTS [N, 3, H, W].
"""

import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import mxnet as mx  # type: ignore[import-not-found]
import numpy as np

STEM = "image-classification"


def layer(data: Any, filters: int, stride: int, name: str) -> Any:
    data = mx.sym.Convolution(
        data,
        num_filter=filters,
        kernel=(3, 3),
        stride=(stride, stride),
        pad=(1, 1),
        no_bias=True,
        name=f"{name}_conv",
    )
    data = mx.sym.BatchNorm(data, fix_gamma=False, eps=2e-5, name=f"{name}_bn")
    return mx.sym.Activation(data, act_type="relu", name=f"{name}_relu")


def network(classes: int, units: int) -> Any:
    data = mx.sym.BatchNorm(mx.sym.var("data"), fix_gamma=True, eps=2e-5, name="bn_data")
    data = layer(layer(data, 8, 1, "first"), 16, 2, "second")
    data = mx.sym.Pooling(data, global_pool=True, kernel=(7, 7), pool_type="avg", name="pool")
    data = mx.sym.Flatten(data)
    if units:
        data = mx.sym.FullyConnected(data, num_hidden=units, name="fc0")
    scores = mx.sym.FullyConnected(data, num_hidden=classes, name="fc1")
    return mx.sym.SoftmaxOutput(scores, name="softmax")


def main() -> None:
    folder, inputs = Path(sys.argv[1]), np.load(sys.argv[5])
    classes, width, height = map(int, sys.argv[2:5])
    shape = (1, 3, height, width)
    units = int(sys.argv[6]) if sys.argv[6:] else 0
    model = mx.mod.Module(network(classes, units))
    model.bind([("data", shape)], [("softmax_label", (1,))], for_training=False)
    mx.random.seed(7)
    model.init_params(mx.init.Xavier(magnitude=6))
    arguments, auxiliaries = model.get_params()
    auxiliaries["bn_data_moving_mean"][:], auxiliaries["bn_data_moving_var"][:] = 127.5, 4096
    model.set_params(arguments, auxiliaries)
    answers = [model.predict(mx.nd.array(one[None])).asnumpy()[0] for one in inputs]
    np.save(folder / "probabilities.npy", np.stack(answers))

    os.chdir(folder)
    model.save_checkpoint(STEM, 1)
    Path("model-shapes.json").write_text(json.dumps([{"name": "data", "shape": list(shape)}]))
    with tarfile.open("model.tar.gz", "w:gz") as archive:
        for name in (f"{STEM}-symbol.json", f"{STEM}-0001.params", "model-shapes.json"):
            archive.add(name)


if __name__ == "__main__":
    main()
