"""A trained model small enough to compile in seconds, for the tests of what follows training."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from backends.artifacts import CompiledModel, Platform, Predictions, TrainedModel
from backends.local.compiler import LocalCompiler
from backends.local.jobs import LocalJobs
from edge.pictures import Preprocessing, model_input, prepare, read_picture
from tasks.self_test import KnownPicture

CLASSES = ("cat", "dog", "empty driveway")
DEADLY = "void __attribute__((constructor)) die(void) { __builtin_trap(); }\n"
WIDTH, HEIGHT = 40, 24  # not square: a mix-up of the two must not pass

Compile = Callable[[Platform], CompiledModel]


@dataclass(frozen=True)
class TinyModel:
    """`pictures` is the list that a Verifier takes; `expected` what MXNet says to them."""

    trained: TrainedModel
    pictures: Path
    expected: Predictions

    @property
    def known(self) -> KnownPicture:
        """One of the pictures with MXNet's answer, for a package to carry."""
        picture = json.loads(self.pictures.read_text().splitlines()[0])
        table = pd.read_parquet(self.expected.table).set_index("image_id")
        answer = table.loc[picture["image_id"], [f"p{n}" for n in range(len(CLASSES))]]
        return KnownPicture(Path(picture["path"]), tuple(map(float, answer)), 0.001)


@pytest.fixture(scope="session")
def tiny_model(jobs_python: Path, tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """An untrained network, twelve pictures of noise in colours, and MXNet's answers to them."""
    folder = tmp_path_factory.mktemp("tiny-model")
    pictures = _pictures(folder)
    inputs = np.concatenate([_input(path) for path in pictures.values()])
    np.save(folder / "inputs.npy", inputs)
    program = Path(__file__).parent / "fakes" / "tiny_classifier.py"
    arguments = [folder, len(CLASSES), WIDTH, HEIGHT, folder / "inputs.npy"]
    subprocess.run([jobs_python, program, *map(str, arguments)], check=True, capture_output=True)

    listed = [{"image_id": name, "path": str(path)} for name, path in pictures.items()]
    (folder / "pictures.jsonl").write_text("".join(json.dumps(line) + "\n" for line in listed))
    frame = pd.DataFrame({"image_id": list(pictures), "class_index": 0})
    for index, column in enumerate(np.load(folder / "probabilities.npy").T):
        frame[f"p{index}"] = column
    frame.sample(frac=1, random_state=1).to_parquet(folder / "expected.parquet", index=False)
    trained = TrainedModel(
        archive=folder / "model.tar.gz",
        classes=CLASSES,
        width=WIDTH,
        height=HEIGHT,
        epochs=(),
        seconds=0,
        images_per_second=0,
        hyperparameters={},
    )
    expected = Predictions(folder / "expected.parquet", CLASSES, len(pictures))
    return TinyModel(trained, folder / "pictures.jsonl", expected)


@pytest.fixture(scope="session")
def compile_for(
    tiny_model: TinyModel, jobs_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Compile:
    """Compile the tiny model for a platform; joins the job when that was done already."""
    jobs = LocalJobs(tmp_path_factory.mktemp("compiled"), jobs_python, seconds=300)

    def compile_for(platform: Platform) -> CompiledModel:
        job = f"compile-{platform.replace('_', '-')}"
        return LocalCompiler(jobs).compile(job, tiny_model.trained, platform, lambda _: None)

    return compile_for


@pytest.fixture(scope="session")
def deadly(jobs_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that ends the process which loads it."""
    folder = tmp_path_factory.mktemp("deadly")
    (folder / "deadly.c").write_text(DEADLY)
    command = [jobs_python, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu", "-shared"]
    command += ["-nostdlib", "-o", folder / "compiled.so", folder / "deadly.c"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, cwd=folder)
    return folder / "compiled.so"


def _pictures(folder: Path) -> dict[str, Path]:
    noise = np.random.default_rng(1)
    made = {}
    for number in range(12):
        low, high = sorted(noise.integers(0, 256, 2))
        size = (int(noise.integers(30, 90)), int(noise.integers(30, 90)), 3)
        pixels = noise.integers(low, high + 1, size) * noise.random(3)
        path = folder / f"{number}.{'png' if number % 2 else 'jpg'}"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        made[f"picture-{number}"] = path
    return made


def _input(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    picture = read_picture(path.read_bytes())
    return model_input(prepare(picture, Preprocessing(width=WIDTH, height=HEIGHT)))
