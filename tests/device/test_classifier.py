"""DLR behind our classifier: right answers, clear refusals, and nothing sent to anyone."""

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backends.local.compiler import LocalCompiler
from backends.local.jobs import LocalJobs
from backends.settings import PROJECT
from tests.device.conftest import NETWORK_GUARD
from tests.tiny_model import CLASSES, HEIGHT, WIDTH, TinyModel

pytestmark = [pytest.mark.device, pytest.mark.jobs]

CLASSIFY = """
import json, sys
from pathlib import Path
from edge.classifier import Classifier
from edge.pictures import prepare, read_picture
classifier = Classifier(Path(sys.argv[1]))
answers = {}
for line in Path(sys.argv[2]).read_text().splitlines():
    listed = json.loads(line)
    picture = read_picture(Path(listed["path"]).read_bytes())
    prepared = prepare(picture, classifier.preprocessing)
    answers[listed["image_id"]] = [float(p) for p in classifier.classify(prepared)]
report = {"version": classifier.runtime_version, "answers": answers}
report["requests"] = "requests" in sys.modules
print(json.dumps(report))
"""

REFUSE = """
import sys
from pathlib import Path
from edge.classifier import Classifier
from edge.model_folder import ModelFolderError
try:
    Classifier(Path(sys.argv[1]))
except ModelFolderError as error:
    print(error.reason)
"""


@pytest.fixture
def guard(tmp_path: Path, device_python: Path) -> dict[str, str]:
    """The environment of a process that has dlr as its maker ships it, and no network."""
    (tmp_path / "sitecustomize.py").write_text(NETWORK_GUARD)
    (dlr,) = (device_python.parents[1] / "lib").glob("python3*/site-packages/dlr")
    as_shipped = shutil.ignore_patterns("ccm_config.json", "__pycache__")
    shutil.copytree(dlr, tmp_path / "dlr", ignore=as_shipped)
    return {
        "PYTHONPATH": f"{tmp_path}:{PROJECT}",
        "NETWORK_ATTEMPTS": str(tmp_path / "attempts"),
        "HOME": str(tmp_path),
    }


def test_it_answers_as_mxnet_does_and_phones_nobody(
    model_folder: Path,
    tiny_model: TinyModel,
    device_python: Path,
    guard: dict[str, str],
    tmp_path: Path,
) -> None:
    arguments: list[str | Path] = [device_python, "-c", CLASSIFY]
    arguments += [model_folder, tiny_model.pictures]
    for _ in range(2):  # dlr as it comes is silent at its very first import
        done = subprocess.run(arguments, env=guard, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""

    report = json.loads(done.stdout)
    expected = pd.read_parquet(tiny_model.expected.table).set_index("image_id")
    for name, answer in report["answers"].items():
        wanted = [expected.loc[name, f"p{index}"] for index in range(len(answer))]
        assert answer == pytest.approx(wanted, abs=1e-3)  # JPEG decoders differ by a shade
    assert len(report["answers"]) == 12
    assert report["version"] == "1.6.0"
    assert not report["requests"]
    assert not (tmp_path / "attempts").exists()


def test_a_heavy_model_s_weights_are_mapped_and_its_answers_are_mxnet_s(
    tiny_model: TinyModel,
    jobs_python: Path,
    device_python: Path,
    guard: dict[str, str],
    tmp_path: Path,
) -> None:
    """Read from compiled.params, they would be in memory three times while they are loaded."""
    archive = tiny_model.trained.archive
    program = PROJECT / "tests/fakes/tiny_classifier.py"
    arguments = [tmp_path, len(CLASSES), WIDTH, HEIGHT, archive.parent / "inputs.npy", 150_000]
    subprocess.run([jobs_python, program, *map(str, arguments)], check=True, capture_output=True)
    heavy = dataclasses.replace(tiny_model.trained, archive=tmp_path / "model.tar.gz")
    compiler = LocalCompiler(LocalJobs(tmp_path / "home", jobs_python, seconds=300))

    compiled = compiler.compile("heavy", heavy, "linux-x86_64", lambda _: None)
    command: list[str | Path] = [device_python, "-c", CLASSIFY]
    command += [compiled.folder, tiny_model.pictures]
    said = subprocess.run(command, env=guard, capture_output=True, text=True, check=True)

    assert compiled.flags["link-params"] == "True"
    assert (compiled.folder / "compiled.params").stat().st_size < 10_000
    answers = list(json.loads(said.stdout)["answers"].values())
    expected = np.load(tmp_path / "probabilities.npy")
    told_apart = np.ptp(expected[:, 0])
    assert np.abs(np.array(answers) - expected).max() < told_apart / 20  # JPEG decoders differ


def test_the_guard_itself_notices_the_telemetry_of_an_unguarded_dlr(
    device_python: Path, guard: dict[str, str], tmp_path: Path
) -> None:
    for _ in range(2):
        command: list[str | Path] = [device_python, "-c", "import dlr"]
        subprocess.run(command, env=guard, capture_output=True, check=True)

    assert (tmp_path / "attempts").exists()


@pytest.mark.parametrize(
    ("key", "labels", "reason"),
    [
        ("labels", ["a", "b", "c", "d"], "the model gives 3 outputs for 4 labels"),
        ("preprocessing", None, "a first run failed"),
        ("code", None, "DLR cannot load it"),
    ],
)
def test_what_the_model_computes_must_fit_what_it_says(
    model_folder: Path,
    device_python: Path,
    guard: dict[str, str],
    tmp_path: Path,
    key: str,
    labels: list[str] | None,
    reason: str,
) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(model_folder, spoilt)
    meta = json.loads((spoilt / "compiled.meta").read_text())
    if labels is not None:
        meta["Edgeward"]["labels"] = labels
        meta["Model"]["Outputs"][0]["shape"] = [1, len(labels)]
        (spoilt / "synset.txt").write_text(repr(dict(enumerate(labels))))
    elif key == "preprocessing":
        meta["Edgeward"]["preprocessing"]["width"] = 56
    else:
        (spoilt / "compiled.params").write_bytes(b"no parameters")
    (spoilt / "compiled.meta").write_text(json.dumps(meta))

    done = subprocess.run(
        [device_python, "-c", REFUSE, spoilt],
        env=guard,
        capture_output=True,
        text=True,
        check=False,
    )

    assert reason in done.stdout, done.stdout + done.stderr
