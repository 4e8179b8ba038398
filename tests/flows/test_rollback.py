"""A rollback happens once and wholly, whatever it is interrupted by; by hand as well as by itself.

The device is one that obeys; tests/flows/test_quality.py does it with a real one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.artifacts import PastDeployment
from backends.tracking import MlflowTracker
from edge.contract import MODEL_COMPONENT
from flows.quality import carry_out
from tasks.handover import hand_over
from tasks.quality.former import keep_former
from tasks.quality.rollbacks import STEPS, Rollback, decide, rollbacks_of
from tasks.recording import Run, read_record
from tests.architecture.effects.runs import ObedientFleet, without_a_flow
from tests.tasks.records import deployed

OLD, NEW = "1.0.0", "1.0.1"
BEGAN = datetime.now(UTC) - timedelta(hours=1)


class KilledError(BaseException):
    """What the end of a process looks like from inside."""


@dataclass
class RestorableFleet(ObedientFleet):
    """Remembers what was deployed, and gives it back."""

    past: list[PastDeployment] = field(default_factory=list)
    rolled_back: int = 0

    def deployed(self, thing: str) -> tuple[Mapping[str, str], Mapping[str, Mapping[str, object]]]:
        return self.past[0].components, self.past[0].merge

    def history(self, thing: str) -> Sequence[PastDeployment]:
        return tuple(self.past)

    def roll_back(self, thing: str, before: str) -> None:
        former = next(one for one in self.past if one.at < before)
        now = datetime.now(UTC).isoformat()
        self.past.insert(0, PastDeployment(now, former.components, former.merge))
        self.rolled_back += 1


class Mortal:
    """Does what the thing within does, and is killed after its call number `at`."""

    def __init__(self, within: Any, at: int) -> None:
        self._within, self._left = within, at

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._within, name)

        def call(*arguments: Any, **options: Any) -> Any:
            answer = method(*arguments, **options)
            self._left -= 1
            if self._left == 0:
                raise KilledError
            return answer

        return call


@dataclass
class Story:
    """A home in which run-2 has put its model and data in the place of run-1's."""

    home: Path
    run: Run
    tracker: MlflowTracker
    fleet: RestorableFleet
    rollback: Rollback

    @property
    def accepted(self) -> Path:
        return self.home / "accepted" / "driveway"

    def fingerprint(self) -> str:
        return str(json.loads((self.accepted / "summary.json").read_text())["fingerprint"])


@pytest.fixture
def story(home: Path, prefect_server: None) -> Iterator[Story]:
    tracker = MlflowTracker(home / "mlflow")
    run = Run("run-2", home / "runs" / "run-2")
    run.folder.mkdir(parents=True)
    versions = []
    for number in (1, 2):
        tracked = tracker.start("driveway", f"run-{number}", {})
        archive = home / f"model-{number}.tar.gz"
        archive.write_bytes(bytes([number]))
        versions.append(tracker.register("driveway", tracked, archive, {"sha256": str(number)}))
    tracker.promote("driveway", versions[0], {"component_version": OLD})
    accepted = home / "accepted" / "driveway"
    accept(accepted, "before")
    record = {
        **deployed(),
        "run_id": run.id,
        "model_version": NEW,
        "tracked": tracked,
        "data": {**deployed()["data"], "source": "driveway", "fingerprint": "after"},
    }
    run.record.write_text(json.dumps(record))
    hand_over(run, version=versions[1])
    with without_a_flow():
        keep_former(tracker, "driveway", versions[1], accepted, run)
        accept(accepted, "after")
        tracker.promote("driveway", versions[1], {"component_version": NEW})
        past = [
            PastDeployment((BEGAN + timedelta(seconds=1)).isoformat(), {MODEL_COMPONENT: NEW}, {}),
            PastDeployment((BEGAN - timedelta(hours=1)).isoformat(), {MODEL_COMPONENT: OLD}, {}),
        ]
        rollback = decide(
            home, "hub-1", run.id, (NEW, OLD), BEGAN.isoformat(), "less sure", "edgeward"
        )
        yield Story(home, run, tracker, RestorableFleet({}, past=past), rollback)


