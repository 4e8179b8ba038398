"""A model folder whose parts do not belong together is refused, and what is wrong is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.contract import ModelFolderError, read_metadata
from edge.model_folder import NewerFormatError

LABELS = ["cat", "dog's", "empty driveway"]


def folder(at: Path, labels: list[str] = LABELS, outputs: int = 3) -> Path:
    meta: dict[str, Any] = {
        "Requirements": {"TargetPlatformArch": "ARM64"},
        "Model": {"Outputs": [{"name": "output_0", "shape": [1, outputs]}]},
        "Edgeward": {
            "labels": labels,
            "preprocessing": {
                "width": 40,
                "height": 24,
                "color": "RGB",
                "resize": "bilinear",
                "layout": "NCHW",
                "dtype": "float32",
                "range": [0, 255],
            },
            "compiler": {"name": "tvm", "version": "0.16.0", "target": "llvm"},
        },
    }
    (at / "compiled.meta").write_text(json.dumps(meta))
    (at / "synset.txt").write_text(repr(dict(enumerate(labels))) + "\n")
    for name in ("compiled.so", "compiled_model.json", "compiled.params", "libdlr.so"):
        (at / name).write_bytes(b"{}")
    return at


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def work(at: Path) -> None:
        meta = json.loads((at / "compiled.meta").read_text())
        change(meta)
        (at / "compiled.meta").write_text(json.dumps(meta))

    return work


SELF_TEST = {
    "picture": "self-test.png",
    "image_id": "ab" * 32,
    "probabilities": [0.9, 0.1, 0],
    "tolerance": 0.02,
}


def with_self_test(**changed: object) -> Callable[[Path], object]:
    def work(at: Path) -> None:
        (at / "self-test.png").touch()
        edit(lambda meta: meta["Edgeward"].update(self_test={**SELF_TEST, **changed}))(at)

    return work


def test_the_self_test_is_read_where_there_is_one(tmp_path: Path) -> None:
    """Models that were published before there were any are still served."""
    older = read_metadata(folder(tmp_path))
    with_self_test()(tmp_path)

    test = read_metadata(tmp_path).self_test

    assert older.self_test is None
    assert test is not None
    assert test.to_dict() == SELF_TEST


def test_a_later_format_is_told_from_a_fault(tmp_path: Path) -> None:
    """An older check must not refuse a model that the component beside it will serve."""
    folder(tmp_path)
    edit(lambda meta: meta["Edgeward"].update(format=2))(tmp_path)

    with pytest.raises(NewerFormatError, match="format 2, and this component knows 1"):
        read_metadata(tmp_path)


def test_a_sound_folder_is_read(tmp_path: Path) -> None:
    metadata = read_metadata(folder(tmp_path))

    assert metadata.labels == tuple(LABELS)
    assert (metadata.outputs, metadata.architecture) == (3, "ARM64")
    assert metadata.preprocessing["width"] == 40
    assert metadata.compiler["version"] == "0.16.0"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda at: (at / "labels.json").touch(), r"\*.json file, found compiled_model.json, lab"),
        (lambda at: (at / "extra.so").touch(), r"\*.so file, found compiled.so, extra.so"),
        (lambda at: (at / "old.params").touch(), r"\*.params file"),
        (lambda at: (at / "old.meta").touch(), r"\*.meta file"),
        (lambda at: (at / "compiled.so").unlink(), r"\*.so file, found none"),
        (lambda at: (at / "compiled.meta").rename(at / "other.meta"), "compiled.meta is missing"),
        (lambda at: (at / "model.tensorrt").touch(), "tensorrt"),
        (lambda at: (at / "synset.txt").unlink(), "synset.txt is missing"),
        (lambda at: (at / "synset.txt").write_text("cat\ndog\n"), "not a dict literal"),
        (lambda at: (at / "synset.txt").write_text("{0: 'cat'}"), "name different labels"),
        (lambda at: (at / "compiled.meta").write_text("{"), "compiled.meta is not JSON"),
        (lambda at: (at / "compiled.meta").write_text("[]"), "not a JSON object"),
        (edit(lambda meta: meta.pop("Edgeward")), "has no 'Edgeward'"),
        (edit(lambda meta: meta["Edgeward"].pop("labels")), "labels must be a list"),
        (edit(lambda meta: meta["Edgeward"].update(labels=["a", "a", "b"])), "a label twice"),
        (edit(lambda meta: meta["Edgeward"].update(labels=["a", 1])), "not a name"),
        (edit(lambda meta: meta["Edgeward"].pop("compiler")), "has no 'compiler'"),
        (edit(lambda meta: meta["Edgeward"]["preprocessing"].pop("color")), "lacks color"),
        (edit(lambda meta: meta.pop("Model")), "one output of shape"),
        (edit(lambda meta: meta["Model"]["Outputs"].append({"shape": [1, 3]})), "one output"),
        (edit(lambda meta: meta["Model"]["Outputs"][0].update(shape=[2, 3])), "not \\[2, 3\\]"),
        (edit(lambda meta: meta["Model"]["Outputs"][0].update(shape=[1, 5])), "5 outputs but 3"),
        (edit(lambda meta: meta["Edgeward"].update(format="2")), "format must be a whole number"),
        (edit(lambda meta: meta["Edgeward"].update(self_test=SELF_TEST)), "self-test.png is miss"),
        (with_self_test(probabilities=[0.9, 0.1]), "probabilities must be 3 numbers"),
        (with_self_test(probabilities=[0.9, 0.1, 7]), "probabilities: must be a number in"),
        (with_self_test(picture="../../camera.png"), "must be self-test with a suffix"),
        (with_self_test(picture="self-test.json"), "exactly one|is missing"),
        (with_self_test(tolerance=None), "tolerance: must be a number"),
        (with_self_test(mood="good"), "unknown field 'mood'"),
    ],
)
def test_a_folder_that_is_not_right_is_refused_with_the_reason(
    tmp_path: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    spoil(folder(tmp_path))

    with pytest.raises(ModelFolderError, match=reason) as caught:
        read_metadata(tmp_path)

    assert str(tmp_path) in str(caught.value)


def test_an_archive_that_the_nucleus_did_not_unpack_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "edgeward-model.zip").touch()

    with pytest.raises(ModelFolderError, match="still packed"):
        read_metadata(tmp_path)


def test_a_folder_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="no such folder"):
        read_metadata(tmp_path / "gone")
