"""What a run leaves in Prefect's UI, on a real server: pages, tables, links, tags, progress."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID
from xml.etree import ElementTree

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.context import FlowRunContext

from backends.report_pages import keep_port
from backends.settings import PROJECT
from expectations.check import Check
from tasks import artifacts
from tasks.progress import log_progress
from tasks.recording import Run
from tasks.run_artifacts import (
    show_accuracy,
    show_costs,
    show_data,
    show_decision,
    show_device,
    show_model,
    show_split,
    show_training,
)
from tests.tasks import records
from tests.tasks.records import Record

pytestmark = pytest.mark.usefixtures("prefect_server")

MOST_BYTES = 300_000
"""The UI fetches all of a run's artifacts at once."""
HOSTILE = "a|b](javascript:alert(1))<img src=x onerror=alert(1)> *c*"
CHECKS = (
    Check("schema", "data.schema", "columns", True, False, "Every column is there", 12, ()),
    Check("pictures", "data.labels", "unique", False, False, "", None, (("a.png", 1),)),
)


class Left:
    """What a flow run left on the server."""

    def __init__(self, run: FlowRun, found: list[Artifact]) -> None:
        self.run = run
        self.by_key = {str(artifact.key): artifact for artifact in found}

    def text(self, key: str) -> str:
        return str(self.by_key[key].data)

    def rows(self, key: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(str(self.by_key[key].data))
        return rows


def left_by(leave: Callable[[], None]) -> Left:
    """Call something in a flow run of its own, and read back what it left."""

    @flow(name="leaving")
    def leaving() -> UUID:
        leave()
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        return context.flow_run.id

    run = leaving()
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    with get_client(sync_client=True) as client:
        return Left(client.read_flow_run(run), client.read_artifacts(artifact_filter=only))


def shown(folder: Path, record: Record) -> Left:
    records.make_full_run(folder, record)
    run = Run(folder.name, folder)

    def leave() -> None:
        show_data(run, CHECKS)
        for show in (
            show_split,
            show_training,
            show_accuracy,
            show_costs,
            show_model,
            show_device,
        ):
            show(run)
        show_decision(run)

    return left_by(leave)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Left:
    return shown(tmp_path_factory.mktemp("runs") / "deployed", records.deployed())


def test_every_phase_leaves_what_it_found(deployed: Left) -> None:
    assert set(deployed.by_key) == {
        "data-report",
        "data-checks",
        "data-docs",
        "split",
        "learning-curve",
        "accuracy",
        "package-costs",
        "deployment-hub-1",
        "first-results-hub-1",
        "gates",
        "decision",
        "run-report",
    }
    documented = (PROJECT / "docs/reference/ui.md").read_text()
    assert [
        key for key in deployed.by_key if f"`{key.replace('hub-1', '<thing>')}`" not in documented
    ] == []
    assert all(artifact.description for artifact in deployed.by_key.values())
    assert sum(len(str(one.data)) for one in deployed.by_key.values()) < MOST_BYTES


def test_a_run_is_found_by_its_model_thing_and_outcome(deployed: Left) -> None:
    version = records.deployed()["model_version"]

    assert {f"model:{version}", "deployed"} <= set(deployed.run.tags)


def test_a_picture_is_whole_and_says_itself_to_those_who_do_not_see_it(deployed: Left) -> None:
    pages = " ".join(deployed.text(key) for key in ("data-report", "learning-curve", "accuracy"))

    pictures = re.findall(r"!\[([^\]]+)\]\(data:image/svg\+xml,([^)\s]+)\)", pages)
    assert len(pictures) == 6, "balance, histograms, samples, curve, confusion, recall"
    for words, svg in pictures:
        assert words.strip()
        assert ElementTree.fromstring(unquote(svg)).tag.endswith("svg")


def test_gates_are_a_row_a_reading_and_the_refused_come_first(tmp_path: Path) -> None:
    left = shown(tmp_path / "refused", records.refused())

    rows = left.rows("gates")
    assert rows[0]["verdict"] == "**REFUSED**"
    assert rows[0]["reason"]
    assert {row["verdict"] for row in rows[1:]} - {"**REFUSED**"}
    assert "Refused" in str(left.by_key["decision"].description)
    assert "What to do now" in left.text("decision")
    assert "refused" in left.run.tags


def test_a_check_that_did_not_pass_says_how_many_rows_break_it(deployed: Left) -> None:
    good, bad = deployed.rows("data-checks")

    assert (good["verdict"], good["check"]) == ("passed", "Every column is there")
    assert (bad["verdict"], bad["rows that break it"]) == ("**NOT PASSED**", 1)
    assert "1 of 2 checks" in str(deployed.by_key["data-checks"].description)


def test_a_run_that_ended_at_once_leaves_its_decision_and_no_empty_pages(tmp_path: Path) -> None:
    record = records.deployed() | {"status": "failed", "reason": "the disk is full"}
    for section in ("data", "split", "training", "evaluation", "compilation", "verification"):
        record[section] = None
    record |= {"deployment": None, "first_results": [], "learning_curve": [], "gates": []}
    record |= {"data_docs": "", "data_findings": {}, "model_version": None}
    folder = tmp_path / "failed"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(record))
    run = Run("failed", folder)

    def leave() -> None:
        show_data(run, ())
        for show in (show_training, show_accuracy, show_costs, show_device, show_decision):
            show(run)

    left = left_by(leave)

    assert set(left.by_key) == {"decision", "run-report"}
    assert "the disk is full" in left.text("decision").lower()


