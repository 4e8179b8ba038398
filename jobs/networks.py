"""The networks of SageMaker's built-in image classification: pre-activation ResNets.

Source: He et al., "Identity Mappings in Deep Residual Networks" (2016), with the layer and
parameter names of MXNet's symbol_resnet, on which the built-in algorithm is built.

Input `data`: [N, 3, H, W] float32, RGB, 0..255; normalisation is the first layer (`bn_data`).
Output `softmax`: [N, classes] probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mxnet as mx
import numpy as np

BATCH_NORM = {"eps": 2e-5, "momentum": 0.9}
SMALL = (20, 32, 44, 56, 110)
LARGE = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
BOTTLENECK_FROM = 50
SMALL_STAGES = 3
SMALL_STEM_UP_TO = 32  # pixels: larger pictures of a large network are first reduced to a quarter
PIXEL_MEAN, PIXEL_VARIANCE = 127.5, 64.0**2


@dataclass(frozen=True)
class Stages:
    """How many units each stage has, and how many channels the stem and each stage give out."""

    units: tuple[int, ...]
    channels: tuple[int, ...]
    bottleneck: bool


def stages(num_layers: int) -> Stages:
    if num_layers in SMALL:
        return Stages(((num_layers - 2) // 6,) * SMALL_STAGES, (16, 16, 32, 64), bottleneck=False)
    if num_layers >= BOTTLENECK_FROM:
        return Stages(LARGE[num_layers], (64, 256, 512, 1024, 2048), bottleneck=True)
    return Stages(LARGE[num_layers], (64, 64, 128, 256, 512), bottleneck=False)


def resnet(num_layers: int, num_classes: int, side: int, *, weighted: bool = False) -> Any:
    """The network as a symbol, for pictures whose longer side has `side` pixels.

    With `weighted` it has one more input, `loss_weight` [N, 1], which scales each picture's
    gradient and leaves its probabilities as they are. That form is for training only; both have
    the same parameters.
    """
    plan = stages(num_layers)
    body = mx.sym.BatchNorm(mx.sym.Variable("data"), fix_gamma=True, name="bn_data", **BATCH_NORM)
    body = _stem(body, plan, side)
    for stage, (count, channels) in enumerate(zip(plan.units, plan.channels[1:], strict=True), 1):
        for unit in range(1, count + 1):
            stride = 2 if unit == 1 and stage > 1 else 1
            name = f"stage{stage}_unit{unit}"
            body = _unit(body, channels, stride, name, changes=unit == 1, plan=plan)
    body = _normalised(body, "bn1", "relu1")
    body = mx.sym.Pooling(body, global_pool=True, kernel=(7, 7), pool_type="avg", name="pool1")
    scores = mx.sym.FullyConnected(mx.sym.Flatten(body), num_hidden=num_classes, name="fc1")
    if weighted:
        weight = mx.sym.Variable("loss_weight")
        kept = mx.sym.broadcast_mul(scores, weight)
        scores = kept + mx.sym.BlockGrad(scores - kept)
    return mx.sym.SoftmaxOutput(scores, name="softmax")


def _stem(body: Any, plan: Stages, side: int) -> Any:
    channels = plan.channels[0]
    if len(plan.units) == SMALL_STAGES or side <= SMALL_STEM_UP_TO:
        return _convolution(body, channels, 3, 1, "conv0")
    body = _normalised(_convolution(body, channels, 7, 2, "conv0"), "bn0", "relu0")
    return mx.sym.Pooling(body, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max")


def _unit(body: Any, channels: int, stride: int, name: str, *, changes: bool, plan: Stages) -> Any:
    """Normalise and activate first, then convolve; the shortcut bypasses all of it."""
    first = _normalised(body, f"{name}_bn1", f"{name}_relu1")
    if plan.bottleneck:
        inner = _convolution(first, channels // 4, 1, 1, f"{name}_conv1")
        inner = _normalised(inner, f"{name}_bn2", f"{name}_relu2")
        inner = _convolution(inner, channels // 4, 3, stride, f"{name}_conv2")
        inner = _normalised(inner, f"{name}_bn3", f"{name}_relu3")
        inner = _convolution(inner, channels, 1, 1, f"{name}_conv3")
    else:
        inner = _convolution(first, channels, 3, stride, f"{name}_conv1")
        inner = _normalised(inner, f"{name}_bn2", f"{name}_relu2")
        inner = _convolution(inner, channels, 3, 1, f"{name}_conv2")
    return inner + (_convolution(first, channels, 1, stride, f"{name}_sc") if changes else body)


def _convolution(body: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
    return mx.sym.Convolution(
        body,
        num_filter=channels,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(kernel // 2, kernel // 2),
        no_bias=True,
        name=name,
    )


def _normalised(body: Any, norm: str, relu: str) -> Any:
    body = mx.sym.BatchNorm(body, fix_gamma=False, name=norm, **BATCH_NORM)
    return mx.sym.Activation(body, act_type="relu", name=relu)


def first_values(
    symbol: Any, seed: int, **shapes: tuple[int, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments and auxiliary states to start from, NumPy float32, by name; same seed, same values.

    Weights are normal with variance 2 / fan-in (He et al., 2015). `bn_data` starts from typical
    pixels, so that a short training need not find out that they lie in 0..255.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    argument_shapes, _, auxiliary_shapes = symbol.infer_shape(**shapes)
    arguments = {
        name: _first(name, shape, generator)
        for name, shape in zip(symbol.list_arguments(), argument_shapes, strict=True)
        if name not in shapes and name != "softmax_label"
    }
    auxiliaries = {
        name: (np.ones if name.endswith("_var") else np.zeros)(shape, np.float32)
        for name, shape in zip(symbol.list_auxiliary_states(), auxiliary_shapes, strict=True)
    }
    auxiliaries["bn_data_moving_mean"][:] = PIXEL_MEAN
    auxiliaries["bn_data_moving_var"][:] = PIXEL_VARIANCE
    return arguments, auxiliaries


def _first(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    if name.endswith("_gamma"):
        return np.ones(shape, np.float32)
    if name.endswith(("_beta", "_bias")):
        return np.zeros(shape, np.float32)
    deviation = np.sqrt(2.0 / np.prod(shape[1:]))
    return generator.normal(0.0, deviation, shape).astype(np.float32)
