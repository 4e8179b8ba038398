"""AWS's own inference component over the model store that we build: the answers are ours."""

import dataclasses
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backends.archives import unpack
from backends.artifacts import ModelInput, TrainedModel
from backends.errors import PackageError
from backends.local.compiler import LocalCompiler
from backends.local.jobs import LocalJobs
from backends.settings import PROJECT
from tasks.packaging import package_model, package_public_model
from tests.device.conftest import NETWORK_GUARD
from tests.tiny_model import CLASSES, TinyModel

pytestmark = [pytest.mark.device, pytest.mark.jobs]

SIDE = 224
TOLERANCE = 1e-5
"""Of a probability: the pixels that reach the network are the same ones, to the bit."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Coloured noise on coloured slopes, 224x224: no channel and no side is like another."""
    folder = tmp_path_factory.mktemp("public-pictures")
    noise = np.random.default_rng(5)
    made = []
    for number in range(8):
        slope = np.linspace(0, 1, SIDE)[:, None, None] ** (1 + number / 4)
        grains = noise.random((SIDE, SIDE, 3)) * noise.random(3)
        pixels = 255 * (0.5 * slope * noise.random(3) + 0.5 * grains)
        made.append(folder / f"{number}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(made[-1])
    return made


@pytest.fixture(scope="module")
def large_model(
    tiny_model: TinyModel, jobs_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> TrainedModel:
    """The tiny network for pictures of 224x224."""
    folder = tmp_path_factory.mktemp("large-model")
    np.save(folder / "inputs.npy", np.zeros((1, 3, SIDE, SIDE), np.float32))
    arguments = [folder, len(CLASSES), SIDE, SIDE, folder / "inputs.npy"]
    program = PROJECT / "tests/fakes/tiny_classifier.py"
    subprocess.run([jobs_python, program, *map(str, arguments)], check=True, capture_output=True)
    return dataclasses.replace(
        tiny_model.trained, archive=folder / "model.tar.gz", width=SIDE, height=SIDE
    )


class Bench:
    """Compiles, packs, unpacks as a nucleus does, and classifies in the device's environment."""

    def __init__(self, root: Path, jobs_python: Path, device_python: Path) -> None:
        self._root = root
        self._python = device_python
        self._compiler = LocalCompiler(LocalJobs(root, jobs_python, seconds=300))
        (root / "sitecustomize.py").write_text(NETWORK_GUARD)

    def unpacked(self, model: TrainedModel, takes: ModelInput) -> Path:
        job = f"{takes}-{model.width}"
        compiled = self._compiler.compile(job, model, "linux-x86_64", lambda _: None, takes)
        pack = package_model if takes == "model" else package_public_model
        archive = pack(compiled, self._root / job)
        return unpack(archive, Path(tempfile.mkdtemp(dir=self._root)))

    def ours(self, folder: Path, pictures: list[Path]) -> list[list[float]]:
        listed, results = self._root / "pictures.jsonl", self._root / "results.jsonl"
        lines = [json.dumps({"image_id": path.name, "path": str(path)}) for path in pictures]
        listed.write_text("\n".join(lines))
        arguments = ["--model", folder, "--pictures", listed, "--results", results]
        self.run("-m", "edge.verify", *arguments)
        answers = [json.loads(line) for line in results.read_text().splitlines()]
        return [answer["probabilities"] for answer in answers if "probabilities" in answer]

    def theirs(self, folder: Path, pictures: list[Path]) -> list[dict[str, Any]]:
        said = self.run(PROJECT / "tests/fakes/public_inference.py", folder, *pictures)
        return [json.loads(line) for line in said.splitlines()]

    def run(self, *arguments: object) -> str:
        done = subprocess.run(
            [self._python, *map(str, arguments)],
            env={
                "PYTHONPATH": f"{self._root}:{PROJECT}",
                "NETWORK_ATTEMPTS": str(self._root / "attempts"),
            },
            cwd=self._root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def bench(
    jobs_python: Path, device_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Bench:
    return Bench(tmp_path_factory.mktemp("public"), jobs_python, device_python)


@pytest.mark.parametrize("size", ["small", "224"])
def test_the_public_component_answers_as_ours_does(
    size: str,
    bench: Bench,
    tiny_model: TinyModel,
    large_model: TrainedModel,
    pictures: list[Path],
) -> None:
    """With colours or sides mixed up, it would answer as readily, and wrongly."""
    model = tiny_model.trained if size == "small" else large_model

    ours = bench.ours(bench.unpacked(model, "model"), pictures)
    theirs = bench.theirs(bench.unpacked(model, "public-component"), pictures)

    assert len(ours) == len(theirs) == len(pictures)
    for own, said in zip(ours, theirs, strict=True):
        assert said["all"] == pytest.approx(own, abs=TOLERANCE)
        best = sorted(range(len(own)), key=lambda index: -own[index])
        expected = [CLASSES[index] for index in best if own[index] >= 0.3]
        assert [entry["Label"] for entry in said["inference-results"]] == expected
    assert np.ptp([own[0] for own in ours]) > 0.01  # the pictures are told apart at all


def test_our_component_refuses_a_model_for_the_public_one(
    bench: Bench, tiny_model: TinyModel, pictures: list[Path]
) -> None:
    """DLR compares the number of elements only: for a model of 224x224 it would run."""
    folder = bench.unpacked(tiny_model.trained, "public-component")

    with pytest.raises(AssertionError, match="built for the input of AWS's public inference"):
        bench.ours(folder, pictures)


def test_a_model_is_packed_only_for_the_component_that_feeds_it(
    bench: Bench, tiny_model: TinyModel, jobs_python: Path, tmp_path: Path
) -> None:
    compiler = LocalCompiler(LocalJobs(tmp_path, jobs_python, seconds=300))
    ours = compiler.compile("ours", tiny_model.trained, "linux-aarch64", lambda _: None)
    theirs = compiler.compile(
        "theirs", tiny_model.trained, "linux-aarch64", lambda _: None, "public-component"
    )

    with pytest.raises(PackageError, match="its input is 'public-component'"):
        package_model(theirs, tmp_path / "packed")
    with pytest.raises(PackageError, match="its input is 'model'"):
        package_public_model(ours, tmp_path / "packed")

    assert package_public_model(theirs, tmp_path).stem == (
        "DLR-resnet50-aarch64-cpu-ImageClassification"
    )
