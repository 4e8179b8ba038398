"""What an operator does all day: one real Prefect server, one real worker, a device and a sink.

The tests share what `edgeward up` started, and are in the order in which they tell a story.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from backends.settings import PROJECT
from tests.browser import PROGRAM, Page, browser
from tests.flows.test_cycle import (
    Answer,
    Person,
    draw_patterns,
    epochs_trained,
    jobs_running,
    left_running,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.usefixtures("jobs_python", "device_python"),
]

TRAINING = {"epochs": 10, "image_shape": "3,16,16", "mini_batch_size": 8}
PICTURES = 20  # of each class: so few that nobody starts processes to read them
DEVICE = {"known_pictures": 6, "statistics_interval": 2}
DEPLOYMENTS = [
    "collect/on-drift",
    "cycle/manual",
    "evaluate/manual",
    "keep-telemetry/nightly",
    "notify/on-event",
    "package/manual",
    "prepare/manual",
    "reconsider/hourly",
    "release/manual",
    "resume/manual",
    "retrain/on-drift",
    "rollback/manual",
    "train/manual",
    "understand/manual",
    "understand/nightly",
    "watch/scheduled",
]
PHASES = {
    "prepare": "split",
    "train": "learning-curve",
    "evaluate": "accuracy",
    "package": "package-costs",
}
"""What goes on after `understand`, up to the release, and a page that each leaves."""
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
QUARTERS = {"00:00", "15:00", "30:00", "45:00"}
SAID = "(/View run|Something went wrong/.exec(document.body.innerText) || [''])[0]"
MENU = """
(() => {
  const menu = document.querySelector(".flow-run-menu button");
  if (menu) menu.click();
  return !!menu;
})()
"""
STATE = """
[...document.querySelectorAll(".state-badge")].some(one => one.innerText.trim() === "{state}")
"""


@dataclass
class Sink:
    """A web server that people's messages go to."""

    url: str = ""
    heard: list[dict[str, Any]] = field(default_factory=list)

    def subjects(self) -> list[str]:
        return [message["subject"] for message in self.heard]


