"""What ships is run before it ships, in the runtime and the environment of the device."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backends import package_rules
from backends.artifacts import CompiledModel
from backends.errors import EnvironmentMissingError, InvalidInputError, PackageError
from backends.local.verifier import LocalVerifier
from backends.settings import PROJECT
from tasks.packaging import package_model
from tests.tiny_model import Compile, TinyModel

pytestmark = [pytest.mark.jobs, pytest.mark.device]


@pytest.fixture(scope="module")
def package(compile_for: Compile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package_model(compile_for("linux-x86_64"), tmp_path_factory.mktemp("packed"))


@pytest.fixture
def verifier(device_python: Path, tmp_path: Path) -> LocalVerifier:
    return LocalVerifier(device_python, PROJECT, tmp_path / "jobs", seconds=60)


def test_the_packed_model_answers_as_mxnet_does(
    verifier: LocalVerifier, package: Path, tiny_model: TinyModel
) -> None:
    verification = verifier.verify(
        "verify", package, "linux-x86_64", tiny_model.pictures, tiny_model.expected
    )

    assert verification.executed
    assert verification.runtime_version == "1.6.0"
    assert verification.images == 12
    assert verification.max_abs_diff is not None
    assert verification.max_abs_diff < 1e-5
    assert verification.top1_agreement == 1
    assert verification.latency_p50_ms is not None
    assert verification.latency_p95_ms is not None
    assert 0 < verification.latency_p50_ms <= verification.latency_p95_ms
    assert verification.peak_rss_mb is not None
    assert 20 < verification.peak_rss_mb < 150, "the parent's memory is not the device's"
    assert verification.package_mb == package.stat().st_size / 1e6
    assert verification.table is not None
    assert list(pd.read_parquet(verification.table)["image_id"]) == [
        f"picture-{number}" for number in range(12)
    ]


def test_a_model_that_answers_otherwise_shows_in_parity(
    verifier: LocalVerifier, package: Path, tiny_model: TinyModel, tmp_path: Path
) -> None:
    """Such as one that was fed BGR where it was trained on RGB."""
    table = pd.read_parquet(tiny_model.expected.table)
    probabilities = [f"p{index}" for index in range(len(tiny_model.expected.classes))]
    table[probabilities] = np.roll(table[probabilities].to_numpy(), 1, axis=1)
    table.to_parquet(tmp_path / "other.parquet")
    other = dataclasses.replace(tiny_model.expected, table=tmp_path / "other.parquet")

    verification = verifier.verify("verify", package, "linux-x86_64", tiny_model.pictures, other)

    assert verification.top1_agreement == 0
    assert verification.max_abs_diff is not None
    assert verification.max_abs_diff > 0.1


def test_a_package_for_another_cpu_is_reported_as_not_executed(
    verifier: LocalVerifier, compile_for: Compile, tiny_model: TinyModel, tmp_path: Path
) -> None:
    arm = package_model(compile_for("linux-aarch64"), tmp_path)

    verification = verifier.verify(
        "verify", arm, "linux-aarch64", tiny_model.pictures, tiny_model.expected
    )

    assert not verification.executed
    assert verification.reason.startswith("not executed: this machine is x86_64")
    assert verification.max_abs_diff is None
    assert verification.latency_p95_ms is None


def test_labels_in_another_order_are_refused(
    verifier: LocalVerifier, package: Path, tiny_model: TinyModel
) -> None:
    """The model would be right and its words wrong."""
    swapped = dataclasses.replace(
        tiny_model.expected, classes=tuple(reversed(tiny_model.expected.classes))
    )

    with pytest.raises(PackageError, match="its labels are"):
        verifier.verify("verify", package, "linux-x86_64", tiny_model.pictures, swapped)


def test_a_library_that_the_runtime_cannot_load_is_refused(
    verifier: LocalVerifier, compile_for: Compile, tiny_model: TinyModel, tmp_path: Path
) -> None:
    """The header is right, so that only the runtime itself can find out."""
    broken = _copy(compile_for("linux-x86_64"), tmp_path / "broken")
    library = broken.folder / "compiled.so"
    library.write_bytes(library.read_bytes()[:4096])
    package = package_model(broken, tmp_path)

    with pytest.raises(PackageError, match=r"cannot serve|runtime died"):
        verifier.verify("verify", package, "linux-x86_64", tiny_model.pictures, tiny_model.expected)


def test_a_runtime_that_is_another_than_it_claims_is_refused(
    verifier: LocalVerifier,
    compile_for: Compile,
    tiny_model: TinyModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Suppose that libdlr 1.5.0 were known to go with the compiler, and 1.6.0 came instead."""
    monkeypatch.setattr(package_rules, "BELONG_TOGETHER", {("hhb-tvm==3.2.3", "1.5.0")})
    claiming = _copy(compile_for("linux-x86_64"), tmp_path / "claiming")
    meta = json.loads((claiming.folder / "compiled.meta").read_text())
    meta["Edgeward"]["runtime"]["version"] = "1.5.0"
    (claiming.folder / "compiled.meta").write_text(json.dumps(meta))
    package = package_model(claiming, tmp_path)

    with pytest.raises(PackageError, match=r"is for libdlr 1\.5\.0, and the device has 1\.6\.0"):
        verifier.verify("verify", package, "linux-x86_64", tiny_model.pictures, tiny_model.expected)


def test_a_held_out_picture_without_a_prediction_is_named(
    verifier: LocalVerifier, package: Path, tiny_model: TinyModel, tmp_path: Path
) -> None:
    """Parity over fewer pictures than were predicted would look better than it is."""
    lines = tiny_model.pictures.read_text().splitlines()
    (tmp_path / "fewer.jsonl").write_text("\n".join(lines[:-1]) + "\n")

    with pytest.raises(InvalidInputError, match="picture-11"):
        verifier.verify(
            "verify", package, "linux-x86_64", tmp_path / "fewer.jsonl", tiny_model.expected
        )


def test_an_unreadable_picture_is_named(
    verifier: LocalVerifier, package: Path, tiny_model: TinyModel, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    line = {"image_id": "broken", "path": str(tmp_path / "broken.jpg")}
    (tmp_path / "broken.jsonl").write_text(json.dumps(line) + "\n")

    with pytest.raises(InvalidInputError, match="picture broken: truncated"):
        verifier.verify(
            "verify", package, "linux-x86_64", tmp_path / "broken.jsonl", tiny_model.expected
        )


def test_a_missing_device_environment_says_what_to_do(
    package: Path, tiny_model: TinyModel, tmp_path: Path
) -> None:
    verifier = LocalVerifier(tmp_path / "no-python", PROJECT, tmp_path)

    with pytest.raises(EnvironmentMissingError, match="make setup"):
        verifier.verify("verify", package, "linux-x86_64", tiny_model.pictures, tiny_model.expected)


def _copy(compiled: CompiledModel, folder: Path) -> CompiledModel:
    shutil.copytree(compiled.folder, folder)
    return dataclasses.replace(compiled, folder=folder)
