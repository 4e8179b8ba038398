"""Runs, metrics and the champion in a real MLflow store (sqlite)."""

from pathlib import Path

import pytest

from backends.errors import BackendUnavailableError
from backends.tracking import MlflowTracker


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> MlflowTracker:
    return MlflowTracker(tmp_path_factory.mktemp("mlflow"))


def test_the_champion_is_the_version_that_was_promoted(
    tracker: MlflowTracker, tmp_path: Path
) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(b"weights 1")
    tracked = tracker.start("driveway", "run-1", {"epochs": "3"})
    tracker.log(tracked, {"recall/child (small)": 0.5}, step=1)

    first = tracker.register("driveway", tracked, archive, {"classes": "[]"})
    before = tracker.champion("driveway")
    tracker.promote("driveway", first, {"component": "1.0.0"})
    archive.write_bytes(b"weights 2")
    tracker.register("driveway", tracker.start("driveway", "run-2", {}), archive, {})
    tracker.end(tracked, "deployed", [archive])

    champion = tracker.champion("driveway")
    assert before is None, "a candidate is not a champion"
    assert champion is not None
    assert champion.version == first
    assert champion.archive.read_bytes() == b"weights 1"
    assert champion.tags == {"classes": "[]", "component": "1.0.0"}


def test_an_unknown_model_has_no_champion(tracker: MlflowTracker) -> None:
    assert tracker.champion("nobody") is None


def test_a_store_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, " * 100)

    with pytest.raises(BackendUnavailableError, match="MLflow is unavailable"):
        MlflowTracker(tmp_path).start("driveway", "run", {})
