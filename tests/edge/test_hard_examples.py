"""The ring of hard examples on disk: its limits, kills, full disks; and who gets to see it."""

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.hard_examples import HardExamples

PROJECT = Path(__file__).parents[2]

KEEPER = """
import hashlib, sys
from pathlib import Path
from edge.hard_examples import HardExamples
examples = HardExamples(Path(sys.argv[1]))
examples.limit_to(200_000)
for number in range(1_000_000):
    data = b"%d" % number * 3000
    examples.keep(hashlib.sha256(data).hexdigest(), data, {"number": number}, True)
    print(number, flush=True)
"""


def keep(examples: HardExamples, data: bytes, may_leave: bool = True) -> str:
    name = hashlib.sha256(data).hexdigest()
    examples.keep(name, data, {"label": "cat", "image_id": name}, may_leave)
    return name


def ring(folder: Path, limit: int = 100_000, most: int = 100) -> HardExamples:
    examples = HardExamples(folder / "hard-examples", most)
    examples.limit_to(limit)
    return examples


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "hard-examples").iterdir())


def test_a_picture_is_kept_with_its_result_and_survives_a_restart(tmp_path: Path) -> None:
    name = keep(ring(tmp_path), b"picture", may_leave=False)

    example = ring(tmp_path).read(name)

    assert example is not None
    assert (example.data, example.result["label"], example.may_leave) == (b"picture", "cat", False)


def test_the_oldest_make_room_and_the_limit_holds_also_after_a_restart(tmp_path: Path) -> None:
    names = []
    for part in range(2):
        examples = ring(tmp_path, limit=50_000)
        for number in range(20):
            names.append(keep(examples, b"%d %d" % (part, number) * 1000))
            assert on_disk(tmp_path) == examples.size <= 50_000

    held = ring(tmp_path, limit=50_000).newest(100)
    assert held == names[::-1][: len(held)]
    assert len(held) >= 10


def test_so_many_examples_are_held_however_small_they_are(tmp_path: Path) -> None:
    examples = ring(tmp_path, most=5)

    for number in range(8):
        keep(examples, b"%d" % number)

    assert examples.count == 5
    assert len(list((tmp_path / "hard-examples").iterdir())) == 10


def test_no_picture_is_held_twice_and_none_that_is_larger_than_all(tmp_path: Path) -> None:
    examples = ring(tmp_path, limit=1000)

    kept = keep(examples, b"one")
    keep(examples, b"one")
    keep(examples, b"x" * 2000)

    assert examples.newest(10) == [kept]


def test_a_limit_of_nothing_removes_what_was_held(tmp_path: Path) -> None:
    examples = ring(tmp_path)
    keep(examples, b"one")

    examples.limit_to(0)
    keep(examples, b"two")

    assert (examples.count, list((tmp_path / "hard-examples").iterdir())) == (0, [])


def test_a_kill_leaves_whole_examples_only(tmp_path: Path) -> None:
    for _ in range(3):
        keeper = subprocess.Popen(
            [sys.executable, "-c", KEEPER, str(tmp_path / "hard-examples")],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
        )
        assert keeper.stdout is not None
        for line in keeper.stdout:
            if int(line) == 40:
                break
        keeper.send_signal(signal.SIGKILL)
        keeper.stdout.close()
        keeper.wait()

        examples = ring(tmp_path, limit=200_000)
        names = examples.newest(1000)
        assert names
        assert all(examples.read(name) is not None for name in names)
        assert len(list((tmp_path / "hard-examples").iterdir())) == 2 * len(names)


def test_halves_and_strangers_are_cleared_away_at_the_start(tmp_path: Path) -> None:
    name = keep(ring(tmp_path), b"whole")
    folder = tmp_path / "hard-examples"
    for stray in (f"000000000009-{'a' * 64}.picture", "000000000010-b.json.new", "note.txt"):
        (folder / stray).write_text("half")

    examples = ring(tmp_path)

    assert examples.newest(10) == [name]
    assert len(list(folder.iterdir())) == 2


def test_what_a_power_cut_has_damaged_is_dropped_when_it_is_wanted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    examples = ring(tmp_path)
    empty, cut = keep(examples, b"one"), keep(examples, b"two")
    for path in (tmp_path / "hard-examples").iterdir():
        if empty in path.name and path.suffix == ".picture":
            path.write_bytes(b"")
        if cut in path.name and path.suffix == ".json":
            path.write_text('{"may_lea')

    assert examples.read(empty) is None
    assert examples.read(cut) is None
    assert examples.count == 0
    assert "is dropped" in caplog.text


def test_a_full_disk_is_said_once_and_again_when_it_works() -> None:
    program = """
import hashlib, logging, resource, sys, tempfile
from pathlib import Path
from edge.hard_examples import HardExamples
logging.basicConfig(stream=sys.stdout, level=logging.INFO)
with tempfile.TemporaryDirectory() as folder:
    examples = HardExamples(Path(folder, "hard-examples"))
    examples.limit_to(1_000_000)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    def keep(text):
        data = text * 5000
        examples.keep(hashlib.sha256(data).hexdigest(), data, {}, True)
    keep(b"a")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))
    keep(b"b")
    keep(b"c")
    print("held", examples.count, len(list(Path(folder, "hard-examples").iterdir())))
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    keep(b"d")
    print("held", examples.count)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "held 1 2" in done.stdout
    assert "held 2" in done.stdout
    assert done.stdout.count("not kept for the moment") == 1
    assert done.stdout.count("can be written again") == 1


def test_nobody_else_on_the_device_can_look_at_the_pictures(tmp_path: Path) -> None:
    keep(ring(tmp_path), b"private")

    folder = tmp_path / "hard-examples"

    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
