"""What is put in front of a network for AWS's component resizes as Pillow does, to the bit."""

import runpy
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backends.settings import PROJECT

SIDE, BITS = 224, 22


@pytest.mark.parametrize("side", [1, 7, 24, 32, 40, 100, 223, 256, 300])
def test_its_weights_are_those_of_the_pictures_that_the_network_learned(side: int) -> None:
    """Each shade that differs moves every answer a little away from what was verified."""
    resize_weights: Any = runpy.run_path(str(PROJECT / "jobs/public_input.py"))["resize_weights"]
    pixels = np.random.default_rng(side).integers(0, 256, (50, SIDE), dtype=np.uint8)

    weights = resize_weights(SIDE, side)
    ours = (pixels.astype(np.int32) @ weights.T + (1 << (BITS - 1))) >> BITS

    assert weights.dtype == np.int32
    assert (weights.sum(axis=1) * 255.0 < 2**31 - (1 << BITS)).all()  # no sum overflows
    pillows = Image.fromarray(pixels).resize((side, 50), Image.Resampling.BILINEAR)
    assert np.array_equal(ours, np.asarray(pillows))
