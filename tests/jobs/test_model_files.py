"""Weights on disk are whole, or they are not there."""

import subprocess
from pathlib import Path

import pytest

from backends.settings import PROJECT

pytestmark = pytest.mark.jobs

PROGRAM = """
import pathlib, resource, signal, sys
sys.path.insert(0, sys.argv[1])
import mxnet as mx, model_files
path = pathlib.Path(sys.argv[2])
values = {"w": mx.nd.ones((100, 100))}
model_files.save_params(path, values, {})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))  # then writing fails, as on a full disk
try:
    model_files.save_params(path, {"w": mx.nd.zeros((100, 100))}, {})
except Exception as error:
    print("failed")
print(model_files.load_params(path)[0]["w"].asnumpy().sum())
"""


def test_weights_that_do_not_fit_on_the_disk_leave_the_earlier_ones(
    jobs_python: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [jobs_python, "-c", PROGRAM, PROJECT / "jobs", tmp_path / "w.params"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["failed", "10000.0"]