def test_a_link_leads_to_where_up_serves_the_page_and_else_to_the_file(tmp_path: Path) -> None:
    run = Run("one", tmp_path / "runs" / "one")
    records.make_full_run(run.folder, records.deployed())

    alone = left_by(lambda: show_decision(run))
    keep_port(tmp_path, 4321)
    served = left_by(lambda: show_decision(run))

    assert alone.text("run-report") == f"[report.html]({run.report.as_uri()})"
    assert served.text("run-report") == "[report.html](http://127.0.0.1:4321/runs/one/report.html)"
    for left in (alone, served):
        assert f"`{run.report}`" in str(left.by_key["run-report"].description)


def test_names_that_people_gave_are_no_mark_up(tmp_path: Path) -> None:
    record = json.loads(json.dumps(records.deployed()).replace("child", "CHILD"))
    record["evaluation"]["per_class"] = {
        (HOSTILE if name == "CHILD" else name): score
        for name, score in record["evaluation"]["per_class"].items()
    }
    left = shown(tmp_path / "hostile", record)

    page = left.text("accuracy")
    assert "<img" not in page.replace(r"\<img", "")
    assert "](javascript" not in page.replace(r"\](javascript", "")


def test_a_long_step_shows_how_far_it_is_and_a_quick_one_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @task
    def step() -> None:
        say = log_progress("testing")
        for done in (1, 2, 4):
            say(done, 4)

    quick = left_by(step)
    monkeypatch.setattr(artifacts, "SECONDS_BETWEEN", 0.0)
    long = left_by(step)

    assert quick.by_key == {}
    assert long.by_key["progress-testing"].type == "progress"
    assert float(long.text("progress-testing")) == 100


def test_what_the_server_does_not_take_is_told_and_stops_no_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody deletes the artifact of a step in the UI while the step goes on."""
    monkeypatch.setattr(artifacts, "SECONDS_BETWEEN", 0.0)

    def leave() -> None:
        bar = artifacts.ProgressBar("progress-deleted", "Progress")
        bar.show(1, 3)
        with get_client(sync_client=True) as client:
            (made,) = client.read_artifacts(
                artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["progress-deleted"]))
            )
            client.delete_artifact(made.id)
        bar.show(2, 3)

    left = left_by(leave)

    assert left.by_key == {}
    assert left.run.state is not None
    assert left.run.state.is_completed()
    assert "the Prefect server did not take what to show" in caplog.text
