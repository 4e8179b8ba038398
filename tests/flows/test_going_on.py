"""Runs that end before the end, and go on: approved, refused, or mended, by the command line alone.

No server is up here: each command has its own for as long as it lasts.
"""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.settings import PROJECT
from tests.flows.test_cycle import LONE, QUICK, Answer, Person, draw_patterns, left_running
from tests.flows.test_operating import attempts

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("jobs_python", "device_python")]

ANSWERS = ("y", "Ada", "seen at the front door")


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    folder = tmp_path_factory.mktemp("approver")
    draw_patterns(folder / "pictures", 48)
    (folder / "careful.toml").write_text("[release]\napproval = true\n")
    (folder / "ghost.toml").write_text("[accuracy]\nmin_recall = { ghost = 1 }\n")
    person = Person(folder / "home", folder / "pictures")
    yield person
    person.does("down")
    assert left_running(person.home) == []


@pytest.fixture(scope="module")
def waiting(person: Person) -> Answer:
    """A run that nobody can be asked about: its standard input is no terminal."""
    return person.runs("--targets", targets(person, "careful"))


def test_where_nobody_can_be_asked_the_run_waits_and_tells_the_way_on(
    person: Person, waiting: Answer
) -> None:
    record = waiting.record

    assert (waiting.status, record["status"]) == (0, "waiting"), waiting.err
    assert record["deployment"] is None
    assert f"edgeward approve {record['run_id']} --by" in waiting.err
    assert person.does("device", "status", "hub-1").status == 2, "there is no device yet"


def test_an_approved_run_goes_on_with_what_it_has(person: Person, waiting: Answer) -> None:
    run = waiting.record["run_id"]
    before = attempts(person.home)

    answer = approve(person, run, "Ada", "seen at the front door")

    record = answer.record
    assert (answer.status, record["status"]) == (0, "deployed"), answer.err
    assert (record["run_id"], record["model_version"]) == (run, "1.0.0")
    assert record["approval"]["approver"] == "Ada"
    assert record["approval"]["reason"] == "seen at the front door"
    assert answer.gate("release.approval")["measured"] == "Ada"
    assert attempts(person.home) == before
    page = (person.home / "runs" / run / "report.html").read_text()
    assert "Ada approves: seen at the front door" in page

    again = approve(person, run, "Ada", "once more")
    assert again.status == 2
    assert "it waits for nobody: it is deployed" in again.err


def test_a_refused_release_deploys_nothing(person: Person, waiting: Answer) -> None:
    run = person.runs("--targets", targets(person, "careful")).record["run_id"]
    before = person.device()["last_deployment"]

    answer = approve(person, run, "Ada", "not before the weekend", "--refuse")

    assert (answer.status, answer.record["status"]) == (3, "refused"), answer.err
    assert answer.record["reason"] == "release.approval: Ada refuses: not before the weekend"
    assert person.device()["last_deployment"] == before


def test_a_terminal_is_asked(person: Person, waiting: Answer) -> None:
    data = f"folder:{person.pictures}"
    arguments = ("run", "--data", data, "--json", *QUICK, "--targets", targets(person, "careful"))

    status, record, shown = at_a_terminal(person, arguments, ANSWERS)

    assert status == 0, shown
    assert "Deploy model 1.0.0 to hub-1?" in shown
    assert record["status"] == "deployed"
    assert record["approval"]["approver"] == "Ada"


def test_a_refused_run_goes_on_past_an_overridden_gate_without_doing_a_job_again(
    person: Person, waiting: Answer
) -> None:
    refused = person.runs("--targets", targets(person, "ghost"))
    assert refused.record["status"] == "refused"
    before = attempts(person.home)

    once = person.does("resume", refused.record["run_id"], "--json")
    answer = person.does("resume", refused.record["run_id"], "--override", "model.recall", "--json")

    assert once.record["status"] == "refused", "the same gate says the same again"
    assert answer.record["status"] == "deployed", answer.err
    assert answer.gate("model.recall")["overridden"] is True
    names = [gate["name"] for gate in answer.record["gates"]]
    assert len(names) == len(set(names)), "each gate stands there once"
    assert attempts(person.home) == before


def test_a_run_that_does_not_exist_is_named(person: Person) -> None:
    answer = person.does("resume", "20200101-000000-0000")

    assert answer.status == 2
    assert "run 20200101-000000-0000: there is no such run" in answer.err


def targets(person: Person, name: str) -> str:
    return str(person.pictures.parent / f"{name}.toml")


def approve(person: Person, run: str, by: str, reason: str, *more: str) -> Answer:
    return person.does("approve", run, "--by", by, "--reason", reason, "--json", *more)


def at_a_terminal(
    person: Person, arguments: tuple[str, ...], answers: tuple[str, ...]
) -> tuple[int, dict[str, Any], str]:
    """Exit status, record and what stood on the terminal; `answers` are typed ahead."""
    ours, theirs = pty.openpty()
    out = person.home.parent / "out.json"
    with out.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows", *arguments],
            cwd=PROJECT,
            env=os.environ | LONE | {"EDGEWARD_HOME": str(person.home)},
            stdin=theirs,
            stdout=stream,
            stderr=theirs,
            start_new_session=True,
        )
    os.close(theirs)
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    shown = b""
    try:
        while chunk := os.read(ours, 1 << 16):
            shown += chunk
    except OSError:  # how Linux says that the other end was closed
        pass
    finally:
        os.close(ours)
    status = process.wait(timeout=120)
    return status, Answer(status, Path(out).read_text(), "").record, shown.decode()
