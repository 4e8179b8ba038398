"""The gates between compiling and shipping: each refuses, passes, and admits what it lacks."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from backends.artifacts import Dataset, Gate, Split, Verification
from tasks.business_understanding import DeviceTargets, ParityTargets
from tasks.verification import judge_package, list_held_out

MEASURED = Verification(
    executed=True,
    runtime="libdlr",
    runtime_version="1.6.0",
    images=200,
    max_abs_diff=1e-6,
    top1_agreement=1.0,
    latency_p50_ms=4.0,
    latency_p95_ms=5.0,
    peak_rss_mb=60.0,
    package_mb=3.0,
)
NOT_EXECUTED = dataclasses.replace(
    MEASURED,
    executed=False,
    max_abs_diff=None,
    top1_agreement=None,
    latency_p50_ms=None,
    latency_p95_ms=None,
    peak_rss_mb=None,
    reason="not executed: this machine is x86_64, the package is for linux-aarch64",
)
PARITY = ParityTargets()
DEVICE = DeviceTargets()


def gates(
    verification: Verification = MEASURED,
    parity: ParityTargets = PARITY,
    device: DeviceTargets = DEVICE,
) -> dict[str, Gate]:
    return {gate.name: gate for gate in judge_package(verification, parity, device)}


def test_a_model_within_all_limits_passes_all_gates() -> None:
    judged = gates()

    assert list(judged) == [
        "compiled.parity",
        "compiled.latency",
        "compiled.memory",
        "compiled.size",
    ]
    assert all(gate.passed for gate in judged.values())


@pytest.mark.parametrize(
    ("name", "measured"),
    [
        ("compiled.parity", {"max_abs_diff": 0.002}),
        ("compiled.parity", {"max_abs_diff": float("nan")}),
        ("compiled.parity", {"top1_agreement": 0.98}),
        ("compiled.latency", {"latency_p95_ms": 100.1}),
        ("compiled.memory", {"peak_rss_mb": 513.0}),
        ("compiled.size", {"package_mb": 201.0}),
    ],
)
def test_each_gate_refuses_what_is_beyond_its_limit(name: str, measured: dict[str, Any]) -> None:
    judged = gates(dataclasses.replace(MEASURED, **measured))

    assert [gate.name for gate in judged.values() if gate.refuses] == [name]


@pytest.mark.parametrize(
    ("name", "parity", "device"),
    [
        ("compiled.parity", ParityTargets(max_abs_diff=1e-7), DEVICE),
        ("compiled.latency", PARITY, DeviceTargets(max_latency_p95_ms=4.9)),
        ("compiled.memory", PARITY, DeviceTargets(max_peak_rss_mb=59)),
        ("compiled.size", PARITY, DeviceTargets(max_package_mb=2.9)),
    ],
)
def test_a_changed_target_changes_the_decision(
    name: str, parity: ParityTargets, device: DeviceTargets
) -> None:
    assert gates(parity=parity, device=device)[name].passed is False


def test_a_changed_agreement_target_changes_the_decision() -> None:
    measured = dataclasses.replace(MEASURED, top1_agreement=0.99)

    assert gates(measured)["compiled.parity"].passed is False
    assert gates(measured, ParityTargets(min_top1_agreement=0.98))["compiled.parity"].passed


def test_what_was_not_executed_is_neither_passed_nor_refused_but_said() -> None:
    judged = gates(NOT_EXECUTED)

    for name in ("compiled.parity", "compiled.latency", "compiled.memory"):
        assert judged[name].passed is None
        assert judged[name].reason.startswith("not executed")
    assert judged["compiled.size"].passed is True


def test_only_held_out_pictures_are_listed_for_verification(tmp_path: Path) -> None:
    """A model's training pictures prove nothing about it."""
    rows = [("a", "cat/1.jpg", "train"), ("b", "cat/2.jpg", "test"), ("c", "dog/3.jpg", "test")]
    frame = pd.DataFrame(rows, columns=["image_id", "path", "part"])
    frame.to_parquet(tmp_path / "split.parquet")
    split = Split(tmp_path / "split.parquet", train=1, validation=0, test=2, classes=("cat", "dog"))
    dataset = Dataset("folder", Path("/pictures"), tmp_path, 3, ("cat", "dog"), "")

    listed = list_held_out(split, dataset, tmp_path / "held-out.jsonl")

    assert [json.loads(line) for line in listed.read_text().splitlines()] == [
        {"image_id": "b", "path": "/pictures/cat/2.jpg"},
        {"image_id": "c", "path": "/pictures/dog/3.jpg"},
    ]
