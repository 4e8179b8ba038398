"""What an operator does all day: one real Prefect server, one real worker, a device and a sink.

The tests share what `edgeward up` started, and are in the order in which they tell a story.
"""

import json
import os
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
import yaml

from backends.settings import PROJECT
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

TRAINING = {"epochs": 6, "image_shape": "3,16,16", "mini_batch_size": 8}
DEVICE = {"known_pictures": 6, "statistics_interval": 2}
DEPLOYMENTS = [
    "cycle/manual",
    "evaluate/manual",
    "keep-telemetry/nightly",
    "package/manual",
    "prepare/manual",
    "release/manual",
    "resume/manual",
    "retrain/on-drift",
    "train/manual",
    "understand/manual",
    "understand/nightly",
    "watch/scheduled",
]
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


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
    draw_patterns(folder / "pictures", 48)
    person = Person(folder / "home", folder / "pictures")
    environment = {
        "EDGEWARD_PREFECT__PORT": "0",
        "EDGEWARD_NOTIFY__WEBHOOK": sink.url,
        "EDGEWARD_NOTIFY__SILENCE_MINUTES": "1",
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
    named = [line.split("  ")[0].strip() for line in workshop.first.err.splitlines()[:5]]
    assert named == ["Prefect UI", "deployments", "worker", "broker", "device"]
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

    assert again.err.count("(as it was)") == 5, again.err
    assert {process.pid for process in left_running(workshop.person.home)} == before
    assert {name: workshop.prefect.deployment(name)["updated"] for name in DEPLOYMENTS} == updated


def test_every_deployment_can_be_read_in_the_ui(workshop: Workshop) -> None:
    found = workshop.prefect.post("deployments/filter")
    flows = {flow["id"]: flow["name"] for flow in workshop.prefect.post("flows/filter")}

    names = sorted(f"{flows[one['flow_id']]}/{one['name']}" for one in found)
    assert names == DEPLOYMENTS
    for one in found:
        assert one["description"]
        assert "edgeward" in one["tags"]
        assert one["global_concurrency_limit"]["limit"] == 1
        assert one["work_pool_name"] == "edgeward"
        assert one["pull_steps"]
        assert one["parameter_openapi_schema"]["properties"]["plan"]
    cycle = workshop.prefect.deployment("cycle/manual")["parameter_openapi_schema"]
    assert cycle["definitions"]["CyclePlan"]["properties"]["thing"]["description"]


def test_the_same_file_deploys_to_a_server_with_prefects_own_command(workshop: Workshop) -> None:
    import subprocess
    import sys

    environment = os.environ | {"PREFECT_API_URL": workshop.prefect.url, "DO_NOT_TRACK": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    written = yaml.safe_load((PROJECT / "prefect.yaml").read_text())["deployments"]
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("successfully created") == len(written) == len(DEPLOYMENTS)


def test_a_plan_that_cannot_be_is_refused_before_it_runs(workshop: Workshop) -> None:
    cycle = workshop.prefect.deployment("cycle/manual")["id"]
    body = {"parameters": {"plan": {"thing": "two words"}}}

    answer = workshop.prefect.ask("POST", f"deployments/{cycle}/create_flow_run", body)

    assert answer.status_code in (409, 422), answer.text
    assert "two words" in answer.text


def test_the_worker_takes_a_run_through_each_phase(workshop: Workshop) -> None:
    workshop.prefect.completes("understand/manual", **workshop.plan())
    (record,) = workshop.records()
    run = record["run_id"]
    assert (record["status"], record["split"]) == ("open", None)

    early = workshop.prefect.wait(workshop.prefect.start("train/manual", run=run), "FAILED")
    assert "prepare" in early["state"]["message"]

    for phase in ("prepare", "train", "evaluate", "package", "release"):
        workshop.prefect.completes(f"{phase}/manual", run=run)

    (record,) = workshop.records()
    assert record["status"] == "deployed", record["reason"]
    assert record["deployment"]["status"] == "SUCCEEDED"
    assert [gate["name"] for gate in record["gates"]] == list(
        dict.fromkeys(gate["name"] for gate in record["gates"])
    )
    assert wait_for(lambda: "train failed" in workshop.sink.subjects())


def test_nothing_is_packed_or_trained_twice(
    workshop: Workshop, record_property: Callable[[str, object], None]
) -> None:
    """A whole cycle over the same data: it is at the gates in seconds."""
    before = attempts(workshop.person.home)
    started = time.monotonic()

    workshop.prefect.completes("cycle/manual", **workshop.plan())

    record = workshop.records()[-1]
    assert record["status"] == "deployed"
    assert attempts(workshop.person.home) == before
    up_to_the_gates = sum(
        record["stages"][name]
        for name in ("ingest", "validate", "split", "pack", "train", "evaluate", "compile")
    )
    record_property("seconds", up_to_the_gates)
    print(f"up to the gates: {up_to_the_gates:.1f} s of {time.monotonic() - started:.1f} s")
    assert up_to_the_gates < 60, record["stages"]


def test_a_schedule_fires_by_itself_and_a_paused_one_does_not(workshop: Workshop) -> None:
    prefect = workshop.prefect
    watch = prefect.deployment("watch/scheduled")
    (usual,) = watch["schedules"]
    assert usual["schedule"]["cron"] == "*/15 * * * *"
    assert usual["active"] is True
    (nightly,) = prefect.deployment("understand/nightly")["schedules"]
    assert nightly["schedule"]["cron"] == "30 2 * * *"
    often = {"schedule": {"interval": 5}, "active": True}
    prefect.post(f"deployments/{watch['id']}/schedules", [often])

    wait_for(lambda: len(completed(prefect, "watch/scheduled")) >= 2)
    prefect.post(f"deployments/{watch['id']}/pause_deployment")

    fired = completed(prefect, "watch/scheduled")
    assert all(run["auto_scheduled"] for run in fired)
    wait_for(lambda: not under_way(prefect, "watch/scheduled"))
    assert [r for r in prefect.runs_of("watch/scheduled") if r["state_type"] == "SCHEDULED"] == []
    paused = len(prefect.runs_of("watch/scheduled"))
    prefect.completes("understand/nightly", **workshop.plan())  # takes longer than the interval
    assert len(prefect.runs_of("watch/scheduled")) == paused


def test_silence_of_the_monitor_is_told(workshop: Workshop) -> None:
    """Its schedule was paused above."""
    assert wait_for(lambda: "Nobody looks at the devices" in workshop.sink.subjects())


def test_a_refused_run_is_told_with_its_reason_and_can_go_on(
    workshop: Workshop,
) -> None:
    targets = {"accuracy": {"min_recall": {"ghost": 1}}}

    flow_run = workshop.prefect.start("cycle/manual", **workshop.plan(targets=targets))

    workshop.prefect.wait(flow_run, "FAILED")
    refused = workshop.records()[-1]
    assert refused["status"] == "refused"
    wait_for(lambda: f"A gate refused run {refused['run_id']}" in workshop.sink.subjects())
    (message,) = [m for m in workshop.sink.heard if refused["run_id"] in m["subject"]]
    assert "ghost has no held-out picture" in message["body"]
    assert "report.html" in message["body"]

    gate = ["model.recall"]
    workshop.prefect.completes("resume/manual", run=refused["run_id"], override=gate)
    assert workshop.records()[-1]["status"] == "deployed"


def test_a_release_waits_for_the_form_in_the_ui(workshop: Workshop) -> None:
    targets = {"release": {"approval": True}}
    flow_run = workshop.prefect.start("cycle/manual", **workshop.plan(targets=targets))
    workshop.prefect.wait(flow_run, "PAUSED")
    waiting = workshop.records()[-1]
    assert waiting["status"] == "waiting"
    assert waiting["deployment"] is None
    subject = f"Run {waiting['run_id']} waits for approval"
    wait_for(lambda: subject in workshop.sink.subjects())

    given = {"approver": "Ada", "reason": "seen at the front door"}
    workshop.prefect.post(f"flow_runs/{flow_run}/resume", run_input=given)

    workshop.prefect.wait(flow_run, "COMPLETED")
    record = workshop.records()[-1]
    assert record["status"] == "deployed"
    assert record["approval"]["approver"] == "Ada"
    assert record["approval"]["reason"] == "seen at the front door"
    report = (workshop.person.home / "runs" / record["run_id"] / "report.html").read_text()
    assert "Ada approves: seen at the front door" in report


def test_a_cancelled_run_ends_its_jobs(workshop: Workshop) -> None:
    plan = workshop.plan(training={**TRAINING, "epochs": 300, "seed": 9})
    flow_run = workshop.prefect.start("cycle/manual", **plan)
    wait_for(lambda: epochs_trained(workshop.person.home) >= 1)

    state = {"type": "CANCELLING", "name": "Cancelling"}
    workshop.prefect.post(f"flow_runs/{flow_run}/set_state", state=state)

    workshop.prefect.wait(flow_run, "CANCELLED")
    wait_for(lambda: jobs_running(workshop.person.home) == [])
    record = workshop.records()[-1]
    assert (record["status"], record["reason"]) == ("failed", "interrupted")
    assert record["deployment"] is None


def test_drift_is_told_and_starts_the_retraining(workshop: Workshop) -> None:
    """The event is as flows/watch.py sends it; that it sends it is tested beside it."""
    drifting = {
        "occurred": datetime.now(UTC).isoformat(),
        "event": "edgeward.drift",
        "resource": {
            "prefect.resource.id": "edgeward.thing.hub-1",
            "prefect.resource.name": "hub-1",
            "edgeward.thing": "hub-1",
        },
        "payload": {"reason": "brightness moved", "checks": ["input.brightness"]},
        "id": "6f1b5a1c-6f5e-4a53-9a37-0d8c3a3e9d11",
    }
    workshop.prefect.post("events", [drifting])

    wait_for(lambda: "hub-1 drifts" in workshop.sink.subjects())
    wait_for(lambda: workshop.prefect.runs_of("retrain/on-drift"))
    (retraining,) = workshop.prefect.runs_of("retrain/on-drift")
    assert retraining["parameters"]["plan"] == {"thing": "hub-1"}
    wait_for(lambda: workshop.records()[-1]["status"] == "waiting")  # as its model did, above
    waiting = workshop.records()[-1]["run_id"]
    answer = workshop.does("approve", waiting, "--by", "Ada", "--reason", "it got dark")
    assert f"run {waiting} goes on where it was paused" in answer.err
    workshop.prefect.wait(retraining["id"], "COMPLETED")
    record = workshop.records()[-1]
    assert (record["status"], record["approval"]["reason"]) == ("deployed", "it got dark")
    assert record["training"]["hyperparameters"]["use_pretrained_model"] == "1"
    assert record["data"]["source"] == workshop.records()[0]["data"]["source"]


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
        *("stopped", "thing-hub-1"),
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
