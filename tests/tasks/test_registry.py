"""The registry in a run: a candidate is kept, the champion is asked, what proved itself leads."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from prefect.settings import PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW, temporary_settings

from backends.artifacts import Epoch, PackedData, Predictions, TrainedModel
from backends.ports import OnLine
from backends.tracking import MlflowTracker
from tasks.champion import ChampionScore
from tasks.evaluation import evaluate
from tasks.recording import Run, note, recorded, stage
from tasks.registry import (
    batches_of,
    digest_of,
    log_epoch,
    promote_candidate,
    register_candidate,
    score_champion,
    track_run,
)

MODEL = "driveway"
CLASSES = ("cat", "dog")


class HonestPredictor:
    """A Predictor; the archive of a model is the share of pictures that it calls rightly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, bytes]] = []

    def predict(self, job: str, model: Path, data: PackedData, on_line: OnLine) -> Predictions:
        self.asked.append((job, model.read_bytes()))
        right = round(data.test * float(model.read_bytes()))
        called = [1.0] * right + [0.0] * (data.test - right)
        table = pd.DataFrame({"image_id": [str(n) for n in range(data.test)], "class_index": 0})
        table["p0"], table["p1"] = called, [1 - share for share in called]
        path = self.folder / f"{job}.parquet"
        table.to_parquet(path)
        return Predictions(path, data.classes, data.test)


@pytest.fixture
def tracker(tmp_path: Path) -> MlflowTracker:
    return MlflowTracker(tmp_path / "mlflow")


@pytest.fixture
def packed(tmp_path: Path) -> PackedData:
    return PackedData(tmp_path / "packed-1", 32, 32, CLASSES, 80, 10, 10)


@pytest.fixture
def predictor(tmp_path: Path) -> HonestPredictor:
    return HonestPredictor(tmp_path)


@pytest.fixture
def registered(tracker: MlflowTracker, tmp_path: Path) -> Callable[[str], str]:
    """Registers a model that calls this share of the pictures rightly; gives its version."""

    def register(right: str) -> str:
        run = tracker.start(MODEL, "run", {})
        version: str = register_candidate.fn(tracker, MODEL, run, trained(tmp_path, right))
        return version

    return register


def trained(folder: Path, right: str) -> TrainedModel:
    archive = folder / "model.tar.gz"
    archive.write_text(right)
    return TrainedModel(archive, CLASSES, 32, 32, (), 1.0, 1.0, {})


def asked(tracker: MlflowTracker, predictor: HonestPredictor, packed: PackedData) -> ChampionScore:
    with temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"}):
        return score_champion(tracker, predictor, MODEL, packed)


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


def test_without_a_champion_nobody_is_asked(
    tracker: MlflowTracker,
    predictor: HonestPredictor,
    packed: PackedData,
    registered: Callable[[str], str],
) -> None:
    registered("0.5")

    score = asked(tracker, predictor, packed)

    assert score == ChampionScore(None, "no champion yet"), "a candidate is not a champion"
    assert predictor.asked == []


def test_the_champion_is_scored_on_the_pictures_of_this_run(
    tracker: MlflowTracker,
    predictor: HonestPredictor,
    packed: PackedData,
    registered: Callable[[str], str],
) -> None:
    promote_candidate.fn(tracker, MODEL, registered("0.7"), "1.0.0")
    registered("0.9")  # a later candidate is not asked

    score = asked(tracker, predictor, packed)
    other = asked(tracker, predictor, dataclasses.replace(packed, root=Path("packed-2")))

    assert score.predictions is not None
    assert evaluate(score.predictions).top1 == pytest.approx(0.7)
    assert (score.missing, other.missing) == ("", "")
    jobs = [job for job, _ in predictor.asked]
    assert len(set(jobs)) == 2, "other pictures are another job"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"classes": ("cat", "deer")},
            "the champion's classes are ['cat', 'dog'], now ['cat', 'deer']",
        ),
        ({"width": 64}, "the champion's pixels are 32x32, now 64x32"),
    ],
)
def test_a_champion_of_other_classes_or_sizes_is_no_baseline(
    tracker: MlflowTracker,
    predictor: HonestPredictor,
    packed: PackedData,
    registered: Callable[[str], str],
    change: dict[str, object],
    reason: str,
) -> None:
    promote_candidate.fn(tracker, MODEL, registered("0.7"), "1.0.0")
    changed = dataclasses.replace(packed, **change)  # type: ignore[arg-type]

    score = asked(tracker, predictor, changed)

    assert score.predictions is None
    assert score.missing.replace('"', "'") == reason
    assert predictor.asked == []


