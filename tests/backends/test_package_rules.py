"""Faults that published examples of this very system contain, each refused by name."""

import hashlib
import io
import json
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from backends.artifacts import Platform
from backends.elf import library_platform
from backends.errors import PackageError
from backends.package_rules import check_model_package
from tests.tiny_model import Compile

pytestmark = pytest.mark.jobs

PLATFORM: Platform = "linux-x86_64"
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def files(compile_for: Compile) -> Files:
    return {path.name: path.read_bytes() for path in compile_for(PLATFORM).folder.iterdir()}


def zipped(files: Files, folder: Path) -> Path:
    package = folder / "edgeward-model-linux-x86_64.zip"
    with zipfile.ZipFile(package, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return package


def meta(change: Callable[[dict[str, Any]], object]) -> Callable[[Files], object]:
    """A change of compiled.meta."""

    def apply(files: Files) -> None:
        value = json.loads(files["compiled.meta"])
        change(value)
        files["compiled.meta"] = json.dumps(value).encode()

    return apply


def relabel(labels: list[str], outputs: int | None = None) -> Callable[[Files], object]:
    def apply(files: Files) -> None:
        def change(value: dict[str, Any]) -> None:
            value["Edgeward"]["labels"] = labels
            if outputs:
                value["Model"]["Outputs"][0]["shape"] = [1, outputs]

        meta(change)(files)
        files["synset.txt"] = repr(dict(enumerate(labels))).encode()

    return apply


def machine(library: str, number: int) -> Callable[[Files], object]:
    """Write another e_machine into a library's ELF header."""

    def apply(files: Files) -> None:
        content = bytearray(files[library])
        content[18:20] = number.to_bytes(2, "little")
        files[library] = bytes(content)

    return apply


def self_test(picture: bytes, **changed: object) -> Callable[[Files], object]:
    """A self-test picture, and what compiled.meta has about it."""

    def apply(files: Files) -> None:
        files["self-test.png"] = picture
        test = {
            "picture": "self-test.png",
            "image_id": hashlib.sha256(picture).hexdigest(),
            "probabilities": [1, 0, 0],
            "tolerance": 0.02,
            **changed,
        }
        meta(lambda value: value["Edgeward"].update(self_test=test))(files)

    return apply


def picture() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (9, 9), (1, 2, 3)).save(content, "PNG")
    return content.getvalue()


FAULTS: dict[str, tuple[Callable[[Files], object], str]] = {
    "more labels than outputs": (
        relabel(["cat", "dog", "car", "bird"]),
        "has 3 outputs but 4 labels",
    ),
    "metadata that claims more outputs than the graph has": (
        relabel(["cat", "dog", "car", "bird"], outputs=4),
        "the model gives out [[1, 3]] and has 4 labels",
    ),
    "operators for ARM": (
        machine("compiled.so", 183),
        "compiled.so is for linux-aarch64, its recipe for linux-x86_64",
    ),
    "runtime for a CPU nobody knows": (
        machine("libdlr.so", 243),
        "libdlr.so is for ELF machine 243, 64 bit",
    ),
    "metadata for ARM": (
        meta(lambda value: value["Requirements"].update(TargetPlatformArch="ARM64")),
        "compiled.meta is for ARM64, its recipe for linux-x86_64",
    ),
    "unknown compiler": (
        meta(lambda value: value["Edgeward"]["compiler"].update(wheel="apache-tvm==0.25.0")),
        "compiler apache-tvm==0.25.0 and runtime libdlr 1.6.0 are not known to work together",
    ),
    "unknown runtime": (
        meta(lambda value: value["Edgeward"]["runtime"].update(version="1.3.0")),
        "runtime libdlr 1.3.0 are not known to work together",
    ),
    "another libdlr": (
        lambda files: files.update({"libdlr.so": files["libdlr.so"] + b"\0"}),
        "libdlr.so has SHA-256",
    ),
    "no libdlr": (lambda files: files.pop("libdlr.so"), "libdlr.so has SHA-256 None"),
    "second json": (
        lambda files: files.update({"labels.json": b"{}"}),
        "exactly one *.json file, found compiled_model.json, labels.json",
    ),
    "second library": (
        lambda files: files.update({"extra.so": files["compiled.so"]}),
        "exactly one *.so file",
    ),
    "second parameters": (
        lambda files: files.update({"old.params": b""}),
        "exactly one *.params file",
    ),
    "no metadata": (lambda files: files.pop("compiled.meta"), "*.meta file, found none"),
    "no labels": (lambda files: files.pop("synset.txt"), "synset.txt is missing"),
    "a folder inside": (
        lambda files: files.update({"model/compiled.so": b""}),
        "holds the folder 'model'",
    ),
    "a way out": (
        lambda files: files.update({"../evil.so": b""}),
        "'../evil.so' would lie outside",
    ),
    "a self-test picture that is none": (self_test(b"GIF8"), "self-test.png: "),
    "another self-test picture": (
        self_test(picture(), image_id="ab" * 32),
        "self-test.png is not the picture that compiled.meta names",
    ),
    "an answer that is no probabilities": (
        self_test(picture(), probabilities=[1, 1, 0]),
        "the answer to the self-test picture is no probabilities",
    ),
    "no graph": (
        lambda files: files.update({"compiled_model.json": b"[]"}),
        "compiled_model.json is no TVM graph",
    ),
}


