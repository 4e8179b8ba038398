"""What each setting of an account's fleet changes: the target, the rollout, where one hears."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from backends.aws.account import Account
from backends.aws.components import GreengrassComponents
from backends.aws.fleet import GreengrassFleet
from backends.aws.live_results import LiveResults
from backends.aws.objects import S3Objects
from backends.errors import DeploymentError, EdgewardError
from backends.settings import AwsSettings
from tests.architecture.effects.effect import Effect
from tests.fakes.aws_server import AwsServer
from tests.fakes.greengrass_components import Component
from tests.fakes.greengrass_server import GreengrassServer
from tests.fakes.iot_broker import Authority, IotBroker
from tests.fakes.tls_gate import Gate

REGION = "eu-west-1"


@dataclass(frozen=True, slots=True)
class Asked:
    """What Greengrass was asked to deploy to, and how; and how it ended."""

    target: str
    job: Any
    ended: str


@contextmanager
def logged_in() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        yield


def heard_at(broker: IotBroker, **settings: object) -> dict[str, object]:
    """Settings that hear results at that broker."""
    certificate, key = map(str, broker.authority.client)
    return {
        "region": REGION,
        "iot_endpoint": f"localhost:{broker.tls_port}",
        "certificate": certificate,
        "private_key": key,
        "ca_file": str(broker.authority.certificate),
        **settings,
    }


def deployed(folder: Path, **settings: object) -> Asked:
    """Deploy to a device, a member of the group `porch`, that never answers."""
    with (
        logged_in(),
        IotBroker(folder / "certificates") as broker,
        AwsServer() as aws,
        GreengrassServer(lambda: boto3.client("s3", endpoint_url=aws.url)) as greengrass,
    ):
        cloud = greengrass.cloud
        cloud.register_device("hub-1", "amd64", "porch")
        recipe = {"ComponentPublisher": "x", "Manifests": [{}]}
        made = Component("edgeward.App", "1.0.0", recipe, {}, datetime.now(UTC), 0)
        cloud.components["edgeward.App", "1.0.0"] = made
        account = Account(
            AwsSettings.model_validate(
                {
                    "deploy_seconds": 0.1,
                    "endpoint_url": aws.url,
                    "endpoint_urls": {"greengrassv2": greengrass.url},
                    **heard_at(broker, **settings),
                }
            )
        )
        components = GreengrassComponents(account, S3Objects(account), folder)
        fleet = GreengrassFleet(account, components)
        try:
            fleet.deploy("hub-1", {"edgeward.App": "1.0.0"}, {})
        except DeploymentError as error:
            ended = error.reason.partition(" (")[0]
        finally:
            fleet.stop_started()
        (asked,) = cloud.deployments.values()
        return Asked(asked.target, asked.asked.get("iotJobConfiguration"), ended)


def heard(folder: Path, changed: str = "", value: str = "") -> str:
    """Whether results are heard, or why not."""
    with logged_in(), IotBroker(folder / "certificates") as broker:
        settings = heard_at(broker, **({changed: value} if changed else {}))
        live = LiveResults(Account(AwsSettings.model_validate(settings)), answer_seconds=10)
        try:
            live.start()
        except EdgewardError as error:
            return type(error).__name__
        live.close()
        return "heard"


def spoken_to(folder: Path, trusted: Authority | None = None) -> bool:
    """Whether a server is spoken to that `trusted` (or else its own authority) vouches for."""
    authority = Authority(folder / "certificates")
    gate = Gate(authority)
    gate.start()
    settings = AwsSettings(
        region=REGION,
        iot_endpoint=f"localhost:{gate.port}",
        ca_file=str((trusted or authority).certificate),
    )
    with logged_in(), contextlib.suppress(EdgewardError):
        LiveResults(Account(settings), answer_seconds=10).start()
    gate.join()
    return bool(gate.asked)


def stranger(folder: Path) -> Authority:
    return Authority(folder / "stranger", "another authority")


EFFECTS: dict[str, Effect] = {
    "aws.thing_group": lambda folder: (
        deployed(folder / "a").target,
        deployed(folder / "b", thing_group="porch").target,
    ),
    "aws.rollout": lambda folder: (
        deployed(folder / "a", thing_group="porch").job,
        deployed(
            folder / "b",
            thing_group="porch",
            rollout={"jobExecutionsRolloutConfig": {"maximumPerMinute": 3}},
        ).job,
    ),
    "aws.deploy_seconds": lambda folder: (
        deployed(folder / "a", deploy_seconds=0.1).ended,
        deployed(folder / "b", deploy_seconds=0.2).ended,
    ),
    "aws.iot_endpoint": lambda folder: (
        heard(folder / "a"),
        heard(folder / "b", "iot_endpoint", "localhost:9"),
    ),
    "aws.certificate": lambda folder: (
        heard(folder / "a"),
        heard(folder / "b", "certificate", str(stranger(folder).client[0])),
    ),
    "aws.private_key": lambda folder: (
        heard(folder / "a"),
        heard(folder / "b", "private_key", str(stranger(folder).client[1])),
    ),
    "aws.ca_file": lambda folder: (
        spoken_to(folder / "a"),
        spoken_to(folder / "b", stranger(folder)),
    ),
}
