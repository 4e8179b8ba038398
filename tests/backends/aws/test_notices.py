"""People who subscribed to a topic of SNS are told of the fleet's news, at moto's server."""

from typing import Any

import pytest

from backends.artifacts import Message
from backends.aws.account import Account
from backends.aws.notices import SnsChannel
from backends.errors import EdgewardError

NEWS = Message(
    "0123abcd", "critical", "Gärten: hub-1 was\nrolled back" + "!" * 100, "See `edgeward`."
)


def subscribed(account: Account, arn: str) -> str:
    """A queue that gets what the topic passes on; its address."""
    sqs = account.client("sqs")
    url = str(sqs.create_queue(QueueName="people")["QueueUrl"])
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    account.client("sns").subscribe(
        TopicArn=arn,
        Protocol="sqs",
        Endpoint=queue["Attributes"]["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    return url


def heard(account: Account, url: str) -> list[dict[str, Any]]:
    answer = account.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )
    found: list[dict[str, Any]] = answer.get("Messages", [])
    return found


@pytest.mark.parametrize("own", [True, False], ids=["of the settings", "of the devices' alerts"])
def test_who_subscribed_is_told(account: Account, own: bool) -> None:
    name = "people" if own else f"{account.settings.prefix}-alerts"
    arn = str(account.client("sns").create_topic(Name=name)["TopicArn"])
    url = subscribed(account, arn)

    SnsChannel(account, arn if own else "", "warning").send(NEWS)

    (message,) = heard(account, url)
    assert message["Body"] == "See `edgeward`."
    attributes = {key: one["StringValue"] for key, one in message["MessageAttributes"].items()}
    assert attributes == {"severity": "critical", "id": "0123abcd"}


def test_a_topic_that_is_not_there_is_an_error_that_others_survive(account: Account) -> None:
    arn = f"arn:aws:sns:{account.region}:123456789012:nobody"

    with pytest.raises(EdgewardError, match="nobody"):
        SnsChannel(account, arn, "warning").send(NEWS)
