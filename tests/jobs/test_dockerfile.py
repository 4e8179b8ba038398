"""The image of our own training job: what it is made of exists, and what it runs keeps to /opt/ml.

No image is built here: that needs Docker and a network.
"""

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from backends.artifacts import PackedData
from backends.settings import PROJECT
from tests.fakes.sagemaker_container import Container
from tests.fakes.sagemaker_container import pack as archive_of
from tests.fakes.tiny_pictures import pack

JOBS = PROJECT / "jobs"
LINES = (JOBS / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
HYPERPARAMETERS = {
    "num_classes": "3",
    "num_training_samples": "60",
    "num_layers": "20",
    "image_shape": "3,8,8",
    "epochs": "1",
    "mini_batch_size": "20",
}


def instruction(name: str) -> list[str]:
    """The arguments of every line of the Dockerfile that begins with `name`."""
    return [line.removeprefix(name).strip() for line in LINES if line.startswith(f"{name} ")]


@pytest.fixture(scope="module")
def packed(jobs_python: Path, tmp_path_factory: pytest.TempPathFactory) -> PackedData:
    return pack(jobs_python, tmp_path_factory.mktemp("packed"))


def test_what_the_image_copies_is_there_and_nothing_that_the_program_imports_is_left_out() -> None:
    copied: set[Path] = set()
    for arguments in instruction("COPY"):
        *sources, target = arguments.split()
        found = [path for source in sources for path in JOBS.glob(source)]
        assert found, arguments
        assert target == "./"
        copied |= set(found)

    assert {JOBS / "requirements.txt", *JOBS.glob("*.py")} <= copied


def test_the_program_is_one_that_was_copied_and_gets_its_signals() -> None:
    """In shell form, SIGTERM would end a shell, and the checkpoint would not be written."""
    (entry,) = instruction("ENTRYPOINT")
    (folder,) = instruction("WORKDIR")

    interpreter, program = json.loads(entry)

    assert interpreter == "python"
    assert Path(program).parent == Path(folder)
    assert (JOBS / Path(program).name).is_file()


def test_the_image_has_the_python_that_the_requirements_are_locked_for() -> None:
    (base,) = instruction("FROM")
    locked = (JOBS / "requirements.txt").read_text(encoding="utf-8")

    version = re.search(r"--python-version (\S+)", locked)

    assert version
    assert base == f"python:{version[1]}-slim"


@pytest.mark.jobs
def test_the_program_trains_below_opt_ml_when_it_is_called_as_sagemaker_does(
    jobs_python: Path, packed: PackedData, tmp_path: Path
) -> None:
    (entry,) = instruction("ENTRYPOINT")
    program = Path(json.loads(entry)[1]).name
    container = Container(jobs_python, tmp_path / "ml", "job")
    container.prepare(HYPERPARAMETERS, {"train": {}, "validation": {}})
    for part in ("train", "validation"):
        (tmp_path / "ml/input/data" / part).symlink_to(packed.channel(part))
    lines: list[str] = []

    status = container.run(program, ["train"], lines.append)

    assert status == 0, lines
    with tarfile.open(archive_of(tmp_path / "ml/model", tmp_path / "model.tar.gz")) as model:
        assert sorted(model.getnames()) == [
            "image-classification-0001.params",
            "image-classification-symbol.json",
            "model-shapes.json",
        ]


@pytest.mark.jobs
def test_without_sm_ml_root_the_program_looks_below_opt_ml(jobs_python: Path) -> None:
    """That variable is ours; in the container there is none."""
    code = (
        "import os, container; os.environ.pop('SM_ML_ROOT', None);"
        "container.run(lambda job: print(job.root))"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}

    answer = subprocess.run(
        [jobs_python, "-c", code],
        cwd=JOBS,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.stdout.strip() == "/opt/ml", answer.stderr