@dataclass(frozen=True)
class Prefect:
    """The server as its UI uses it: over HTTP."""

    url: str

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Its answer; 503 is how it asks a client to come again."""
        deadline = time.monotonic() + 60
        while True:
            answer = httpx.request(method, f"{self.url}/{path}", json=body, timeout=30)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
            assert time.monotonic() < deadline, "it stays unavailable"
            time.sleep(0.2)

    def post(self, path: str, body: Any = None, **given: Any) -> Any:
        answer = self.ask("POST", path, given if body is None else body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def get(self, path: str) -> Any:
        return self.ask("GET", path).raise_for_status().json()

    def deployment(self, name: str) -> dict[str, Any]:
        flow, _, deployment = name.partition("/")
        found: dict[str, Any] = self.get(f"deployments/name/{flow}/{deployment}")
        return found

    def start(self, name: str, **plan: Any) -> str:
        """Start a run as the form does; its id."""
        body = {"parameters": {"plan": plan}, "state": {"type": "SCHEDULED"}}
        run = self.post(f"deployments/{self.deployment(name)['id']}/create_flow_run", body)
        return str(run["id"])

    def run(self, flow_run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"flow_runs/{flow_run}")
        return found

    def runs_of(self, name: str) -> list[dict[str, Any]]:
        of = {"deployments": {"id": {"any_": [self.deployment(name)["id"]]}}}
        found: list[dict[str, Any]] = self.post("flow_runs/filter", **of)
        return found

    def artifacts(self, flow_run: str) -> dict[str, str]:
        """The id of each that the run has left, by its key."""
        of = {"artifacts": {"flow_run_id": {"any_": [flow_run]}}}
        return {str(one["key"]): str(one["id"]) for one in self.post("artifacts/filter", **of)}

    def wait(self, flow_run: str, *states: str) -> dict[str, Any]:
        """The run, once it is in one of `states` (by default: has ended)."""
        wanted = states or ENDED
        wait_for(lambda: self.run(flow_run)["state_type"] in (*wanted, *ENDED))
        run = self.run(flow_run)
        assert run["state_type"] in wanted, run["state"]
        return run

    def completes(self, name: str, **plan: Any) -> dict[str, Any]:
        run = self.wait(self.start(name, **plan))
        assert run["state_type"] == "COMPLETED", run["state"]
        return run


@dataclass(frozen=True)
class Workshop:
    """A person who has called `edgeward up`."""

    person: Person
    sink: Sink
    first: Answer
    prefect: Prefect
    environment: Mapping[str, str]

    @property
    def ui(self) -> str:
        return self.prefect.url.removesuffix("/api")

    @property
    def data(self) -> str:
        return f"folder:{self.person.pictures}"

    def plan(self, **more: Any) -> dict[str, Any]:
        return {"data": self.data, "training": TRAINING, "device": DEVICE, **more}

    def records(self) -> list[dict[str, Any]]:
        """Of all runs, oldest first."""
        runs = sorted(self.person.home.glob("runs/*/run.json"))
        return [json.loads(path.read_text()) for path in runs]

    def does(self, *arguments: str, **more: str) -> Answer:
        return self.person.does(*arguments, **{**self.environment, **more})


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    sink = Sink()

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sink.heard.append(json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        sink.url = f"http://127.0.0.1:{server.server_address[1]}/told"
        yield sink
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, sink: Sink) -> Iterator[Workshop]:
    folder = tmp_path_factory.mktemp("operator")
    draw_patterns(folder / "pictures", PICTURES)
    person = Person(folder / "home", folder / "pictures")
    environment = {
        "EDGEWARD_PREFECT__PORT": "0",
        "EDGEWARD_NOTIFY__WEBHOOK": sink.url,
        "EDGEWARD_NOTIFY__SILENCE_MINUTES": "1",
        "EDGEWARD_NOTIFY__GROUP_SECONDS": "1",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    try:
        first = person.does("up", **environment)
        assert first.status == 0, first.err
        url = json.loads((person.home / "prefect/server.json").read_text())["url"]
        yield Workshop(person, sink, first, Prefect(url), environment)
    finally:
        person.does("down")
        assert left_running(person.home) == []


def test_one_command_starts_everything_on_this_machine_only(workshop: Workshop) -> None:
    named = [line.split("  ")[0].strip() for line in workshop.first.err.splitlines()[:6]]
    assert named == ["Prefect UI", "deployments", "worker", "reports", "broker", "device"]
    assert workshop.prefect.url.removesuffix("/api") in workshop.first.err

    addresses = {
        connection.laddr.ip
        for process in left_running(workshop.person.home)
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }

    assert addresses == {"127.0.0.1"}


def test_a_second_time_changes_nothing(workshop: Workshop) -> None:
    before = {process.pid for process in left_running(workshop.person.home)}
    updated = {name: workshop.prefect.deployment(name)["updated"] for name in DEPLOYMENTS}

    again = workshop.does("up")

    assert again.err.count("(as it was)") == 6, again.err
    assert {process.pid for process in left_running(workshop.person.home)} == before
    assert {name: workshop.prefect.deployment(name)["updated"] for name in DEPLOYMENTS} == updated


def test_every_deployment_can_be_read_in_the_ui(workshop: Workshop) -> None:
    found = workshop.prefect.post("deployments/filter")
    flows = {flow["id"]: flow["name"] for flow in workshop.prefect.post("flows/filter")}

    names = sorted(f"{flows[one['flow_id']]}/{one['name']}" for one in found)
    assert names == DEPLOYMENTS
    for one in found:
        assert one["description"]
        assert {"edgeward", "edgeward-notices"} & set(one["tags"])
        assert one["global_concurrency_limit"]["limit"] == 1
        assert one["work_pool_name"] == "edgeward"
        assert one["pull_steps"]
        assert set(one["parameter_openapi_schema"]["properties"]) <= {"plan"}
    cycle = workshop.prefect.deployment("cycle/manual")["parameter_openapi_schema"]
    assert cycle["definitions"]["CyclePlan"]["properties"]["thing"]["description"]


def test_the_worker_takes_a_run_through_each_phase(workshop: Workshop) -> None:
    targets = {"release": {"approval": True}}
    workshop.prefect.completes("understand/manual", **workshop.plan(targets=targets))
    (record,) = workshop.records()
    run = record["run_id"]
    assert (record["status"], record["split"]) == ("open", None)

    early = workshop.prefect.wait(workshop.prefect.start("train/manual", run=run), "FAILED")
    assert "prepare" in early["state"]["message"]

    for phase, leaves in PHASES.items():
        done = workshop.prefect.completes(f"{phase}/manual", run=run)
        assert set(workshop.prefect.artifacts(done["id"])) >= {leaves, "gates", "decision"}

    release = workshop.prefect.start("release/manual", run=run)
    workshop.prefect.wait(release, "PAUSED")
    answer = workshop.does("approve", run, "--by", "Ada", "--reason", "it is the first")
    assert f"run {run} goes on where it was paused" in answer.err
    workshop.prefect.wait(release, "COMPLETED")
    assert "first-results-hub-1" in workshop.prefect.artifacts(release)

    (record,) = workshop.records()
    assert record["status"] == "deployed", record["reason"]
    assert record["approval"]["reason"] == "it is the first"
    assert record["deployment"]["status"] == "SUCCEEDED"
    assert [gate["name"] for gate in record["gates"]] == list(
        dict.fromkeys(gate["name"] for gate in record["gates"])
    )
    assert wait_for(lambda: "train failed" in workshop.sink.subjects())


@pytest.fixture(scope="module")
def page(workshop: Workshop) -> Iterator[Page]:
    """Prefect's UI in a browser."""
    if PROGRAM is None:
        pytest.skip("no Chromium on this machine")
    with browser() as page:
        page.look(1280, 1000)
        yield page


