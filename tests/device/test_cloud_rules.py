"""What the real component publishes is what the topic rules of an AWS account take."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.artifacts import StoredMessage
from backends.aws.account import Account
from backends.aws.results_store import StoredMessages
from backends.aws.topic_rules import TopicRules
from backends.settings import AwsSettings
from edge.contract import RESULTS_TOPIC, alerts_topic, statistics_topic
from tasks.statistics_store import read_new_windows
from tests.device.conftest import THING, MakeDevice, of_kind
from tests.fakes.aws_server import AwsServer
from tests.fakes.rule_engine import RuleEngine
from tests.fakes.subscriber import Subscriber
from tests.tiny_model import CLASSES

pytestmark = [pytest.mark.device, pytest.mark.jobs]
BUCKET = "hubs"
ANYTHING = {"Name": "anything", "Labels": list(CLASSES), "MinScore": "0", "Sightings": "1"}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with AwsServer() as server:
        settings = AwsSettings(
            region="eu-west-1",
            bucket=BUCKET,
            rule_role="arn:aws:iam::123456789012:role/rules",
            endpoint_url=server.url,
        )
        server.reset()
        account = Account(settings)
        place = {"LocationConstraint": "eu-west-1"}
        account.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
        yield account


@of_kind(["classic"])  # both publish the same; tests/device/test_component.py shows it
def test_results_statistics_and_alerts_go_where_they_belong(
    make_device: MakeDevice, account: Account, tmp_path: Path
) -> None:
    TopicRules(account).create(dict.fromkeys(CLASSES, 0.0))
    engine = RuleEngine(account)
    device = make_device(Alerts=[ANYTHING], StatisticsInterval="1")
    device.add_picture("a.png")
    device.start()
    published: dict[str, dict[str, Any]] = {
        topic: device.message(topic)
        for topic in (RESULTS_TOPIC, alerts_topic(THING), statistics_topic(THING))
    }

    with Subscriber(account, "edgeward-alerts") as heard:
        acted = {
            topic: engine.publish(topic, message, THING) for topic, message in published.items()
        }
        alerts = heard.messages()

    assert acted == {
        RESULTS_TOPIC: ["edgeward_results", "edgeward_sightings"],
        alerts_topic(THING): ["edgeward_alerts"],
        statistics_topic(THING): ["edgeward_statistics"],
    }
    assert alerts == [published[alerts_topic(THING)]]
    (result,) = StoredMessages(account, "results").stored(THING, "")
    assert isinstance(result, StoredMessage)
    assert json.loads(result.payload) == published[RESULTS_TOPIC]
    found = read_new_windows(StoredMessages(account, "statistics"), tmp_path, THING)
    assert ([window.summary.count for window in found.windows], found.skipped) == (
        [published[statistics_topic(THING)]["count"]],
        {},
    )