@pytest.mark.parametrize(("change", "named"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_package_is_refused_by_name(
    files: Files, tmp_path: Path, change: Callable[[Files], object], named: str
) -> None:
    changed = dict(files)
    change(changed)

    with pytest.raises(PackageError) as refused:
        check_model_package(zipped(changed, tmp_path), PLATFORM)

    assert named in refused.value.reason
    assert refused.value.package == "edgeward-model-linux-x86_64.zip"


def test_a_sound_package_passes(files: Files, tmp_path: Path) -> None:
    check_model_package(zipped(files, tmp_path), PLATFORM)


def test_the_recipes_of_other_platforms_do_not_take_it(files: Files, tmp_path: Path) -> None:
    """Published examples ship one CPU's library to all of them."""
    package = zipped(files, tmp_path)

    for other in ("linux-aarch64", "linux-armv7l"):
        with pytest.raises(PackageError, match=f"is for linux-x86_64, its recipe for {other}"):
            check_model_package(package, other)


def test_a_tar_that_is_called_zip_is_refused(tmp_path: Path) -> None:
    """Neo answers with a .tar.gz; renamed, it fails on the device only."""
    package = tmp_path / "model.zip"
    with tarfile.open(package, "w:gz") as archive:
        archive.add(__file__, "compiled.so")

    with pytest.raises(PackageError, match="Unarchive says ZIP, but it is a gzip file"):
        check_model_package(package, PLATFORM)


def test_a_damaged_archive_is_refused(files: Files, tmp_path: Path) -> None:
    package = zipped(files, tmp_path)
    content = bytearray(package.read_bytes())
    content[len(content) // 2] ^= 0xFF
    package.write_bytes(content)

    with pytest.raises(PackageError, match=r"damaged|unpacked"):
        check_model_package(package, PLATFORM)


def test_a_link_in_the_archive_is_refused(files: Files, tmp_path: Path) -> None:
    package = zipped(files, tmp_path)
    link = zipfile.ZipInfo("extra.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr(link, "/etc/passwd")

    with pytest.raises(PackageError, match=r"'extra\.txt' is a link"):
        check_model_package(package, PLATFORM)


@pytest.mark.parametrize("platform", ["linux-x86_64", "linux-aarch64", "linux-armv7l"])
def test_the_compiler_makes_libraries_for_the_platform_it_was_asked_for(
    compile_for: Compile, platform: Platform
) -> None:
    assert library_platform(compile_for(platform).folder / "compiled.so") == platform


def test_what_is_no_library_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "compiled.so").write_text("not a library")

    assert library_platform(tmp_path / "compiled.so") == "no ELF file"
