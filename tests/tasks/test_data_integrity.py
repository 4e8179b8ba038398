"""Real files: what can be handled is handled and shown, what cannot is refused by name."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from backends.artifacts import Gate, Pictures
from tasks.data_gates import DataLimits
from tasks.data_understanding import build_manifest
from tasks.data_validation import DataVerdict, validate_data


def _paint(path: Path, seed: int, mode: str = "RGB", **options: object) -> None:
    """A picture that differs for each seed; `options` are those of Image.save."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = Image.effect_noise((8, 6), 40 + seed).convert("RGB").resize((80, 60))
    small.convert(mode).save(path, **options)  # type: ignore[arg-type]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    for label in ("cat", "dog"):
        for seed in range(4):
            _paint(root / label / f"{label}-{seed}.png", seed)
    return root


def _validate(root: Path) -> DataVerdict:
    work = root.parent / "run"
    dataset = build_manifest(
        Pictures("folder:pictures", root),
        root.parent / "cache",
        work,
        1,
        lambda _done, _total: None,
    )
    return validate_data(dataset, None, DataLimits(), work / "data-docs")


def _integrity(verdict: DataVerdict) -> Gate:
    return next(gate for gate in verdict.gates if gate.name == "data.integrity")


def _bad_scanlines(path: Path) -> None:
    """A PNG whose pixel data is no zlib stream."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 80, 60, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", b"garbage" * 9), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def _cut(path: Path) -> None:
    _paint(path, 9)
    path.write_bytes(path.read_bytes()[:-200])


REFUSED: dict[str, Callable[[Path], object]] = {
    "a.png (empty)": lambda path: path.write_bytes(b""),
    "b.png (truncated)": _cut,
    "c.jpg (wrong-extension)": lambda path: _paint(path, 9, format="PNG"),
    "d.png (not-an-image)": lambda path: path.write_bytes(b"%PDF-1.7 not a picture at all"),
    "e.png (undecodable)": _bad_scanlines,
}


def test_files_that_are_no_whole_pictures_are_refused_by_name_and_kind(pictures: Path) -> None:
    for named, spoil in REFUSED.items():
        spoil(pictures / "cat" / named.partition(" ")[0])

    verdict = _validate(pictures)

    gate = _integrity(verdict)
    assert (gate.passed, gate.measured) == (False, len(REFUSED))
    for named in REFUSED:
        assert f"cat/{named}" in gate.reason
        assert f"cat/{named}" in verdict.data_docs.read_text()


def test_kinds_that_preprocessing_handles_pass_and_are_counted(pictures: Path) -> None:
    folder = pictures / "cat"
    turned = Image.Exif()
    turned[0x0112] = 6
    _paint(folder / "turned.jpg", 11, exif=turned)
    _paint(folder / "printed.jpg", 12, "CMYK")
    _paint(folder / "grey.png", 13, "L")
    _paint(folder / "clear.png", 14, "RGBA")
    Image.new("I;16", (80, 60), 30_000).save(folder / "deep.png")
    frames = [Image.new("RGB", (80, 60), colour) for colour in ("red", "blue")]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])

    verdict = _validate(pictures)

    gate = _integrity(verdict)
    assert gate.passed is True, gate.reason
    converted = verdict.findings["converted"]
    assert {"exif-rotated", "cmyk", "alpha", "16-bit", "animated"} <= set(converted)
    assert converted["grey"] >= 1
    assert all(kind in gate.reason for kind in converted)
    assert "cat/printed.jpg (cmyk)" in verdict.data_docs.read_text()
