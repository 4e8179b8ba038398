"""The commands for an account, as a person calls them: real processes against the servers."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backends.aws.account import Account, Call
from backends.aws.topic_rules import TopicRules
from backends.aws.transcript import FILE, Transcript
from backends.settings import PROJECT, AwsSettings
from edge.contract import RESULTS_TOPIC, encode, result_message, statistics_message
from tests.backends.aws.conftest import BUCKET
from tests.command_line import edgeward
from tests.fakes.greengrass_server import GreengrassServer
from tests.fakes.rule_engine import RuleEngine
from tests.tasks.windows import NOON, baseline, seen

Environment = dict[str, str]


@pytest.fixture
def greengrass(aws_settings: AwsSettings) -> Iterator[GreengrassServer]:
    with GreengrassServer(lambda: Account(aws_settings).client("s3")) as server:
        yield server


@pytest.fixture
def environment(
    aws_settings: AwsSettings, greengrass: GreengrassServer, tmp_path: Path
) -> Environment:
    """What a person has set."""
    return {
        "EDGEWARD_HOME": str(tmp_path / "home"),
        "EDGEWARD_BACKEND__KIND": "aws",
        "EDGEWARD_AWS__REGION": aws_settings.region,
        "EDGEWARD_AWS__BUCKET": aws_settings.bucket,
        "EDGEWARD_AWS__TRAINING_ROLE": aws_settings.training_role,
        "EDGEWARD_AWS__RULE_ROLE": aws_settings.rule_role,
        "EDGEWARD_AWS__ENDPOINT_URL": aws_settings.endpoint_url,
        "EDGEWARD_AWS__ENDPOINT_URLS": json.dumps({"greengrassv2": greengrass.url}),
    }


def test_results_come_from_the_bucket_and_alerts_are_said_to_be_in_sns(
    environment: Environment, account: Account
) -> None:
    TopicRules(account).create({})
    engine = RuleEngine(account)
    for number in range(3):
        message = result_message(
            thing="hub-1",
            model_version="1.0.0",
            scores={"cat": 0.9, "dog": 0.1},
            score_threshold=0.3,
            max_results=5,
            image_id=f"{number:064d}",
            latency_ms=2.0,
            taken_at=datetime(2026, 11, 25, 10, tzinfo=UTC),
        )
        engine.publish(RESULTS_TOPIC, json.loads(encode(message)), "hub-1")

    shown = edgeward("results", "--thing", "hub-1", "--count", "2", **environment)
    unnamed = edgeward("results", **environment)
    alerts = edgeward("alerts", **environment)

    assert [line.split()[2] for line in shown.stdout.splitlines()] == ["cat", "cat"], shown.stderr
    assert (unnamed.returncode, alerts.returncode) == (2, 2)
    assert "--thing: an account does not say" in unnamed.stderr
    assert "Subscribe to edgeward-alerts" in alerts.stderr


def test_rules_are_created_listed_and_taken_down(
    environment: Environment, account: Account
) -> None:
    created = edgeward("rules", "create", "--json", **environment)
    listed = edgeward("rules", "list", **environment)
    removed = edgeward("rules", "remove", **environment)
    again = edgeward("rules", "create", "--json", **environment)
    down = edgeward("down", "--backend", "aws", "--yes", **environment)

    assert created.returncode == 0, created.stderr
    assert {part["state"] for part in json.loads(created.stdout)} == {"created"}
    assert removed.returncode == 0, removed.stderr
    assert again.stdout == created.stdout
    assert "edgeward_sightings  SELECT" in listed.stdout
    assert "label = 'child'" in listed.stdout
    assert down.returncode == 0, down.stderr
    assert "removed: topic rule edgeward_results" in down.stdout
    assert account.client("iot").list_topic_rules()["rules"] == []


def test_alert_rules_that_cannot_be_are_refused_by_their_option(environment: Environment) -> None:
    answer = edgeward("rules", "create", "--alerts", '[{"Name": "x"}]', **environment)

    assert answer.returncode == 2
    assert "--alerts" in answer.stderr
    assert "Alerts[0].Labels" in answer.stderr


def test_down_asks_nobody_and_removes_nothing_where_there_is_no_terminal(
    environment: Environment, account: Account
) -> None:
    TopicRules(account).create({})

    answer = edgeward("down", "--backend", "aws", **environment)

    assert answer.returncode == 2
    assert "topic rule: edgeward_results" in answer.stdout
    assert "--yes" in answer.stderr
    assert len(account.client("iot").list_topic_rules()["rules"]) == 4


@pytest.mark.parametrize(
    ("answer", "left"), [pytest.param("y", 0, id="yes"), pytest.param("n", 4, id="no")]
)
def test_down_does_what_a_person_answers(
    environment: Environment, account: Account, answer: str, left: int
) -> None:
    TopicRules(account).create({})

    status = _answered(answer, environment)

    assert status == (0 if answer == "y" else 1)
    assert len(account.client("iot").list_topic_rules()["rules"]) == left


def test_down_ends_with_what_is_left(
    environment: Environment, account: Account, greengrass: GreengrassServer
) -> None:
    TopicRules(account).create({})
    account.client("s3").put_object(Bucket=BUCKET, Key="edgeward/a", Body=b"a")
    greengrass.refuse("ListComponents", "AccessDeniedException")

    answer = edgeward("down", "--backend", "aws", "--yes", "--data", **environment)

    assert answer.returncode == 1
    assert "could not look for component versions" in answer.stderr
    assert "1 removed: stored objects" in answer.stdout
    assert "Contents" not in account.client("s3").list_objects_v2(Bucket=BUCKET)


def test_the_calls_of_the_latest_run_are_printed(environment: Environment) -> None:
    runs = Path(environment["EDGEWARD_HOME"]) / "runs"
    for run, status in (("20261122-1", 404), ("20261122-2", 200)):
        Transcript(runs / run / FILE)(Call("s3", "GetObject", "s3://b/123456789012", status, "1"))

    latest = edgeward("aws", "calls", **environment)
    first = edgeward("aws", "calls", "20261122-1", "--json", **environment)
    none = edgeward("aws", "calls", "20261122-3", **environment)

    assert latest.stdout.splitlines()[2:] == ["| s3 | GetObject | `s3://b/<account>` | 200 | 1 |"]
    assert json.loads(first.stdout)["status"] == 404
    assert (none.returncode, "no transcript" in none.stderr) == (2, True)


def test_a_policy_is_printed_for_the_account_that_one_is_logged_in_to(
    environment: Environment,
) -> None:
    names = edgeward("policies", **environment)
    policy = edgeward("policies", "--print", "rules", **environment)

    assert "pipeline" in names.stdout.split()
    statements = json.loads(policy.stdout)["Statement"]
    assert statements[1]["Resource"][0] == "arn:aws:sns:eu-west-1:123456789012:edgeward-alerts"


def test_the_monitor_judges_what_lies_in_the_bucket(
    environment: Environment, account: Account
) -> None:
    baseline(Path(environment["EDGEWARD_HOME"]), seen(200, seed=7))
    message = encode(statistics_message("hub-1", seen(150, 1, brightness=0.15).to_dict()))
    key = f"edgeward/statistics/date={NOON:%Y-%m-%d}/thing=hub-1/{NOON.timestamp():.0f}000-a.json"
    account.client("s3").put_object(Bucket=BUCKET, Key=key, Body=message)

    answer = edgeward("monitor", "--thing", "hub-1", "--json", **environment)

    report = json.loads(answer.stdout)
    assert (report["status"], report["drifted"]) == ("drift", ["input.brightness"])


def test_doctor_looks_at_the_account_too(environment: Environment) -> None:
    answer = edgeward("doctor", "--thing", "hub-7", "--json", **environment)

    findings = {finding["subject"]: finding for finding in json.loads(answer.stdout)}
    assert findings["AWS identity"]["healthy"]
    assert findings["Greengrass core device"]["found"] == "hub-7 is no core device here"
    assert answer.returncode == 4


def test_all_settings_that_are_missing_are_named_by_any_command(environment: Environment) -> None:
    lacking = environment | {
        "EDGEWARD_AWS__BUCKET": "",
        "EDGEWARD_AWS__RULE_ROLE": "a role",
    }

    for command in (
        ["rules", "list"],
        ["down", "--backend", "aws"],
        ["policies", "--print", "rules"],
    ):
        answer = edgeward(*command, **lacking)

        assert answer.returncode == 2
        assert (
            "EDGEWARD_AWS__BUCKET: is missing; EDGEWARD_AWS__RULE_ROLE: 'a role'" in answer.stderr
        )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(["rules", "list"], 4, "Run `make setup-aws`", id="rules"),
        pytest.param(["doctor"], 4, "boto3 is not installed", id="doctor"),
    ],
)
def test_without_awss_packages_it_says_how_to_get_them(
    environment: Environment, arguments: list[str], status: int, said: str
) -> None:
    script = (
        "import sys; sys.modules['boto3'] = None; sys.argv = ['edgeward', *sys.argv[1:]]\n"
        "from flows.__main__ import main; main()"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=os.environ | environment,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert answer.returncode == status, answer.stderr
    assert said in answer.stdout + answer.stderr


def _answered(answer: str, environment: Environment) -> int:
    """The exit status, where a person at a terminal answers so."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "flows", "down", "--backend", "aws"],
            env=os.environ | environment,
            cwd=PROJECT,
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            os.write(ours, f"{answer}\n".encode())
            return process.wait(timeout=120)
    finally:
        os.close(ours)
        os.close(theirs)
