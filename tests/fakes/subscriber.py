"""Somebody who subscribed to an SNS topic, with a queue: reads what the topic passes on."""

import json
from types import TracebackType
from typing import Any, Self

from backends.aws.account import Account


class Subscriber:
    def __init__(self, account: Account, topic: str) -> None:
        self._sqs = account.client("sqs")
        self._sns = account.client("sns")
        (arn,) = [
            found["TopicArn"]
            for found in self._sns.list_topics()["Topics"]
            if found["TopicArn"].endswith(f":{topic}")
        ]
        self._arn = arn
        self._queue = ""

    def __enter__(self) -> Self:
        self._queue = self._sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(
            QueueUrl=self._queue, AttributeNames=["QueueArn"]
        )["Attributes"]
        self._sns.subscribe(
            TopicArn=self._arn,
            Protocol="sqs",
            Endpoint=attributes["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sqs.delete_queue(QueueUrl=self._queue)

    def messages(self) -> list[dict[str, Any]]:
        """Those that arrived; the topic delivers before it answers."""
        answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]
