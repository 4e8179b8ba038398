"""The Greengrass of the tests refuses what AWS refuses: else its tests would prove little."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from backends.aws.account import Account
from tests.backends.aws.conftest import BUCKET, REGION
from tests.fakes.greengrass_server import GreengrassServer

ARN = f"arn:aws:iot:{REGION}:123456789012:thing/hub-1"
COMPONENT = f"arn:aws:greengrass:{REGION}:123456789012:components:app"
RECIPE = {
    "RecipeFormatVersion": "2020-01-25",
    "ComponentName": "app",
    "ComponentVersion": "1.0.0",
    "ComponentPublisher": "x",
    "Manifests": [{"Platform": {"os": "linux"}}],
}


@pytest.fixture
def client(fleet_account: Account, greengrass: GreengrassServer) -> Any:
    """One that sends whatever it is told to."""
    careless = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    return fleet_account.session.client(
        "greengrassv2", endpoint_url=greengrass.url, config=careless
    )


def code(refused: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = refused.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        pytest.param({}, "targetArn: is required", id="required"),
        pytest.param({"targetArn": "hub-1"}, "targetArn: .*does not match", id="pattern"),
        pytest.param({"targetArn": ARN, "deploymentName": 5}, "Name: must be a string", id="type"),
        pytest.param({"targetArn": ARN, "components": {"a": {}}}, "componentVersion", id="inner"),
        pytest.param(
            {"targetArn": ARN, "deploymentPolicies": {"failureHandlingPolicy": "HOPE"}},
            "'HOPE' is none of ROLLBACK",
            id="enum",
        ),
        pytest.param(
            {
                "targetArn": ARN,
                "iotJobConfiguration": {"jobExecutionsRolloutConfig": {"maximumPerMinute": 1001}},
            },
            "1001 is not in 1 to 1000",
            id="range",
        ),
    ],
)
def test_a_request_that_the_model_does_not_allow_is_refused(
    client: Any, asked: dict[str, Any], field: str
) -> None:
    with pytest.raises(ClientError, match=field) as refused:
        client.create_deployment(**asked)

    assert code(refused) == ("ValidationException", 400)


def test_what_is_not_signed_is_refused(greengrass: GreengrassServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{greengrass.url}/greengrass/v2/components", timeout=10)

    assert refused.value.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    refused.value.close()


def create(client: Any, **changed: Any) -> Any:
    return client.create_component_version(inlineRecipe=json.dumps(RECIPE | changed).encode())


def test_a_version_cannot_be_made_twice_and_the_same_token_makes_one(client: Any) -> None:
    token = {"clientToken": "once"}
    first = client.create_component_version(inlineRecipe=json.dumps(RECIPE).encode(), **token)
    again = client.create_component_version(inlineRecipe=json.dumps(RECIPE).encode(), **token)
    with pytest.raises(ClientError, match="already exists") as refused:
        create(client)

    assert first["arn"] == again["arn"] == f"{COMPONENT}:versions:1.0.0"
    assert code(refused) == ("ConflictException", 409)


def test_a_recipe_whose_artifact_is_not_in_s3_is_refused(client: Any) -> None:
    artifacts = [{"Uri": f"s3://{BUCKET}/no/such.zip"}]

    with pytest.raises(ClientError, match="artifact resource cannot be accessed"):
        create(client, Manifests=[{"Platform": {"os": "linux"}, "Artifacts": artifacts}])


def test_lists_come_in_pages_and_greater_versions_first(client: Any) -> None:
    for number in (9, 10, 2):
        create(client, ComponentVersion=f"1.0.{number}")

    first = client.list_component_versions(arn=COMPONENT, maxResults=2)
    second = client.list_component_versions(
        arn=COMPONENT, maxResults=2, nextToken=first["nextToken"]
    )

    listed = [*first["componentVersions"], *second["componentVersions"]]
    assert [entry["componentVersion"] for entry in listed] == ["1.0.10", "1.0.9", "1.0.2"]
    assert "nextToken" not in second


def test_a_component_that_is_deleted_is_gone_and_a_deployment_is_ended_once(client: Any) -> None:
    made = create(client)
    client.delete_component(arn=made["arn"])
    with pytest.raises(ClientError) as refused:
        client.describe_component(arn=made["arn"])
    assert code(refused) == ("ResourceNotFoundException", 404)

    deployment = client.create_deployment(targetArn=ARN)["deploymentId"]
    with pytest.raises(ClientError, match="cannot be deleted"):
        client.delete_deployment(deploymentId=deployment)
    client.cancel_deployment(deploymentId=deployment)
    with pytest.raises(ClientError) as refused:
        client.cancel_deployment(deploymentId=deployment)
    assert code(refused) == ("ConflictException", 409)
    client.delete_deployment(deploymentId=deployment)
