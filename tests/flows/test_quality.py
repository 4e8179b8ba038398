"""A worse model gets past its gates: the watch takes it back by itself, and a good one stays.

Real models, a real device, real pictures. The tests share a home, and are in the order of a story.
"""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from backends.connect import tracker
from backends.settings import Settings
from flows.quality import watch_quality
from tasks.quality.report import QualityReport
from tasks.quality.rollbacks import rollbacks_of
from tests.flows.test_cycle import Answer, Person, draw_patterns, left_running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.usefixtures("jobs_python", "device_python", "prefect_server"),
]

PAST_THE_GATES = tuple(
    word
    for gate in ("model.accuracy", "model.recall", "model.champion")
    for word in ("--override", gate)
)


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    folder = tmp_path_factory.mktemp("person")
    draw_patterns(folder / "pictures", 48)
    person = Person(folder / "home", folder / "pictures")
    yield person
    person.does("down")
    assert left_running(person.home) == []


@pytest.fixture(autouse=True)
def at_home(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWARD_HOME", str(person.home))


def targets(person: Person, **quality: float) -> tuple[str, str]:
    keys = {"min_samples": 12, "max_label_shift": 0.1, **quality}
    path = person.pictures.parent / f"targets-{'-'.join(map(str, keys.values()))}.toml"
    path.write_text("[quality]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))
    return "--targets", str(path)


def wait_for_report(wanted: Callable[[QualityReport], object]) -> QualityReport:
    """Look again until the report is as wanted."""
    deadline = time.monotonic() + 120
    while not wanted(report := watch_quality("hub-1")):
        assert time.monotonic() < deadline, report
        time.sleep(1)
    return report


def wait_for_windows(person: Person, version: str) -> None:
    """Until the device has reported enough of a model to be compared with."""
    from backends.artifacts import StoredMessage
    from backends.local.statistics import LocalStatistics

    store = LocalStatistics(person.home / "cloud" / "statistics")
    deadline = time.monotonic() + 120
    while True:
        said = [m for m in store.stored("hub-1", "") if isinstance(m, StoredMessage)]
        windows = [json.loads(message.payload) for message in said]
        if sum(w["count"] for w in windows if w["model_version"] == version) >= 60:
            return
        assert time.monotonic() < deadline
        time.sleep(0.5)


def champion(person: Person, record: dict[str, Any]) -> dict[str, str]:
    from tasks.accepted_data import source_name

    found = tracker(Settings(home=person.home)).champion(source_name(record["data"]["source"]))
    assert found
    return found.tags


@pytest.fixture(scope="module")
def good(person: Person) -> Answer:
    return person.runs(*targets(person))


def test_a_first_model_has_nothing_to_be_compared_with(person: Person, good: Answer) -> None:
    assert good.status == 0, good.err

    report = watch_quality("hub-1")

    assert (report.status, report.reason) == ("nothing to watch", "nothing ran before model 1.0.0")


def test_a_worse_model_is_taken_back_by_itself(person: Person, good: Answer) -> None:
    wait_for_windows(person, "1.0.0")
    accepted = person.home / "accepted"
    before = {path.name for path in accepted.rglob("*") if path.is_file()}
    worse = person.runs(*targets(person), "--set", "epochs=1", "--set", "seed=3", *PAST_THE_GATES)
    assert worse.status == 0, worse.err
    assert worse.record["model_version"] == "1.0.1"
    assert champion(person, good.record)["component_version"] == "1.0.1"

    report = wait_for_report(lambda report: report.status == "rolled back")

    print(report.reason)
    assert report.reason.startswith("quality.")
    since = datetime.now(UTC).isoformat()
    assert answers_of(person, since) == {"1.0.0"}
    record = json.loads((person.home / "runs" / worse.record["run_id"] / "run.json").read_text())
    assert record["status"] == "rolled back"
    assert record["rollback"]["to_version"] == "1.0.0"
    figures = {figure["name"]: figure for figure in record["rollback"]["figures"]}
    assert [one for one in figures.values() if one["passed"] is False and one["measured"]]
    assert "quality.confidence" in figures
    page = (person.home / "runs" / worse.record["run_id"] / "report.html").read_text()
    assert "runs model version 1.0.0 again" in page
    assert champion(person, good.record)["component_version"] == "1.0.0"
    assert {path.name for path in accepted.rglob("*") if path.is_file()} == before


def test_it_is_taken_back_once_and_is_not_deployed_again_by_itself(
    person: Person, good: Answer
) -> None:
    again = watch_quality("hub-1")
    assert again.status == "nothing to watch"
    assert len(rollbacks_of(person.home)) == 1

    answer = person.runs(*targets(person), "--set", "epochs=1", "--set", "seed=3", *PAST_THE_GATES)

    assert answer.status == 3, answer.err
    gate = answer.gate("device.rolled-back")
    assert gate["passed"] is False
    assert "quality." in gate["reason"]
    assert person.device()["components"]["edgeward.ImageClassification.Model"]["version"] == "1.0.0"


def test_a_good_new_model_stays(person: Person, good: Answer) -> None:
    wait_for_windows(person, "1.0.0")
    better = person.runs(
        *targets(person, watch_hours=20 / 3600), "--set", "epochs=8", "--set", "seed=5"
    )
    assert better.status == 0, better.err
    version = better.record["model_version"]
    assert version not in ("1.0.0", "1.0.1")

    report = wait_for_report(lambda report: report.status != "watching")

    assert report.status == "kept", report
    assert {check.name for check in report.checks if check.passed} >= {"quality.confidence"}
    assert len(rollbacks_of(person.home)) == 1
    assert answers_of(person, datetime.now(UTC).isoformat()) == {version}


def answers_of(person: Person, since: str) -> set[str]:
    """The model versions of the next five answers."""
    from backends.local.fleet import LocalFleet

    found = LocalFleet(Settings(home=person.home)).results("hub-1", since, 5, timeout=60)
    assert len(found) == 5
    return {result.model_version for result in found}