def open_form(workshop: Workshop, page: Page) -> None:
    """From the deployment's page to the form, by its buttons."""
    cycle = workshop.prefect.deployment("cycle/manual")["id"]
    page.open(f"{workshop.ui}/deployments/deployment/{cycle}")
    page.press("Run")
    page.press("Custom run")
    page.wait_for_text("Image Shape")


@pytest.mark.browser
def test_the_form_says_what_is_wrong_and_nothing_runs(workshop: Workshop, page: Page) -> None:
    before = len(workshop.prefect.runs_of("cycle/manual"))
    open_form(workshop, page)
    page.fill("Thing", "two words")

    page.press("Submit")

    page.wait_for_text("Validation failed for field 'plan.thing'")
    page.wait_for_text("'two words' does not match")
    assert len(workshop.prefect.runs_of("cycle/manual")) == before


def submit_form(workshop: Workshop, page: Page, renew: bool) -> str:
    """Fill it in and submit it; what the UI says then."""
    open_form(workshop, page)
    for label, value in (TRAINING | DEVICE).items():
        page.fill(f"{label.replace('_', ' ').title()} (", str(value))
    page.fill("Data (", "folder:/data/pictures")
    if renew:
        page.screenshot(PROJECT / "docs/images/ui-form.png")
    page.fill("Data (", workshop.data)

    page.press("Submit")
    return str(page.wait_for(SAID))


def start_by_the_form(workshop: Workshop, page: Page, renew: bool) -> None:
    """Start a run, and look at it until it is completed."""
    deadline = time.monotonic() + 240
    while submit_form(workshop, page, renew) != "View run":  # a busy server asks for another try
        assert time.monotonic() < deadline, "the server stays busy"
    page.press("View run")
    page.wait_for("location.pathname.startsWith('/runs/flow-run/')")
    page.wait_for(STATE.format(state="Completed"), seconds=240)