def test_a_champion_of_fewer_classes_answers_with_its_own(
    tracker: MlflowTracker,
    predictor: HonestPredictor,
    packed: PackedData,
    registered: Callable[[str], str],
) -> None:
    promote_candidate.fn(tracker, MODEL, registered("0.7"), "1.0.0")
    more = dataclasses.replace(packed, classes=("cat", "deer", "dog"))

    score = asked(tracker, predictor, more)

    assert score.predictions is not None
    assert score.predictions.classes == CLASSES


def test_a_champion_knows_the_batches_that_it_learnt_from(
    tracker: MlflowTracker, predictor: HonestPredictor, packed: PackedData, tmp_path: Path
) -> None:
    run = tracker.start(MODEL, "run", {})
    model = trained(tmp_path, "0.7")
    version = register_candidate.fn(tracker, MODEL, run, model, {"night_2", "night_1"})
    promote_candidate.fn(tracker, MODEL, version, "1.0.0")

    champion = tracker.champion(MODEL)

    assert champion
    assert batches_of(champion) == {"night_1", "night_2"}
    assert asked(tracker, predictor, packed).batches == {"night_1", "night_2"}


def test_a_champion_whose_archive_is_gone_is_no_baseline(
    tracker: MlflowTracker,
    predictor: HonestPredictor,
    packed: PackedData,
    registered: Callable[[str], str],
) -> None:
    promote_candidate.fn(tracker, MODEL, registered("0.7"), "1.0.0")
    champion = tracker.champion(MODEL)
    assert champion
    champion.archive.unlink()

    score = asked(tracker, predictor, packed)

    assert score.predictions is None
    assert score.missing == f"the champion's archive {champion.archive} is gone"


def test_the_champions_own_archive_again_is_its_own_version(
    tracker: MlflowTracker, registered: Callable[[str], str], tmp_path: Path
) -> None:
    first = registered("0.7")
    promote_candidate.fn(tracker, MODEL, first, "1.0.0")

    assert registered("0.7") == first
    assert registered("0.8") != first
    champion = tracker.champion(MODEL)
    assert champion
    assert champion.tags["component_version"] == "1.0.0"
    (tmp_path / "same").write_text("0.7")
    assert champion.tags["sha256"] == digest_of(tmp_path / "same")


def test_a_run_is_tracked_from_its_parameters_to_its_outcome(
    tracker: MlflowTracker, tmp_path: Path
) -> None:
    run = Run("run-1", tmp_path / "run")
    with recorded(run, {}):
        identity: str = track_run.fn(tracker, MODEL, run, {"epochs": "2"})
        log_epoch(tracker, identity, Epoch(1, 0.6, 0.5, 2.0))
        log_epoch(tracker, identity, Epoch(2, 0.8, None, 2.0))
        with stage(run, "train"):
            pass
        note(
            run,
            evaluation={
                "top1": 0.7,
                "top5": 1.0,
                "calibration_error": 0.1,
                "per_class": {"cat": {"recall": 0.6}, "dog": {"recall": None}},
            },
        )

    kept = tracker._client.get_run(identity)
    assert kept.info.status == "FINISHED"
    assert kept.data.params == {"epochs": "2"}
    assert kept.data.metrics["train/accuracy"] == 0.8
    assert kept.data.metrics["validation/accuracy"] == 0.5
    assert kept.data.metrics["test/recall/cat"] == 0.6
    assert "test/recall/dog" not in kept.data.metrics
    assert "seconds/train" in kept.data.metrics
    assert kept.data.tags["edgeward.status"] == "deployed"
    folder = Path(kept.info.artifact_uri.removeprefix("file://"))
    assert json.loads((folder / "run.json").read_text())["status"] == "deployed"
