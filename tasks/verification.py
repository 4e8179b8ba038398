"""Deployment (CRISP-DM 6), verification: does what ships compute what was trained, and quickly?"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from backends.artifacts import Dataset, Gate, Split, Verification
from backends.files import replace_file
from tasks.business_understanding import DeviceTargets, ParityTargets


def list_held_out(split: Split, dataset: Dataset, into: Path) -> Path:
    """Write the test part for a Verifier: a JSON object a line, {"image_id", "path"} (absolute)."""
    table = pd.read_parquet(split.table, columns=["image_id", "path", "part"])
    table = table[table["part"] == "test"].drop_duplicates("image_id")
    lines = [
        json.dumps({"image_id": image_id, "path": str((dataset.root / path).absolute())}) + "\n"
        for image_id, path in zip(table["image_id"], table["path"], strict=True)
    ]
    replace_file(into, "".join(lines))
    return into


def judge_package(
    verification: Verification, parity: ParityTargets, device: DeviceTargets
) -> tuple[Gate, ...]:
    """The gates compiled.parity, compiled.latency, compiled.memory and compiled.size.

    What could not be executed is not judged (`passed` None); the size always is.
    """
    return (
        _parity(verification, parity),
        _at_most(
            "compiled.latency",
            "95th percentile of one inference",
            verification.latency_p95_ms,
            device.max_latency_p95_ms,
            "ms",
            verification.reason,
        ),
        _at_most(
            "compiled.memory",
            "peak memory",
            verification.peak_rss_mb,
            device.max_peak_rss_mb,
            "MB",
            verification.reason,
        ),
        _at_most(
            "compiled.size",
            "the package's size",
            verification.package_mb,
            device.max_package_mb,
            "MB",
            verification.reason,
        ),
    )


def _parity(verification: Verification, parity: ParityTargets) -> Gate:
    name = "compiled.parity"
    limit: dict[str, Any] = {
        "max_abs_diff": parity.max_abs_diff,
        "top1_agreement": parity.min_top1_agreement,
    }
    difference, agreement = verification.max_abs_diff, verification.top1_agreement
    if difference is None or agreement is None:
        return Gate(name, None, None, limit, verification.reason)
    # written so that NaN, which compares false with everything, does not pass
    passed = difference <= parity.max_abs_diff and agreement >= parity.min_top1_agreement
    reason = (
        f"probabilities differ by at most {difference:.2g} (limit {parity.max_abs_diff:g}), "
        f"top-1 agrees on {agreement:.2%} of {verification.images} pictures "
        f"(at least {parity.min_top1_agreement:.2%})"
    )
    return Gate(
        name, passed, {"max_abs_diff": difference, "top1_agreement": agreement}, limit, reason
    )


def _at_most(
    name: str, what: str, measured: float | None, limit: float, unit: str, missing: str
) -> Gate:
    if measured is None:
        return Gate(name, None, None, limit, missing)
    passed = measured <= limit
    verb = "is within" if passed else "is above"
    return Gate(
        name, passed, measured, limit, f"{what} {measured:.3g} {unit} {verb} {limit:g} {unit}"
    )