def test_a_run_is_started_by_the_form_and_does_no_job_twice(
    workshop: Workshop,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    """A whole cycle over the same data as above: it is at the gates in seconds."""
    before = attempts(workshop.person.home)

    if PROGRAM:
        renew = bool(request.config.getoption("--renew-docs"))
        start_by_the_form(workshop, request.getfixturevalue("page"), renew)
    else:
        workshop.prefect.completes("cycle/manual", **workshop.plan())

    record = workshop.records()[-1]
    assert record["status"] == "deployed"
    assert attempts(workshop.person.home) == before
    stages = ("ingest", "validate", "split", "pack", "train", "evaluate", "compile")
    record_property("seconds", sum(record["stages"][name] for name in stages))


@pytest.mark.browser
@pytest.mark.parametrize(
    ("key", "link", "text"),
    [
        ("run-report", "report.html", "hub-1 now runs model version"),
        ("data-docs", "Data Docs", "Data validation"),
    ],
)
def test_a_link_of_a_run_opens_in_the_browser(
    workshop: Workshop, page: Page, key: str, link: str, text: str
) -> None:
    (run, *_) = workshop.prefect.runs_of("cycle/manual")
    page.open(f"{workshop.ui}/artifacts/artifact/{workshop.prefect.artifacts(run['id'])[key]}")
    page.wait_for(f"[...document.links].some(one => one.innerText.trim() === {json.dumps(link)})")
    page.evaluate("[...document.links].forEach(one => one.removeAttribute('target'))")

    page.press(link)  # in this tab, where we see it

    page.wait_for("!location.href.startsWith(" + json.dumps(workshop.ui) + ")")
    page.wait_for_text(text)
    assert page.evaluate("location.protocol") == "http:"


def test_a_schedule_fires_by_itself_and_a_paused_one_does_not(workshop: Workshop) -> None:
    prefect = workshop.prefect
    watch = prefect.deployment("watch/scheduled")
    (usual,) = watch["schedules"]
    assert (usual["schedule"]["cron"], usual["active"]) == ("*/15 * * * *", True)
    (nightly,) = prefect.deployment("understand/nightly")["schedules"]
    assert nightly["schedule"]["cron"] == "30 2 * * *"
    planned = [run for run in prefect.runs_of("watch/scheduled") if run["auto_scheduled"]]
    assert {run["expected_start_time"][14:19] for run in planned} <= QUARTERS
    assert planned, "`up` is enough for the next looks to be planned"

    often = {"schedule": {"interval": 15}, "active": True}
    prefect.post(f"deployments/{watch['id']}/schedules", [often])
    wait_for(lambda: completed(prefect, "watch/scheduled"))
    prefect.post(f"deployments/{watch['id']}/pause_deployment")

    assert all(run["auto_scheduled"] for run in completed(prefect, "watch/scheduled"))
    (fired, *_) = completed(prefect, "watch/scheduled")
    assert fired["state"]["message"].startswith("hub-1: ")
    wait_for(lambda: not under_way(prefect, "watch/scheduled"))
    assert [r for r in prefect.runs_of("watch/scheduled") if r["state_type"] == "SCHEDULED"] == []


def test_silence_of_the_monitor_is_told(workshop: Workshop) -> None:
    """Its schedule was paused above."""
    assert wait_for(lambda: "Nobody looks at the devices" in workshop.sink.subjects())


def test_a_refused_run_is_told_once_with_its_reason(workshop: Workshop) -> None:
    targets = {"accuracy": {"min_recall": {"ghost": 1}}, "release": {"approval": True}}

    plan = workshop.plan(targets=targets, thing="hub-2")
    flow_run = workshop.prefect.start("cycle/manual", **plan)

    ended = workshop.prefect.wait(flow_run, "FAILED")
    refused = workshop.records()[-1]
    assert refused["status"] == "refused"
    assert ended["state"]["name"] == "Refused"
    assert "ghost has no held-out picture" in ended["state"]["message"]
    wait_for(lambda: f"A gate refused run {refused['run_id']}" in workshop.sink.subjects())
    (message,) = [m for m in workshop.sink.heard if refused["run_id"] in m["subject"]]
    assert "ghost has no held-out picture" in message["body"]
    assert "report.html" in message["body"]


def test_it_goes_on_past_the_gate_and_waits_for_the_form_in_the_ui(workshop: Workshop) -> None:
    refused = workshop.records()[-1]["run_id"]
    plan = {"run": refused, "override": ["model.recall"]}
    flow_run = workshop.prefect.start("resume/manual", **plan)
    workshop.prefect.wait(flow_run, "PAUSED")
    waiting = workshop.records()[-1]
    assert (waiting["run_id"], waiting["status"]) == (refused, "waiting")
    assert waiting["deployment"] is None
    subject = f"Run {refused} waits for approval"
    wait_for(lambda: subject in workshop.sink.subjects())
    assert "cycle failed" not in workshop.sink.subjects(), "the refusal was told, and once"

    given = {"approver": "Ada", "reason": "seen at the front door"}
    workshop.prefect.post(f"flow_runs/{flow_run}/resume", run_input=given)

    workshop.prefect.wait(flow_run, "COMPLETED")
    record = workshop.records()[-1]
    assert record["status"] == "deployed"
    assert record["approval"]["approver"] == "Ada"
    assert record["approval"]["reason"] == "seen at the front door"
    report = (workshop.person.home / "runs" / record["run_id"] / "report.html").read_text()
    assert "Ada approves: seen at the front door" in report


def test_a_cancelled_run_ends_its_jobs(workshop: Workshop, request: pytest.FixtureRequest) -> None:
    """By the button, where there is a browser to press it in."""
    plan = workshop.plan(training={**TRAINING, "epochs": 300, "seed": 9})
    flow_run = workshop.prefect.start("cycle/manual", **plan)
    wait_for(lambda: epochs_trained(workshop.person.home) >= 1)

    if PROGRAM:
        press_cancel(request.getfixturevalue("page"), f"{workshop.ui}/runs/flow-run/{flow_run}")
    else:
        state = {"type": "CANCELLING", "name": "Cancelling"}
        workshop.prefect.post(f"flow_runs/{flow_run}/set_state", state=state)

    workshop.prefect.wait(flow_run, "CANCELLED")
    wait_for(lambda: jobs_running(workshop.person.home) == [])
    record = workshop.records()[-1]
    assert (record["status"], record["reason"]) == ("failed", "interrupted")
    assert record["deployment"] is None


def test_drift_is_told_asks_for_labels_and_for_a_retraining(workshop: Workshop) -> None:
    """The event is as flows/watch.py sends it; that it sends it is tested beside it."""
    drifting = {
        "occurred": datetime.now(UTC).isoformat(),
        "event": "edgeward.drift",
        "resource": {
            "prefect.resource.id": "edgeward.thing.hub-1",
            "prefect.resource.name": "hub-1",
            "edgeward.thing": "hub-1",
        },
        "payload": {"reason": "brightness moved", "checks": ["input.brightness"], "episode": "e-1"},
        "id": "6f1b5a1c-6f5e-4a53-9a37-0d8c3a3e9d11",
    }
    workshop.prefect.post("events", [drifting])

    wait_for(lambda: "hub-1 drifts" in workshop.sink.subjects())
    wait_for(lambda: workshop.prefect.runs_of("retrain/on-drift"))
    (retraining,) = workshop.prefect.runs_of("retrain/on-drift")
    plan = {"thing": "hub-1", "cause": "drift", "episode": "e-1"}
    assert retraining["parameters"]["plan"] == plan
    workshop.prefect.wait(retraining["id"], "COMPLETED")
    decisions = json.loads(workshop.does("retrain", "--why", "--json").out)
    assert [(one["retrain"], one["episode"]) for one in decisions] == [(False, "e-1")]
    assert "0 newly labelled pictures" in decisions[0]["reason"]
    wait_for(lambda: workshop.prefect.runs_of("collect/on-drift"))
    (collecting,) = workshop.prefect.runs_of("collect/on-drift")
    asked = {"thing": "hub-1", "reason": "brightness moved", "episode": "e-1"}
    assert collecting["parameters"]["plan"] == asked
    workshop.prefect.wait(collecting["id"], "COMPLETED")


def test_the_command_line_runs_on_the_same_server(workshop: Workshop) -> None:
    known = {run["id"] for run in workshop.prefect.post("flow_runs/filter")}

    answer = workshop.does("monitor", "--json")

    assert answer.status == 0, answer.err
    fresh = [r for r in workshop.prefect.post("flow_runs/filter") if r["id"] not in known]
    assert [run["state_type"] for run in fresh] == ["COMPLETED"]


def test_down_ends_all_and_up_brings_it_back_as_it_was(workshop: Workshop) -> None:
    down = workshop.does("down")
    assert down.err.split() == [
        *("stopped", "prefect-worker"),
        *("stopped", "reports"),
        *("stopped", "thing-hub-1"),
        *("stopped", "thing-hub-2"),
        *("stopped", "cloud"),
        *("stopped", "prefect-server"),
    ]
    assert left_running(workshop.person.home) == []
    assert workshop.does("down").err == "nothing was running\n"

    again = workshop.does("up")

    assert [line for line in again.err.splitlines() if line.startswith("deployments")] == [
        f"deployments  {server_of(workshop).url.removesuffix('/api')}/deployments  (as it was)"
    ]
    assert server_of(workshop).deployment("watch/scheduled")["paused"] is True, "as it was left"


def test_a_taken_port_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    import socket

    person = Person(tmp_path / "home", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        port = str(theirs.getsockname()[1])
        answer = person.does("up", EDGEWARD_PREFECT__PORT=port)

    assert answer.status == 4
    assert f"port {port} is taken" in answer.err
    assert "EDGEWARD_PREFECT__PORT" in answer.err
    assert left_running(person.home) == []


def press_cancel(page: Page, run: str) -> None:
    page.open(run)
    page.wait_for(STATE.format(state="Running"))
    page.wait_for(MENU)
    page.press("Cancel")  # in the menu
    page.wait_for_text("Cancel Flow Run")
    page.press("Confirm")


def server_of(workshop: Workshop) -> Prefect:
    """The server that is up now."""
    return Prefect(json.loads((workshop.person.home / "prefect/server.json").read_text())["url"])


def attempts(home: Path) -> dict[str, tuple[int, int]]:
    """Each job but the verifications (one belongs to each run), and how far its log has got."""
    logs = [log for log in home.glob("jobs/*/log.txt") if not log.parent.name.startswith("verify")]
    assert {log.parent.name.split("-")[0] for log in logs} >= {"pack", "train", "predict"}
    return {log.parent.name: (log.stat().st_size, log.stat().st_mtime_ns) for log in logs}


def completed(prefect: Prefect, name: str) -> list[dict[str, Any]]:
    return [run for run in prefect.runs_of(name) if run["state_type"] == "COMPLETED"]


def under_way(prefect: Prefect, name: str) -> list[dict[str, Any]]:
    states = ("PENDING", "RUNNING")
    return [run for run in prefect.runs_of(name) if run["state_type"] in states]


def wait_for(condition: Callable[[], Any], seconds: float = 240) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.2)
    return True
