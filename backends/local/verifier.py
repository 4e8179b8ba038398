"""Verifies a packed model on this machine as a device would run it: the zip and the runtime."""

import json
import os
import platform as host
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from backends.archives import unpack
from backends.artifacts import Platform, Predictions, Verification
from backends.errors import EnvironmentMissingError, InvalidInputError, PackageError
from backends.local.machine import MACHINES
from backends.package_rules import check_model_package

RUNTIME = "libdlr"
_REFUSED = 3  # edge.verify's exit status for a folder that is no model
# What would make this process run otherwise than on a device.
_FOREIGN = (
    "TVM_NUM_THREADS",
    "TVM_THREAD_POOL_SPIN_COUNT",
    "TVM_BIND_THREADS",
    "OMP_NUM_THREADS",
    "PYTHONHOME",
    "LD_PRELOAD",
)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What edge.verify wrote: a row per picture, and its summary."""

    image_ids: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    run_ms: npt.NDArray[np.float64]
    picture_ms: npt.NDArray[np.float64]
    summary: Mapping[str, Any]


class LocalVerifier:
    """Runs the package with `python` (the device's environment) and the code in `<component>/edge`.

    Keeps the probabilities in `<jobs>/<job>/output/data/device.parquet`.
    """

    def __init__(self, python: Path, component: Path, jobs: Path, seconds: int = 3600) -> None:
        self._python = python
        self._component = component
        self._jobs = jobs
        self._seconds = seconds

    def verify(
        self, job: str, package: Path, platform: Platform, pictures: Path, expected: Predictions
    ) -> Verification:
        """Check `package`, then run `pictures` through it and compare with `expected`.

        `pictures` holds a JSON object a line: {"image_id": …, "path": absolute path of the
        original file}, in any order. Raises PackageError (the zip must not ship), InvalidInputError
        (a picture), EnvironmentMissingError.
        """
        check_model_package(package, platform)
        megabytes = package.stat().st_size / 1e6
        machine = host.machine().lower()
        if MACHINES.get(machine) != platform:
            reason = f"not executed: this machine is {machine}, the package is for {platform}"
            return _not_executed(megabytes, reason)
        answers = self._run(package, pictures)
        _check_labels(package.name, answers.summary["labels"], expected)
        table = _write_table(answers, self._jobs / job / "output" / "data" / "device.parquet")
        return _compare(answers, expected, megabytes, table)

    def _run(self, package: Path, pictures: Path) -> _Answers:
        if not self._python.is_file():
            raise EnvironmentMissingError("device", f"there is no {self._python}")
        with tempfile.TemporaryDirectory(prefix="edgeward-device-") as scratch:
            model = unpack(package, Path(scratch))
            results = Path(scratch) / "results.jsonl"
            command = [str(self._python), "-m", "edge.verify"]
            command += ["--model", str(model), "--pictures", str(pictures.resolve())]
            self._call([*command, "--results", str(results)], Path(scratch), package.name)
            answers = _read(results)
            _check_runtime(package.name, model, str(answers.summary["runtime_version"]))
            return answers

    def _call(self, command: list[str], cwd: Path, name: str) -> None:
        environment = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
        environment["PYTHONPATH"] = str(self._component)
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        try:
            finished = subprocess.run(
                command,
                cwd=cwd,
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PackageError(name, f"did not finish in {self._seconds} s") from error
        words = finished.stderr.strip().splitlines()
        last = words[-1] if words else "it said nothing"
        if finished.returncode == _REFUSED:
            raise PackageError(name, f"the device cannot serve it: {last}")
        if finished.returncode < 0:
            died = signal.Signals(-finished.returncode).name
            raise PackageError(name, f"the runtime died of {died} on this CPU ({last})")
        if finished.returncode != 0:
            raise PackageError(name, f"verification failed on the device's side: {last}")


def _not_executed(megabytes: float, reason: str) -> Verification:
    return Verification(
        executed=False,
        runtime=RUNTIME,
        runtime_version="",
        images=0,
        max_abs_diff=None,
        top1_agreement=None,
        latency_p50_ms=None,
        latency_p95_ms=None,
        peak_rss_mb=None,
        package_mb=megabytes,
        reason=reason,
    )


def _read(results: Path) -> _Answers:
    ids, rows, run_ms, picture_ms = [], [], [], []
    summary: Mapping[str, Any] = {}
    for line in _lines(results):
        if "summary" in line:
            summary = line["summary"]
            continue
        if "problem" in line:
            raise InvalidInputError(
                f"picture {line['image_id']}", str(line["problem"]), "Ingest the pictures again."
            )
        ids.append(line["image_id"])
        rows.append(np.asarray(line["probabilities"], dtype=np.float32))
        run_ms.append(line["run_ms"])
        picture_ms.append(line["picture_ms"] if line["picture_ms"] is not None else np.nan)
    if not ids:
        raise InvalidInputError("held-out pictures", "there are none", "Hold some out.")
    return _Answers(tuple(ids), np.stack(rows), np.asarray(run_ms), np.asarray(picture_ms), summary)


def _lines(results: Path) -> Iterator[Mapping[str, Any]]:
    with results.open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)


def _check_runtime(name: str, model: Path, loaded: str) -> None:
    """What the library says of itself counts, not what compiled.meta claims of it.

    Of Neo's libraries it claims no version, as their archives name none.
    """
    meta = json.loads((model / "compiled.meta").read_text(encoding="utf-8"))
    expected = meta["Edgeward"]["runtime"]["version"]
    if expected and loaded != expected:
        raise PackageError(name, f"it is for libdlr {expected}, and the device has {loaded}")


def _check_labels(name: str, labels: list[str], expected: Predictions) -> None:
    if tuple(labels) != expected.classes:
        raise PackageError(
            name, f"its labels are {labels}, the model was trained on {list(expected.classes)}"
        )


def _compare(
    answers: _Answers, expected: Predictions, megabytes: float, table: Path
) -> Verification:
    columns = [f"p{index}" for index in range(len(expected.classes))]
    trained = pd.read_parquet(expected.table, columns=["image_id", *columns])
    trained = trained.drop_duplicates("image_id").set_index("image_id")
    if missing := sorted(set(answers.image_ids) ^ set(trained.index)):
        raise InvalidInputError(
            f"picture {missing[0]}",
            f"is not among both the held-out pictures and the predictions ({len(missing)} are not)",
            "Predict and verify the same part.",
        )
    theirs = trained.loc[list(answers.image_ids), columns].to_numpy(dtype=np.float32)
    ours = answers.probabilities
    p50, p95 = np.percentile(answers.run_ms, [50, 95])
    whole = answers.picture_ms[~np.isnan(answers.picture_ms)]
    return Verification(
        executed=True,
        runtime=RUNTIME,
        runtime_version=str(answers.summary["runtime_version"]),
        images=len(ours),
        max_abs_diff=float(np.abs(ours - theirs).max()),
        top1_agreement=float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean()),
        latency_p50_ms=float(p50),
        latency_p95_ms=float(p95),
        peak_rss_mb=float(answers.summary["peak_rss_mb"]),
        package_mb=megabytes,
        table=table,
        picture_p95_ms=float(np.percentile(whole, 95)) if whole.size else None,
    )


def _write_table(answers: _Answers, path: Path) -> Path:
    """The device's probabilities, as Predictions has them, with milliseconds of each picture."""
    frame = pd.DataFrame({"image_id": list(answers.image_ids)})
    for index, column in enumerate(answers.probabilities.T):
        frame[f"p{index}"] = column
    frame["run_ms"], frame["picture_ms"] = answers.run_ms, answers.picture_ms
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".device-", dir=path.parent) as scratch:
        frame.to_parquet(Path(scratch) / path.name, index=False)
        shutil.move(Path(scratch) / path.name, path)
    return path
