"""The full cycle in an account, by the command line: jobs, archives and the device are real.

moto is S3, IoT and SNS; a player runs our jobs where SageMaker and Neo would; what is deployed is
installed by a core device of this machine, and its messages go through the account's rules.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backends.aws.account import Account
from backends.settings import PROJECT
from edge.contract import INFERENCE_COMPONENT, MODEL_COMPONENT, RUNTIME_COMPONENT
from tests.command_line import edgeward
from tests.fakes.greengrass_player import CoreDevicePlayer
from tests.fakes.greengrass_server import GreengrassServer
from tests.fakes.iot_broker import IotBroker
from tests.fakes.rule_engine import RuleEngine, follow
from tests.fakes.sagemaker_player import SageMakerPlayer
from tests.flows.test_cycle import LONE, QUICK, draw_patterns

pytestmark = [pytest.mark.slow, pytest.mark.jobs, pytest.mark.device]

THING = "hub-1"
DOCS = PROJECT / "docs" / "how-to" / "aws.md"
MARK = "<!-- transcript -->"


@dataclass(frozen=True)
class Cloud:
    """An account in which everything answers, and how one gets there."""

    account: Account
    sagemaker: SageMakerPlayer
    greengrass: GreengrassServer
    device: CoreDevicePlayer
    environment: dict[str, str]
    pictures: Path

    def does(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return edgeward(*arguments, **self.environment)

    def runs(self, *more: str) -> dict[str, Any]:
        data = f"folder:{self.pictures}"
        done = self.does("run", "--data", data, "--json", *QUICK, *more)
        assert done.returncode == 0, done.stderr
        record: dict[str, Any] = json.loads(done.stdout)
        return record


@pytest.fixture
def cloud(
    fleet_account: Account,
    greengrass: GreengrassServer,
    jobs_python: Path,
    device_python: Path,
    tmp_path: Path,
) -> Iterator[Cloud]:
    settings = fleet_account.settings
    home = tmp_path / "home"
    draw_patterns(tmp_path / "pictures", 48)
    with (
        IotBroker(tmp_path / "certificates") as broker,
        SageMakerPlayer(settings.endpoint_url, jobs_python) as sagemaker,
        CoreDevicePlayer(
            greengrass, fleet_account, tmp_path / "hub", THING, broker.plain_port
        ) as device,
        follow(RuleEngine(fleet_account), broker.plain_port),
    ):
        certificate, key = broker.authority.client
        endpoints = {**settings.endpoint_urls, "sagemaker": sagemaker.url}
        environment = LONE | {
            "EDGEWARD_HOME": str(home),
            "EDGEWARD_BACKEND__KIND": "aws",
            "EDGEWARD_AWS__REGION": settings.region,
            "EDGEWARD_AWS__BUCKET": settings.bucket,
            "EDGEWARD_AWS__TRAINING_ROLE": settings.training_role,
            "EDGEWARD_AWS__RULE_ROLE": settings.rule_role,
            "EDGEWARD_AWS__ENDPOINT_URL": settings.endpoint_url,
            "EDGEWARD_AWS__ENDPOINT_URLS": json.dumps(endpoints),
            "EDGEWARD_AWS__IOT_ENDPOINT": f"localhost:{broker.tls_port}",
            "EDGEWARD_AWS__CERTIFICATE": str(certificate),
            "EDGEWARD_AWS__PRIVATE_KEY": str(key),
            "EDGEWARD_AWS__CA_FILE": str(broker.authority.certificate),
        }
        yield Cloud(
            fleet_account, sagemaker, greengrass, device, environment, tmp_path / "pictures"
        )


def operations(table: str) -> set[tuple[str, str]]:
    """Service and operation of each row of a transcript."""
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")]
    return {(row[1].strip(), row[2].strip()) for row in rows}


def test_pictures_become_a_verified_answer_of_a_device_through_the_account(
    cloud: Cloud, request: pytest.FixtureRequest
) -> None:
    assert cloud.does("rules", "create").returncode == 0

    record = cloud.runs()

    assert record["status"] == "deployed", record["reason"]
    assert record["training"]["billable_seconds"] > 0
    assert record["compilation"]["compiler"] == "neo"
    gates = {gate["name"]: gate["passed"] for gate in record["gates"]}
    assert (
        gates["cost.estimate"] is gates["compiled.parity"] is gates["device.first-result"] is True
    )
    running = cloud.device.local.device(THING).components
    assert {name: component.version for name, component in running.items()} == {
        name: record["deployment"]["components"][name]
        for name in (INFERENCE_COMPONENT, MODEL_COMPONENT, RUNTIME_COMPONENT)
    }

    trained, compiled = len(cloud.sagemaker.trainings), len(cloud.sagemaker.compilations)
    again = cloud.runs()

    assert again["status"] == "deployed", again["reason"]
    assert (len(cloud.sagemaker.trainings), len(cloud.sagemaker.compilations)) == (
        trained,
        compiled,
    )
    assert again["model_version"] == record["model_version"]

    told = cloud.does("monitor", "--thing", THING, "--json")

    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["windows"] > 0

    calls = cloud.does("aws", "calls", record["run_id"])

    assert "| sagemaker | CreateTrainingJob |" in calls.stdout, calls.stderr
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in calls.stdout + told.stdout
    shown = calls.stdout
    if request.config.getoption("--renew-docs"):
        before, _, rest = DOCS.read_text().partition(MARK)
        DOCS.write_text(f"{before}{MARK}\n\n{shown}\n## {rest.partition('\n## ')[2]}")
    assert operations(shown) == operations(
        DOCS.read_text().partition(MARK)[2].partition("\n## ")[0]
    )

    gone = cloud.does("down", "--backend", "aws", "--yes", "--data")

    assert gone.returncode == 0, gone.stderr
    assert cloud.account.client("iot").list_topic_rules()["rules"] == []
    left = cloud.account.client("s3").list_objects_v2(Bucket=cloud.account.settings.bucket)
    assert left.get("Contents", []) == []
