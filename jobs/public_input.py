"""Lets a network take what AWS's public inference component feeds, by operators in front of it.

aws.greengrass.DLRImageClassification gives `data` [1, 224, 224, 3]: BGR, 0..255, each picture
brought to that size by itself. The network wants RGB, NCHW, its own size. The resize between them
is Pillow's bilinear one to the bit, because Pillow prepared the pictures of the training: two
products with constant matrices of whole numbers, the pixels rounded after each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SIDE = 224
SHAPE = (1, SIDE, SIDE, 3)

_BITS = 22  # of Pillow's weights after the point, for pixels of 8 bits
_CHANNELS = 3


def resize_weights(size: int, wanted: int) -> Any:
    """Pillow's weights for a side of `size` pixels that becomes `wanted`: int32 [wanted, size].

    A triangle as wide as the pixels that become one; at least a pixel, for a side that grows.
    """
    scale = size / wanted
    reach = max(scale, 1.0)
    centres = (np.arange(wanted) + 0.5) * scale
    distances = np.abs(np.arange(size)[None, :] + 0.5 - centres[:, None]) / reach
    weights = np.clip(1 - distances, 0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.floor(weights * (1 << _BITS) + 0.5).astype(np.int32)


def with_public_input(module: Any, width: int, height: int) -> Any:
    """The Relay module of a network for [1, 3, height, width], now for SHAPE."""
    import tvm  # noqa: PLC0415 - after mxnet, or it crashes
    from tvm import relay  # noqa: PLC0415

    network = module["main"]
    (own,) = [parameter for parameter in network.params if parameter.name_hint == "data"]
    fed = relay.var("data", shape=SHAPE, dtype="float32")
    pixels = relay.transpose(relay.reverse(fed, axis=3), (0, 3, 1, 2))
    if (height, width) != (SIDE, SIDE):
        pixels = relay.cast(_resized(pixels, width, height), "float32")
    body = relay.bind(network.body, {own: pixels})
    others = [parameter for parameter in network.params if parameter.name_hint != "data"]
    return tvm.IRModule.from_expr(relay.Function([fed, *others], body))


def _resized(pixels: Any, width: int, height: int) -> Any:
    """[1, 3, SIDE, SIDE] as int32 [1, 3, height, width]: rows first, as Pillow does."""
    from tvm import relay  # noqa: PLC0415

    rows = relay.reshape(relay.cast(pixels, "int32"), (_CHANNELS * SIDE, SIDE))
    narrow = relay.reshape(_product(rows, SIDE, width), (_CHANNELS, SIDE, width))
    columns = relay.reshape(relay.transpose(narrow, (0, 2, 1)), (_CHANNELS * width, SIDE))
    small = relay.reshape(_product(columns, SIDE, height), (1, _CHANNELS, width, height))
    return relay.transpose(small, (0, 1, 3, 2))


def _product(lines: Any, size: int, wanted: int) -> Any:
    """Each line of `size` pixels as one of `wanted` pixels, rounded."""
    from tvm import relay  # noqa: PLC0415

    if size == wanted:
        return lines
    weights = relay.const(resize_weights(size, wanted), "int32")
    half = relay.const(1 << (_BITS - 1), "int32")
    total = relay.nn.dense(lines, weights, out_dtype="int32")
    return relay.right_shift(total + half, relay.const(_BITS, "int32"))
