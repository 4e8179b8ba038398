"""A .rec file of SageMaker's algorithm must give back its pictures, or say where it is broken."""

import io
import os
import struct
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from backends.errors import InvalidInputError
from backends.settings import BackendSettings
from backends.sources.recordio import RecordIOSource, read_images, read_records

MAGIC = struct.pack("<I", 0xCED7230A)


def silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def frame(data: bytes, flag: int = 0) -> bytes:
    return MAGIC + struct.pack("<I", flag << 29 | len(data)) + data + bytes(-len(data) % 4)


def image(label: float, colour: str = "red", key: int = 0, flag: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 7), colour).save(stream, "PNG")
    labels = struct.pack(f"<{flag}f", *([label] * flag))
    return (
        struct.pack("<IfQQ", flag, label if not flag else 0.0, key, 0) + labels + stream.getvalue()
    )


def write(path: Path, *records: bytes) -> Path:
    path.write_bytes(b"".join(records))
    return path


def test_pictures_come_out_under_the_number_of_their_class(tmp_path: Path) -> None:
    rec = write(
        tmp_path / "a.rec", frame(image(0)), frame(image(2, "lime")), frame(image(0, "blue"))
    )
    (tmp_path / "a.lst").write_text("0\t0\ta.png\n1\t2\tb.png\n2\t0\tc.png\n")

    pictures = RecordIOSource(tmp_path / "home", rec).fetch(silent)

    found = sorted(str(p.relative_to(pictures.root)) for p in pictures.root.rglob("*.png"))
    assert found == ["0/0000000.png", "0/0000002.png", "2/0000001.png"]
    assert Image.open(pictures.root / "2/0000001.png").getpixel((1, 1)) == (0, 255, 0)


def test_names_beside_the_file_are_used(tmp_path: Path) -> None:
    rec = write(tmp_path / "a.rec", frame(image(0)), frame(image(1)))
    (tmp_path / "classes.txt").write_text("cat\ndog\n")

    pictures = RecordIOSource(tmp_path / "home", rec).fetch(silent)

    assert sorted(entry.name for entry in pictures.root.iterdir()) == ["cat", "dog"]


def test_a_label_list_of_one_is_a_label(tmp_path: Path) -> None:
    rec = write(tmp_path / "a.rec", frame(image(3, flag=1)))

    (found,) = read_images(rec)

    assert found.labels == (3.0,)
    assert found.picture.startswith(b"\x89PNG")


def test_a_record_in_parts_is_joined_with_the_magic_number_it_was_cut_at(tmp_path: Path) -> None:
    rec = write(
        tmp_path / "a.rec", frame(b"aaaa", 1), frame(b"bbbb", 2), frame(b"cc", 3), frame(b"d")
    )

    assert list(read_records(rec)) == [(0, b"aaaa" + MAGIC + b"bbbb" + MAGIC + b"cc"), (36, b"d")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(frame(image(0)) + b"junkjunk", "record at byte 108.*begins with", id="magic"),
        pytest.param(frame(image(0))[:-8], "byte 0.*the file is cut", id="cut in its data"),
        pytest.param(frame(image(0)) + MAGIC[:2], "byte 108.*header", id="cut in its header"),
        pytest.param(frame(b"aaaa", 1), "byte 0.*no last part", id="no last part"),
        pytest.param(frame(b"aaaa", 3), "part flag 3 out of turn", id="last part first"),
        pytest.param(frame(b"aa"), "too few for an image header", id="no header"),
        pytest.param(frame(image(0, flag=2)), "not the number of one class", id="several labels"),
        pytest.param(frame(image(0.5)), "not the number of one class", id="half a class"),
        pytest.param(frame(struct.pack("<IfQQ", 9, 0, 0, 0)), "9 labels", id="labels missing"),
        pytest.param(b"", "no records", id="nothing"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place_of_the_damage(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    rec = write(tmp_path / "a.rec", content)

    with pytest.raises(InvalidInputError, match=reason):
        RecordIOSource(tmp_path / "home", rec).fetch(silent)

    assert list((tmp_path / "home" / "sources").iterdir()) == []


def test_a_list_that_disagrees_is_refused(tmp_path: Path) -> None:
    rec = write(tmp_path / "a.rec", frame(image(0)), frame(image(1)))
    (tmp_path / "a.idx").write_text("0\t0\n")

    with pytest.raises(InvalidInputError, match=r"a.idx: it lists 1 records, and a.rec holds 2"):
        RecordIOSource(tmp_path / "home", rec).fetch(silent)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no such file"):
        RecordIOSource(tmp_path, tmp_path / "no.rec").fetch(silent)


_WRITER = """
import struct, sys
import mxnet as mx
magic = struct.pack("<I", 0xced7230a)
record = mx.recordio.MXIndexedRecordIO(sys.argv[1] + ".idx", sys.argv[1] + ".rec", "w")
payloads = [b"x" * 5, magic + b"tail" + magic, b"head" + magic * 2 + b"abc"]
for key, payload in enumerate(payloads):
    record.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, 1.0, key, 0), payload))
record.close()
"""


@pytest.mark.jobs
@pytest.mark.slow
def test_what_mxnet_writes_is_read_as_it_was(tmp_path: Path) -> None:
    python = BackendSettings().jobs_python
    if not python.is_file():
        pytest.skip("the jobs environment is not installed")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [python, "-c", _WRITER, tmp_path / "x"], check=True, env=environment, timeout=120
    )

    found = [record.picture for record in read_images(tmp_path / "x.rec")]

    assert found == [b"x" * 5, MAGIC + b"tail" + MAGIC, b"head" + MAGIC * 2 + b"abc"]
