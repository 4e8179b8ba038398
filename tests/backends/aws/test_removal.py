"""What is ours in an account is found by its tag, listed, and taken away; nothing else is."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from backends.aws.account import Account, Call
from backends.aws.removal import AwsRemoval, Removal
from backends.aws.topic_rules import TopicRules
from backends.errors import BackendBlockedError
from backends.settings import AwsSettings
from tests.architecture.aws_actions import action_of, needed_actions, told_actions
from tests.backends.aws.conftest import BUCKET, REGION, failing
from tests.fakes.greengrass_server import GreengrassServer

OURS = {"edgeward": "edgeward"}
THEIRS = {"edgeward": "other-project"}
THING = f"arn:aws:iot:{REGION}:123456789012:thing/hub-1"
ROLE = "arn:aws:iam::123456789012:role/edgeward-training"


@pytest.fixture
def greengrass(aws_settings: AwsSettings) -> Iterator[GreengrassServer]:
    with GreengrassServer(lambda: Account(aws_settings).client("s3")) as server:
        server.cloud.ready_after = 0
        server.cloud.register_device("hub-1")
        yield server


@pytest.fixture
def account(aws_settings: AwsSettings, greengrass: GreengrassServer, calls: list[Call]) -> Account:
    urls = {"greengrassv2": greengrass.url}
    return Account(aws_settings.model_copy(update={"endpoint_urls": urls}), calls.append)


@pytest.fixture
def removal(account: Account) -> AwsRemoval:
    return AwsRemoval(account)


def publish_component(account: Account, name: str, version: str, tags: dict[str, str]) -> None:
    recipe = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": name,
        "ComponentVersion": version,
        "ComponentPublisher": "Edgeward",
        "Manifests": [{"Lifecycle": {}}],
    }
    account.client("greengrassv2").create_component_version(
        inlineRecipe=json.dumps(recipe).encode(), tags=tags
    )


def deploy(account: Account, name: str, tags: dict[str, str]) -> str:
    answer = account.client("greengrassv2").create_deployment(
        targetArn=THING, components={name: {"componentVersion": "1.0.0"}}, tags=tags
    )
    identifier: str = answer["deploymentId"]
    return identifier


def train(account: Account, name: str, tags: dict[str, str]) -> None:
    account.client("sagemaker").create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
        RoleArn=ROLE,
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/edgeward/training"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )


def everything(account: Account) -> None:
    """One of each that Edgeward makes."""
    TopicRules(account).create({"cat": 0.5})
    publish_component(account, "edgeward.Model", "1.0.0", OURS)
    publish_component(account, "edgeward.Model", "1.1.0", OURS)
    deploy(account, "edgeward.Model", OURS)
    account.client("s3").put_object(Bucket=BUCKET, Key="edgeward/packed/a", Body=b"a")


def take_down(removal: AwsRemoval, *, data: bool = False) -> list[Removal]:
    return list(removal.remove(removal.find(data=data).found))


def test_all_that_is_ours_is_found_and_removed_and_then_there_is_nothing(
    removal: AwsRemoval, account: Account, greengrass: GreengrassServer
) -> None:
    everything(account)
    found = removal.find(data=True)

    done = list(removal.remove(found.found))
    again = removal.find(data=True)

    assert [what.kind for what in found.found] == [
        *["topic rule"] * 6,
        *["SNS topic"] * 2,
        "deployment",
        *["component version"] * 2,
        "log group",
        "stored objects",
    ]
    assert [(one.what, one.problem) for one in done if one.problem] == []
    assert (again.found, again.unseen) == ((), ())
    assert (greengrass.cloud.components, greengrass.cloud.deployments) == ({}, {})
    assert "Contents" not in account.client("s3").list_objects_v2(Bucket=BUCKET)


def test_what_is_somebody_elses_is_neither_listed_nor_touched(
    removal: AwsRemoval, account: Account, greengrass: GreengrassServer
) -> None:
    account.client("sns").create_topic(Name="theirs", Tags=[{"Key": "edgeward", "Value": "x"}])
    account.client("sns").create_topic(Name="edgeward-alerts")
    account.client("iot").create_topic_rule(
        ruleName="edgeward_results", topicRulePayload={"sql": "SELECT * FROM 'a'", "actions": []}
    )
    publish_component(account, "edgeward.Model", "1.0.0", THEIRS)
    deploy(account, "edgeward.Model", THEIRS)
    account.client("s3").put_object(Bucket=BUCKET, Key="edgeward2/a", Body=b"a")

    found = removal.find(data=True)

    assert found.found == ()
    assert len(greengrass.cloud.components) == len(greengrass.cloud.deployments) == 1


def test_data_stays_unless_it_is_asked_for(removal: AwsRemoval, account: Account) -> None:
    everything(account)

    take_down(removal)

    (kept,) = account.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert kept["Key"] == "edgeward/packed/a"


def test_every_version_and_unfinished_upload_goes_with_the_data(
    removal: AwsRemoval, account: Account
) -> None:
    s3 = account.client("s3")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket=BUCKET, Key="edgeward/a", Body=body)
    s3.delete_object(Bucket=BUCKET, Key="edgeward/a")
    s3.put_object(Bucket=BUCKET, Key="others/a", Body=b"theirs")
    s3.create_multipart_upload(Bucket=BUCKET, Key="edgeward/cut-off")

    (done,) = take_down(removal, data=True)

    versions = s3.list_object_versions(Bucket=BUCKET)
    assert done.done == "3 removed"
    assert [version["Key"] for version in versions["Versions"]] == ["others/a"]
    assert "DeleteMarkers" not in versions
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)


def test_a_job_that_runs_is_stopped_and_one_that_ended_is_left(
    removal: AwsRemoval, account: Account
) -> None:
    train(account, "ended", OURS)
    train(account, "running", OURS)
    train(account, "theirs", THEIRS)
    for name in ("running", "theirs"):
        _moto_training_job(name).training_job_status = "InProgress"

    done = take_down(removal)

    assert [(one.what.name, one.done) for one in done] == [("running", "stopped")]
    assert _moto_training_job("running").training_job_status == "Stopped"
    assert _moto_training_job("theirs").training_job_status == "InProgress"


def test_what_fails_stops_nothing_and_is_told_with_the_reason(
    removal: AwsRemoval, account: Account, greengrass: GreengrassServer
) -> None:
    everything(account)
    greengrass.refuse("DeleteComponent", "AccessDeniedException")

    done = take_down(removal)
    left = removal.find(data=False).found

    (failed,) = [one for one in done if one.problem]
    assert (failed.what.kind, "Allow greengrass:DeleteComponent" in failed.problem) == (
        "component version",
        True,
    )
    assert left == (failed.what,)


def test_a_service_that_may_not_be_looked_into_hides_no_other(
    removal: AwsRemoval, account: Account, greengrass: GreengrassServer
) -> None:
    everything(account)
    greengrass.refuse("ListDeployments", "AccessDeniedException")

    inventory = removal.find(data=False)

    (unseen,) = inventory.unseen
    assert unseen.startswith("deployments: ")
    assert "Allow greengrass:ListDeployments" in unseen
    assert len(inventory.found) == 11


def test_a_deployment_that_ends_before_it_is_cancelled_is_removed_all_the_same(
    removal: AwsRemoval, account: Account, greengrass: GreengrassServer
) -> None:
    publish_component(account, "edgeward.Model", "1.0.0", OURS)
    deployment = deploy(account, "edgeward.Model", OURS)

    def end(operation: str) -> None:
        if operation == "CancelDeployment":
            greengrass.cloud.report("hub-1", deployment, "SUCCEEDED")

    greengrass.on_request = end

    done = take_down(removal)

    assert [one.problem for one in done] == ["", ""]
    assert greengrass.cloud.deployments == {}


def test_what_another_removed_meanwhile_counts_as_removed(
    removal: AwsRemoval, account: Account
) -> None:
    everything(account)
    found = removal.find(data=True).found
    take_down(AwsRemoval(account), data=True)

    again = list(removal.remove(found))

    assert [one.problem for one in again if one.problem] == []


def test_an_expired_login_is_told_at_once(removal: AwsRemoval, account: Account) -> None:
    def expire(**_: object) -> None:
        raise ClientError(failing("ExpiredToken"), "GetCallerIdentity")

    account.client("sts").meta.events.register("before-call.sts.GetCallerIdentity", expire)

    with pytest.raises(BackendBlockedError, match="login has expired"):
        removal.find(data=False)


def test_each_call_that_it_makes_is_one_that_the_policies_are_held_to(
    removal: AwsRemoval, account: Account, calls: list[Call]
) -> None:
    everything(account)
    calls.clear()

    take_down(removal, data=True)

    assert {action_of(call) for call in calls} <= needed_actions(told_actions()) | {
        "sts:GetCallerIdentity"
    }


def _moto_training_job(name: str) -> Any:
    from moto.sagemaker.models import sagemaker_backends

    return sagemaker_backends["123456789012"][REGION].training_jobs[name]
