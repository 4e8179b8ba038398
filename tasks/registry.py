"""The model registry in a run: keep the candidate, ask the champion, promote what proved itself."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect import task

from backends.artifacts import Epoch, PackedData, RegisteredModel, TrainedModel
from backends.ports import Predictor, Tracker
from tasks.champion import ChampionScore
from tasks.job_names import job_name
from tasks.modeling import predict_model
from tasks.recording import Run, note, read_record
from tasks.retrying import CALLS_BACKEND


@task(**CALLS_BACKEND, task_run_name="track run of {model}")
def track_run(tracker: Tracker, model: str, run: Run, parameters: Mapping[str, str]) -> str:
    """Open the run in the tracker; it is closed with the record's outcome when the run is."""
    identity = tracker.start(model, run.id, parameters)
    follow_run(tracker, identity, run)
    return identity


def follow_run(tracker: Tracker, identity: str, run: Run) -> None:
    """Send the record's figures and outcome when the run is closed, also each time it goes on."""
    run.closing.append(lambda closed: _end(tracker, identity, closed))
    note(run, tracked=identity)


def log_epoch(tracker: Tracker, identity: str, epoch: Epoch) -> None:
    """Send one epoch's figures as it ends."""
    metrics = {"train/accuracy": epoch.train_accuracy, "train/seconds": epoch.seconds}
    if epoch.validation_accuracy is not None:
        metrics["validation/accuracy"] = epoch.validation_accuracy
    tracker.log(identity, metrics, epoch.epoch)


@task(**CALLS_BACKEND, task_run_name="register candidate of {model}")
def register_candidate(
    tracker: Tracker, model: str, identity: str, trained: TrainedModel, batches: Iterable[str] = ()
) -> str:
    """Keep a trained model as a version with the alias `candidate`.

    `batches` are the collected ones that it learnt from.
    The champion's own archive again (nothing was trained anew) gives the champion's version.
    """
    digest = digest_of(trained.archive)
    champion = tracker.champion(model)
    if champion and champion.tags.get("sha256") == digest:
        return champion.version
    tags = {"sha256": digest, "collected": json.dumps(sorted(batches))}
    tags |= _shape(trained.classes, trained.width, trained.height)
    return tracker.register(model, identity, trained.archive, tags)


@task(**CALLS_BACKEND, task_run_name="promote model {component}")
def promote_candidate(tracker: Tracker, model: str, version: str, component: str) -> None:
    """Make a version the champion, once the device was seen to answer rightly."""
    tracker.promote(model, version, {"component_version": component})


def earlier_weights(tracker: Tracker, model: str) -> Path | None:
    """The champion's archive, for a training that starts from it."""
    champion = tracker.champion(model)
    return champion.archive if champion else None


def score_champion(
    tracker: Tracker, predictor: Predictor, model: str, packed: PackedData
) -> ChampionScore:
    """Ask the registered champion about the held-out pictures of this run."""
    champion = tracker.champion(model)
    if champion is None:
        return ChampionScore(None, "no champion yet")
    if missing := _incomparable(champion, packed):
        return ChampionScore(None, missing)
    job = job_name("predict", champion.tags["sha256"], packed.root.name)
    asked = replace(packed, classes=_classes(champion))
    predictions = predict_model(predictor, job, champion.archive, asked)
    return ChampionScore(predictions, batches=batches_of(champion))


def batches_of(champion: RegisteredModel) -> frozenset[str]:
    """The collected batches that a registered model learnt from."""
    return frozenset(json.loads(champion.tags.get("collected", "[]")))


def digest_of(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _incomparable(champion: RegisteredModel, packed: PackedData) -> str:
    """Why the champion cannot judge these pictures; empty: it can."""
    pixels = f"{packed.width}x{packed.height}"
    if (its := champion.tags.get("pixels")) != pixels:
        return f"the champion's pixels are {its}, now {pixels}"
    if not set(_classes(champion)) <= set(packed.classes):
        now = json.dumps(packed.classes)
        return f"the champion's classes are {champion.tags.get('classes')}, now {now}"
    return "" if champion.archive.exists() else f"the champion's archive {champion.archive} is gone"


def _classes(champion: RegisteredModel) -> tuple[str, ...]:
    return tuple(json.loads(champion.tags.get("classes", "[]")))


def _shape(classes: tuple[str, ...], width: int, height: int) -> dict[str, str]:
    return {"classes": json.dumps(classes), "pixels": f"{width}x{height}"}


def _end(tracker: Tracker, identity: str, run: Run) -> None:
    record = read_record(run)
    tracker.log(identity, _metrics(record))
    files: list[Path] = [file for file in (run.record, run.report) if file.exists()]
    tracker.end(identity, record["status"], files)


def _metrics(record: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a record that one wants to compare between runs."""
    metrics = {f"seconds/{name}": seconds for name, seconds in record["stages"].items()}
    if evaluation := record["evaluation"]:
        metrics |= {"test/top1": evaluation["top1"], "test/top5": evaluation["top5"]}
        metrics["test/calibration_error"] = evaluation["calibration_error"]
        for label, score in evaluation["per_class"].items():
            if score["recall"] is not None:
                metrics[f"test/recall/{label}"] = score["recall"]
    if (verification := record["verification"]) and verification["executed"]:
        metrics |= {
            "device/latency_p95_ms": verification["latency_ms"]["p95"],
            "device/peak_rss_mb": verification["peak_rss_mb"],
            "device/max_abs_diff": verification["max_abs_diff"],
        }
    return metrics