def accept(folder: Path, fingerprint: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("*.parquet"):
        earlier.unlink()
    (folder / f"manifest-{fingerprint}.parquet").write_text(fingerprint)
    record = {"fingerprint": fingerprint, "manifest": f"manifest-{fingerprint}.parquet"}
    (folder / "summary.json").write_text(json.dumps(record))


def champion(story: Story) -> str:
    found = story.tracker.champion("driveway")
    assert found
    return found.tags["component_version"]


def is_whole(story: Story) -> None:
    (rollback,) = rollbacks_of(story.home)
    assert rollback.done == STEPS
    assert story.fleet.rolled_back == 1
    assert story.fleet.past[0].components == {MODEL_COMPONENT: OLD}
    assert champion(story) == OLD
    assert story.fingerprint() == "before"
    assert [path.name for path in story.accepted.glob("*.parquet")] == ["manifest-before.parquet"]
    record = read_record(story.run)
    assert (record["status"], record["reason"]) == ("rolled back", "less sure")
    assert record["rollback"]["to_version"] == OLD


def test_the_device_the_registry_the_data_and_the_record_go_back_together(story: Story) -> None:
    carry_out(story.home, story.rollback, story.fleet, story.tracker)

    is_whole(story)
    page = story.run.report.read_text()
    assert "hub-1 runs model version 1.0.0 again" in page
    assert "Edgeward by itself" in page


@pytest.mark.parametrize("at", range(1, 3))
def test_killed_after_it_spoke_to_the_devices_it_rolls_back_once(story: Story, at: int) -> None:
    with pytest.raises(KilledError):
        carry_out(story.home, story.rollback, Mortal(story.fleet, at), story.tracker)

    (unfinished,) = rollbacks_of(story.home)
    carry_out(story.home, unfinished, story.fleet, story.tracker)

    is_whole(story)


@pytest.mark.parametrize("at", range(1, 5))
def test_killed_after_it_spoke_to_the_registry_it_forgets_nothing(story: Story, at: int) -> None:
    with pytest.raises(KilledError):
        carry_out(story.home, story.rollback, story.fleet, Mortal(story.tracker, at))

    (unfinished,) = rollbacks_of(story.home)
    assert "deployed" in unfinished.done
    carry_out(story.home, unfinished, story.fleet, story.tracker)

    is_whole(story)


def test_what_is_done_again_changes_nothing(story: Story) -> None:
    done = carry_out(story.home, story.rollback, story.fleet, story.tracker)
    before = story.run.record.read_bytes()

    carry_out(story.home, done, story.fleet, story.tracker)

    assert story.run.record.read_bytes() == before
    is_whole(story)


def test_what_others_have_put_in_its_place_meanwhile_stays(story: Story) -> None:
    tracked = story.tracker.start("driveway", "run-3", {})
    archive = story.home / "model-3.tar.gz"
    archive.write_bytes(b"3")
    newer = story.tracker.register("driveway", tracked, archive, {})
    story.tracker.promote("driveway", newer, {"component_version": "1.0.2"})
    accept(story.accepted, "newer")

    carry_out(story.home, story.rollback, story.fleet, story.tracker)

    assert champion(story) == "1.0.2"
    assert story.fingerprint() == "newer"


def test_a_run_that_is_gone_on_with_keeps_what_was_there_before_it(story: Story) -> None:
    """`edgeward resume` concludes a second time: by then the champion is its own."""
    found = story.tracker.champion("driveway")
    assert found

    keep_former(story.tracker, "driveway", found.version, story.accepted, story.run)
    carry_out(story.home, story.rollback, story.fleet, story.tracker)

    is_whole(story)
