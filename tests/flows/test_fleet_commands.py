"""The fleet's commands, as a person types them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.errors import InvalidInputError
from backends.local.fleet import LocalFleet
from backends.settings import PROJECT, Settings
from flows.fleet_words import request_of
from tests.command_line import edgeward
from tests.fakes.component_store import Store
from tests.fakes.network_guard import attempts, guarded

SLEEP = {"Run": "echo running; exec sleep 1000"}


def words(**given: Any) -> Any:
    defaults: dict[str, Any] = {
        "name": "", "rate": None, "exponential": "", "abort": "", "timeout": None,
        "rollback": True,
    }  # fmt: skip
    target, components = given.pop("target", "thing/hub-1"), given.pop("components", ["a=1.0.0"])
    merge, reset = given.pop("merge", ""), given.pop("reset", [])
    return request_of(target, components, merge, reset, **{**defaults, **given})


def test_options_become_the_request_that_the_api_knows(tmp_path: Path) -> None:
    file = tmp_path / "merge.json"
    file.write_text('{"a": {"Level": 2}}')

    request = words(
        target="group/all", components=["a=>=1.0.0 <2.0.0"], merge=str(file), reset=["a=/"],
        name="spring", rate=60, exponential="5,1.5,10s", abort="20,4", timeout=9, rollback=False,
    )  # fmt: skip

    assert request.model_dump(exclude_none=True)["iotJobConfiguration"] == {
        "jobExecutionsRolloutConfig": {
            "maximumPerMinute": 60,
            "exponentialRate": {
                "baseRatePerMinute": 5,
                "incrementFactor": 1.5,
                "rateIncreaseCriteria": {"numberOfSucceededThings": 10},
            },
        },
        "abortConfig": {
            "criteriaList": (
                {
                    "failureType": "ALL",
                    "action": "CANCEL",
                    "thresholdPercentage": 20.0,
                    "minNumberOfExecutedThings": 4,
                },
            )
        },
        "timeoutConfig": {"inProgressTimeoutInMinutes": 9},
    }
    component = request.components["a"]
    assert component.componentVersion == ">=1.0.0 <2.0.0"
    assert component.configurationUpdate.merge == '{"Level": 2}'
    assert component.configurationUpdate.reset == ("",)
    assert request.deploymentPolicies.failureHandlingPolicy == "DO_NOTHING"
    assert request.deploymentName == "spring"


@pytest.mark.parametrize(
    ("given", "names"),
    [
        pytest.param({"components": ["a"]}, "--component", id="no-version"),
        pytest.param({"merge": "nowhere.json"}, "--merge", id="no-such-file"),
        pytest.param({"merge": "{"}, "--merge", id="no-json"),
        pytest.param({"merge": '{"a": 1}'}, "--merge", id="no-object"),
        pytest.param({"merge": '{"b": {}}'}, "b is configured, and not deployed", id="stranger"),
        pytest.param({"reset": ["a=Level"]}, "--reset", id="no-pointer"),
        pytest.param({"exponential": "5,2"}, "--exponential", id="two-numbers"),
        pytest.param({"exponential": "5,2,10,4"}, "--exponential", id="four-numbers"),
        pytest.param({"exponential": "5.5,2,10"}, "baseRatePerMinute", id="no-whole-number"),
        pytest.param({"abort": "half"}, "--abort", id="no-percentage"),
        pytest.param({"abort": "120"}, "thresholdPercentage", id="too-much"),
        pytest.param({"rate": 0}, "maximumPerMinute", id="no-rate"),
        pytest.param({"target": "hub-1"}, "thing/NAME or group/NAME", id="no-target"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], names: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        words(**given)

    assert names in str(refused.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"[1]", "holds no JSON object"), (b"{", "Expecting property name"), (b"\xff", "decode")],
    ids=["list", "no-json", "no-text"],
)
def test_a_file_of_configuration_that_is_wrong_is_named(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "merge.json"
    file.write_bytes(content)

    with pytest.raises(InvalidInputError) as refused:
        words(merge=str(file))

    assert f"--merge: {file}" in str(refused.value)
    assert reason in str(refused.value)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[LocalFleet]:
    """The fleet of the home that the commands below work with."""
    fleet = LocalFleet(Settings(home=tmp_path / "home"))
    yield fleet
    fleet.stop_everything()


@pytest.mark.slow
def test_a_first_device_starts_without_a_network_and_says_what_it_is(
    tmp_path: Path, running: LocalFleet
) -> None:
    ours = ("PREFECT_", "GX_", "MLFLOW_", "EDGEWARD_", "DO_NOT_TRACK")
    usual = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment = usual | {"EDGEWARD_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}

    started = subprocess.run(
        [sys.executable, "-m", "flows", "device", "start", "hub-1"],
        env=guarded(tmp_path, environment),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert started.returncode == 0, started.stderr
    assert "Greengrass core device on this machine" in started.stderr
    assert "Nothing is deployed to it yet" in started.stderr
    assert "edgeward run --thing hub-1" in started.stderr
    assert running.device("hub-1").running
    assert attempts(tmp_path) == []


@pytest.mark.slow
def test_a_group_is_made_deployed_to_and_looked_at(tmp_path: Path, running: LocalFleet) -> None:
    """One device is there, one is off: the command ends, and the one that is off is pending."""
    home = str(tmp_path / "home")
    Store(tmp_path / "home").add("app", "1.0.0", SLEEP, defaults={"Level": 1})
    running.start_device("hub-1")
    running.start_device("hub-2")
    running.stop_device("hub-2")

    grouped = edgeward("group", "add", "porch", "hub-1", "hub-2", EDGEWARD_HOME=home)
    deployed = edgeward(
        "deploy", "group/porch", "--component", "app=1.0.0", "--merge", '{"app": {"Level": 2}}',
        "--json", EDGEWARD_HOME=home,
    )  # fmt: skip

    assert grouped.returncode == 0, grouped.stderr
    assert deployed.returncode == 0, deployed.stderr
    record = json.loads(deployed.stdout)
    statuses = {thing: one["status"] for thing, one in record["executions"].items()}
    assert statuses == {"hub-1": "SUCCEEDED", "hub-2": "QUEUED"}
    assert record["counts"] == {"QUEUED": 1, "SUCCEEDED": 1}

    identifier = record["deploymentId"]
    status = json.loads(edgeward("device", "status", "hub-1", "--json", EDGEWARD_HOME=home).stdout)
    assert status["components"]["app"]["state"] == "RUNNING"
    assert [(d["target"], d["detailedStatus"]) for d in status["deployments"]] == [
        ("group/porch", "SUCCESSFUL")
    ]
    shown = edgeward("deployment", "show", identifier, EDGEWARD_HOME=home).stdout
    assert "group/porch, revision 1: app 1.0.0" in shown
    logs = edgeward(
        "device", "logs", "hub-1", "--component", "app", "--lines", "5", EDGEWARD_HOME=home
    ).stdout
    assert "stdout. running" in logs
    assert "greengrass" not in logs

    cancelled = edgeward("deployment", "cancel", identifier, EDGEWARD_HOME=home)
    assert "1 succeeded, 1 cancelled" in cancelled.stderr
    listed = json.loads(edgeward("deployment", "list", "--json", EDGEWARD_HOME=home).stdout)
    assert [(one["deploymentStatus"], one["counts"]) for one in listed] == [
        ("CANCELED", {"SUCCEEDED": 1, "CANCELED": 1})
    ]


@pytest.mark.slow
def test_a_log_is_followed_also_across_its_rotation(tmp_path: Path, running: LocalFleet) -> None:
    running.start_device("hub-1")
    log = tmp_path / "home/things/hub-1/logs/app.log"
    log.write_text("first\n")
    follower = subprocess.Popen(
        [sys.executable, "-m", "flows", "device", "logs", "hub-1", "--component", "app",
         "--follow"],
        env=os.environ | {"EDGEWARD_HOME": str(tmp_path / "home")},
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert follower.stdout is not None
        heard = [follower.stdout.readline() for _ in range(3)]
        with log.open("a") as stream:
            stream.write("second\n")
        heard.append(follower.stdout.readline())
        log.rename(log.with_name("app.log.1"))
        log.write_text("third\n")
        heard.append(follower.stdout.readline())
    finally:
        follower.terminate()
        follower.communicate()

    assert [line.strip() for line in heard] == ["", "==> app <==", "first", "second", "third"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        pytest.param(["deploy", "thing/nobody", "--component", "app=1.0.0"], "nobody", id="thing"),
        pytest.param(["deploy", "group/none", "--component", "app=1.0.0"], "none", id="group"),
        pytest.param(["group", "add", "porch", "nobody"], "nobody", id="member"),
        pytest.param(["deployment", "show", "../x"], "no such deployment", id="deployment"),
        pytest.param(["device", "stop", "nobody"], "there is no such device", id="stopped"),
        pytest.param(["device", "status", ""], "'' is no thing's name", id="no-name"),
        pytest.param(["device", "logs", "nobody", "--component", "app"], "nobody", id="logs"),
    ],
)
def test_what_there_is_not_is_named_and_nothing_is_started(
    arguments: list[str], names: str, tmp_path: Path
) -> None:
    answer = edgeward(*arguments, EDGEWARD_HOME=str(tmp_path))

    assert answer.returncode == 2, answer.stderr
    assert names in answer.stderr
    assert answer.stdout == ""
    assert not (tmp_path / "processes").exists()
