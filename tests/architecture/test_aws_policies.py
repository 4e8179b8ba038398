"""The policies allow what the adapters do, and nothing else; the documentation says why."""

import fnmatch
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from backends.aws.account import Call
from backends.aws.policy_files import policy_names, read, rendered
from backends.aws.rule_texts import RuleTargets, rule_texts
from backends.errors import InvalidInputError
from backends.settings import PROJECT, AwsSettings
from tests.architecture.aws_actions import (
    NO_ACTION,
    action_of,
    called_actions,
    known_actions,
    needed_actions,
    told_actions,
)

DOCS = (PROJECT / "docs" / "how-to" / "aws.md").read_text(encoding="utf-8")
POLICIES = [name for name in policy_names() if not name.endswith("-trust")]


def actions(policy: Mapping[str, Any]) -> set[str]:
    return {action for statement in policy["Statement"] for action in _listed(statement["Action"])}


def pipeline() -> set[str]:
    return actions(json.loads(read("pipeline")))


def test_every_action_that_is_told_exists() -> None:
    assert told_actions() - known_actions() == set()


def test_the_pipeline_may_do_all_that_the_adapters_tell() -> None:
    assert needed_actions(told_actions()) - pipeline() == set()


def test_the_pipeline_may_call_every_method_that_the_adapters_call() -> None:
    allowed = pipeline() | NO_ACTION

    assert [sorted(any_of) for any_of in called_actions() if not any_of & allowed] == []


def test_the_pipeline_may_do_nothing_that_no_adapter_needs() -> None:
    surely = {action for any_of in called_actions() if len(any_of) == 1 for action in any_of}
    needed = needed_actions(told_actions() | surely)

    assert pipeline() - needed == set()


def test_the_pipeline_may_make_every_call_of_the_transcript_that_is_shown() -> None:
    shown = DOCS.partition("<!-- transcript -->")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in shown.splitlines() if line.startswith("| ")]
    calls = [Call(service.strip(), operation.strip(), "", 0, "") for service, operation in rows[1:]]

    assert {action_of(call) for call in calls} - pipeline() - NO_ACTION == set()


@pytest.mark.parametrize("name", policy_names())
def test_a_policy_is_what_iam_takes(name: str) -> None:
    policy = json.loads(read(name))
    statements = policy["Statement"]

    assert policy["Version"] == "2012-10-17"
    names = [statement["Sid"] for statement in statements]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[A-Za-z0-9]+", name) for name in names)
    assert all(statement["Effect"] == "Allow" for statement in statements)
    for statement in statements:
        wanted = _listed(statement["Action"])
        assert wanted == sorted(set(wanted))
        assert not any("*" in action for action in wanted)


def test_roles_can_be_handed_to_the_one_service_only() -> None:
    handed = {
        statement["Resource"]: statement["Condition"]["StringEquals"]["iam:PassedToService"]
        for statement in json.loads(read("pipeline"))["Statement"]
        if statement["Action"] == "iam:PassRole"
    }

    assert handed == {
        "${training_role}": "sagemaker.amazonaws.com",
        "${rule_role}": "iot.amazonaws.com",
    }


@pytest.mark.parametrize("name", POLICIES)
def test_each_action_of_a_policy_is_justified_in_the_documentation(name: str) -> None:
    section = re.search(rf"^### `{name}`\n(.*?)(?=^#|\Z)", DOCS, re.MULTILINE | re.DOTALL)
    assert section, f"docs/how-to/aws.md has no section on {name}"
    rows = [line.split("|") for line in section[1].splitlines() if line.startswith("| `")]

    explained = {action for row in rows for action in re.findall(r"`([a-z0-9]+:\w+)`", row[1])}

    assert explained == actions(json.loads(read(name)))
    assert all(len(row[2].strip()) > 15 for row in rows)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AwsSettings:
    """Of somebody who is not logged in."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    return AwsSettings(
        region="eu-west-1", bucket="hubs", prefix="my-hubs", endpoint_url="http://127.0.0.1:9"
    )


@pytest.mark.parametrize("name", policy_names())
def test_a_policy_is_printed_without_a_placeholder_of_ours(
    name: str, settings: AwsSettings
) -> None:
    text = json.dumps(rendered(name, settings))

    assert re.findall(r"\$\{(?!iot:)", text) == []
    assert len(text) < 6144  # what IAM takes as a managed policy


def test_a_key_and_a_network_are_allowed_only_where_they_are_used(settings: AwsSettings) -> None:
    more = {"kms_key": "1234abcd-12ab", "subnets": ("subnet-01234567",)}
    more |= {"security_groups": ("sg-01234567",)}

    without = actions(rendered("sagemaker", settings))
    those = actions(rendered("sagemaker", settings.model_copy(update=more)))

    assert {action.partition(":")[0] for action in those - without} == {"ec2", "kms"}


def test_a_policy_that_there_is_not_is_refused_with_the_names(settings: AwsSettings) -> None:
    with pytest.raises(InvalidInputError, match=r"device, .*pipeline, rules, "):
        rendered("everything", settings)


def test_the_role_of_the_rules_may_do_what_the_rules_do_and_no_more(
    settings: AwsSettings,
) -> None:
    policy = rendered("rules", settings)
    topic = "arn:aws:sns:eu-west-1:<account>:my-hubs"
    targets = RuleTargets(
        *("my-hubs", "hubs", "role", f"{topic}-alerts", f"{topic}-sightings"),
        "/edgeward/my-hubs/rule-errors",
    )

    wanted = set(_done_by_rules(targets))

    for action, resource in wanted:
        assert _allows(policy, action, resource), (action, resource)
    assert not _allows(policy, "s3:PutObject", "arn:aws:s3:::hubs/my-hubs/components/a/1/model.zip")
    assert not _allows(policy, "sns:Publish", "arn:aws:sns:eu-west-1:<account>:others")
    assert actions(policy) == {
        *(action for action, _ in wanted),
        *("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
    }


def _done_by_rules(targets: RuleTargets) -> Iterator[tuple[str, str]]:
    for rule in rule_texts(targets, {"cat": 0.5}):
        for action in rule.actions:
            if "s3" in action:
                yield "s3:PutObject", f"arn:aws:s3:::hubs/{action['s3']['key']}"
            else:
                yield "sns:Publish", action["sns"]["targetArn"]


def _allows(policy: Mapping[str, Any], action: str, resource: str) -> bool:
    return any(
        action in _listed(statement["Action"])
        and any(fnmatch.fnmatchcase(resource, each) for each in _listed(statement["Resource"]))
        for statement in policy["Statement"]
    )


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
