"""Every network is as deep as its name says, and takes and gives what the model contract says."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backends.settings import PROJECT

pytestmark = pytest.mark.jobs

SIDES = {20: (8, 32, 64), 32: (32,), 44: (32,), 56: (32,), 110: (32,)}
SIDES |= {18: (32, 64, 224), 34: (224,), 50: (32, 224), 101: (224,), 152: (224,), 200: (224,)}
CASES = [(layers, side) for layers, sides in SIDES.items() for side in sides]

PROGRAM = """
import json, math, sys
sys.path.insert(0, sys.argv[1])
import mxnet as mx, networks
INPUTS = ("data", "softmax_label")
found = []
for layers, side in json.loads(sys.argv[2]):
    symbol = networks.resnet(layers, 10, side)
    shapes = {"data": (2, 3, side, side)}
    arguments, outputs, _ = symbol.infer_shape(**shapes)
    nodes = json.loads(symbol.tojson())["nodes"]
    weights = [s for n, s in zip(symbol.list_arguments(), arguments) if n not in INPUTS]
    names = [node["name"] for node in nodes if node["op"] in ("Convolution", "FullyConnected")]
    _, pooled, _ = symbol.get_internals()["relu1_output"].infer_shape(**shapes)
    found.append({
        "layers": len([name for name in names if not name.endswith("_sc")]),
        "inputs": [name for name in symbol.list_arguments() if name in INPUTS],
        "output": outputs[0],
        "outputs": symbol.list_outputs(),
        "last_map": pooled[0][2:],
        "weights": sum(map(math.prod, weights)),
    })
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def networks(jobs_python: Path) -> dict[tuple[int, int], dict[str, Any]]:
    done = subprocess.run(
        [jobs_python, "-c", PROGRAM, PROJECT / "jobs", json.dumps(CASES)],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize(("layers", "side"), CASES)
def test_a_network_is_as_deep_as_its_name_says(
    networks: dict[tuple[int, int], dict[str, Any]], layers: int, side: int
) -> None:
    found = networks[layers, side]

    assert found["layers"] == layers
    assert found["inputs"] == ["data", "softmax_label"]
    assert (found["outputs"], found["output"]) == (["softmax_output"], [2, 10])


@pytest.mark.parametrize(
    ("layers", "side", "millions"),
    [(20, 32, 0.27), (56, 32, 0.85), (110, 32, 1.7), (18, 224, 11.2), (50, 224, 23.5)],
)
def test_a_network_has_as_many_weights_as_the_paper_says(
    networks: dict[tuple[int, int], dict[str, Any]], layers: int, side: int, millions: float
) -> None:
    """He et al. (2015), table 6, and torchvision's counts for the large ones with 10 classes."""
    assert networks[layers, side]["weights"] / 1e6 == pytest.approx(millions, rel=0.03)


def test_large_pictures_are_reduced_by_the_stem_and_small_ones_are_not(
    networks: dict[tuple[int, int], dict[str, Any]],
) -> None:
    assert networks[18, 224]["last_map"] == [7, 7]
    assert networks[18, 32]["last_map"] == [4, 4]
    assert networks[20, 64]["last_map"] == [16, 16]
