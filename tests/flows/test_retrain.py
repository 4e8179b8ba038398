"""Retraining by its command line, for real: what people labelled changes what the device runs.

The tests share one home, and are in the order in which they tell a story: the light changes, and
what was red is green.
"""

import csv
import hashlib
import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from backends.sources.origins import origin_of
from tasks.accepted_data import source_name
from tasks.labelling.batches import Example, Why, make_batch
from tests.flows.test_cycle import (
    CLASSES,
    Answer,
    Person,
    draw_patterns,
    epochs_trained,
    left_running,
    wait_for,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.usefixtures("jobs_python", "device_python"),
]

TARGETS = """
[accuracy]
min_top1 = 0.4
[device]
max_latency_p95_ms = 10000
[retraining]
cool_down_hours = 0
min_new_labels = 40
max_tries_per_week = 20
"""


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody whose device runs a model."""
    folder = tmp_path_factory.mktemp("retraining")
    draw_patterns(folder / "pictures", 48)
    (folder / "targets.toml").write_text(TARGETS)
    person = Person(folder / "home", folder / "pictures")
    first = person.runs("--targets", str(folder / "targets.toml"))
    assert first.record["status"] == "deployed", first.err
    yield person
    person.does("down")
    assert left_running(person.home) == []


def labelled(person: Person, each: int, turned: int, seed: int) -> Answer:
    """A batch of so many pictures of each class, labelled by a person."""
    folder = person.home.parent / f"seen-{seed}"
    draw_patterns(folder, each, turned, seed)
    examples, rows = [], []
    for path in sorted(folder.glob("*/*")):
        image_id = hashlib.sha256(path.read_bytes()).hexdigest()
        examples.append(Example(image_id, path, "hub-1", "dots", 0.4, "1.0.0", ""))
        rows.append((image_id, path.parent.name))
    why = Why("hub-1", source_name(f"folder:{person.pictures}"), "the light has changed")
    batch = make_batch(person.home, why, CLASSES, examples, datetime.now(UTC))
    assert batch
    table = folder / "labels.csv"
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows([("image_id", "label"), *rows])
    answer = person.does("label", "--batch", batch.id, "--set", str(table), "--finish")
    assert answer.status == 0, answer.err
    return answer


def decisions(person: Person) -> list[dict[str, Any]]:
    answer = person.does("retrain", "--why", "--json")
    found: list[dict[str, Any]] = json.loads(answer.out)
    return found


def test_too_few_labels_are_no_reason_to_train_and_that_is_told(person: Person) -> None:
    labelled(person, each=10, turned=1, seed=11)

    answers = [person.does("retrain") for _ in range(2)]

    assert [answer.status for answer in answers] == [0, 0], answers[0].err
    assert "30 newly labelled pictures, and 40 are needed" in answers[0].out
    (decision,) = decisions(person)
    assert (decision["retrain"], decision["cause"]) == (False, "person")
    assert len(list(person.home.glob("runs/*"))) == 1


def test_a_retraining_that_is_killed_goes_on_and_counts_once(person: Person) -> None:
    labelled(person, each=22, turned=1, seed=12)
    process = person.start("retrain", "--json")
    wait_for(lambda: epochs_trained(person.home) >= 2, seconds=600)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)

    answer = person.does("retrain", "--json")

    assert answer.record["status"] == "deployed", answer.err
    assert "epoch 1 of 10" not in answer.err, "it goes on where it was"
    (yes,) = [one for one in decisions(person) if one["retrain"]]
    assert yes["run_id"] == answer.record["run_id"]
    assert answer.record["model_version"] == "1.0.1"
    assert answer.gate("model.champion")["passed"] is True
    assert answer.gate("model.champion-new")["passed"] is True, answer.gate("model.champion-new")
    hyperparameters = answer.record["training"]["hyperparameters"]
    assert (hyperparameters["epochs"], hyperparameters["use_pretrained_model"]) == ("10", "1")


def test_the_data_gates_say_what_is_new_by_intention(person: Person) -> None:
    (yes,) = [one for one in decisions(person) if one["retrain"]]
    record = json.loads((person.home / "runs" / yes["run_id"] / "run.json").read_text())

    gates = {gate["name"]: gate for gate in record["gates"]}

    assert gates["data.drift"]["passed"] is True
    assert "96 pictures of 2 collected batches are new" in gates["data.drift"]["reason"]
    assert record["data_findings"]["collected"]["images"] == 96


def test_old_test_pictures_are_test_pictures_still(person: Person) -> None:
    import pandas as pd

    first, second = (
        pd.read_parquet(path).set_index("image_id")
        for path in sorted(person.home.glob("runs/*/split.parquet"))
    )

    tested = set(first.index[first["part"] == "test"])
    assert tested <= set(second.index[second["part"] == "test"])
    fresh = second[second["path"].map(origin_of) != "source"]
    assert set(fresh["part"]) == {"train", "validation", "test"}


def test_without_new_labels_nothing_is_trained_again(person: Person) -> None:
    answer = person.does("retrain")

    assert answer.status == 0, answer.err
    assert "0 newly labelled pictures" in answer.out


def test_where_retraining_does_not_help_the_loop_stops_itself(person: Person) -> None:
    """People label what the model knows already: a candidate cannot be better on that."""
    running = person.device()["components"]
    for seed in (21, 22):
        labelled(person, each=14, turned=0, seed=seed)
        refused = person.does("retrain", "--json")
        assert (refused.status, refused.record["status"]) == (3, "refused"), refused.err
        assert "model.champion" in refused.record["reason"]
    labelled(person, each=14, turned=0, seed=23)

    stopped = person.does("retrain")

    assert stopped.status == 0, stopped.err
    assert "a person is needed" in stopped.out
    assert person.device()["components"] == running
    forced = person.does("retrain", "--force", "it must be seen to fail", "--json")
    assert forced.record["status"] == "refused", forced.err
    assert decisions(person)[-1]["forced"] == "it must be seen to fail"
