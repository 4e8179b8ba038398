"""What is packed is what MXNet, and so SageMaker's built-in algorithm, reads back."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backends.errors import JobError
from backends.local.jobs import LocalJobs
from backends.local.packer import LocalPacker
from tests.fakes.tiny_pictures import SIZES, write_lists

pytestmark = pytest.mark.jobs

Pack = Callable[[str, Path], Path]


@pytest.fixture
def pack(jobs_python: Path, tmp_path: Path) -> Pack:
    def run(job: str, lists: Path) -> Path:
        into = tmp_path / "packed" / job
        LocalPacker(LocalJobs(tmp_path, jobs_python, 60)).pack(job, lists, into, print)
        return into

    return run


def test_mxnet_reads_back_the_very_pixels_labels_and_ids(
    pack: Pack, jobs_python: Path, tmp_path: Path
) -> None:
    part = pack("job-1", write_lists(tmp_path, side=8)) / "test"
    program = Path(__file__).parent / "programs/read_back.py"
    out = tmp_path / "read.npz"

    subprocess.run(
        [jobs_python, program, part / "test.rec", part / "test.idx", "8", out], check=True
    )

    rows = [line.split("\t") for line in (part / "test.lst").read_text().splitlines()]
    names = [name for _, _, name in rows]
    pictures = [tmp_path / "pictures" / name[:2] / f"{name}.png" for name in names]
    expected = np.stack([np.asarray(Image.open(path)) for path in pictures])
    with np.load(out) as read:
        np.testing.assert_array_equal(read["iterated"], expected)
        np.testing.assert_array_equal(read["unpacked"], expected)
        np.testing.assert_array_equal(read["labels"], [float(label) for _, label, _ in rows])
        np.testing.assert_array_equal(read["ids"], [int(index) for index, _, _ in rows])
    assert len(rows) == SIZES["test"]


def test_the_same_lists_give_the_same_bytes_under_any_name(pack: Pack, tmp_path: Path) -> None:
    lists = write_lists(tmp_path)

    first, second = pack("job-1", lists), pack("job-2", lists)

    files = sorted(path.relative_to(first) for path in first.rglob("*.*"))
    assert [str(path) for path in files if path.parent.name == "train"] == [
        "train/train.idx",
        "train/train.lst",
        "train/train.rec",
    ]
    assert len(files) == 9
    assert all((first / path).read_bytes() == (second / path).read_bytes() for path in files)


def test_packing_again_restores_files_that_were_lost(pack: Pack, tmp_path: Path) -> None:
    lists = write_lists(tmp_path)
    record = pack("job-1", lists) / "train/train.rec"
    before = record.read_bytes()
    record.unlink()

    pack("job-1", lists)

    assert record.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 1 abc", "test.lst line 25: expected index, class and image_id"),
        ("99\t1\tabcdef", "picture abcdef is listed, but not in"),
    ],
    ids=["malformed", "missing picture"],
)
def test_a_bad_list_is_refused_and_says_where(
    pack: Pack, tmp_path: Path, line: str, reason: str
) -> None:
    lists = write_lists(tmp_path)
    with (lists / "test.lst").open("a") as file:
        file.write(f"{line}\n")

    with pytest.raises(JobError) as caught:
        pack("job-1", lists)

    assert reason in caught.value.reason
    assert not (tmp_path / "packed").exists()
