"""AWS IoT's rule engine: evaluates the rules that an account has, and carries out their actions.

Rules are read from the account over HTTP, as it keeps them; S3, SNS and CloudWatch Logs get what
the actions say. An action that fails goes to the error action.
"""

import json
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from awscrt import mqtt
from botocore.exceptions import ClientError

from backends.aws.account import Account
from tests.fakes.iot_sql import UNDEFINED, Message, fill_in, parse, run


@contextmanager
def follow(engine: "RuleEngine", port: int) -> Iterator[None]:
    """Gives the engine what is published at a broker on loopback, as IoT Core does."""
    heard: queue.Queue[tuple[str, bytes] | None] = queue.Queue()
    connection = mqtt.Connection(
        client=mqtt.Client(),
        host_name="127.0.0.1",
        port=port,
        client_id="rules",
        clean_session=True,
        keep_alive_secs=30,
    )

    def work() -> None:
        while (message := heard.get()) is not None:
            topic, payload = message
            with suppress(ValueError):  # no JSON: no rule of ours is for that
                content = json.loads(payload)
                engine.publish(topic, content, str(content.get("thing", "")))

    worker = threading.Thread(target=work)
    worker.start()
    connection.on_message(lambda topic, payload, **_: heard.put((topic, bytes(payload))))
    connection.connect().result(30)
    try:
        connection.subscribe("#", mqtt.QoS.AT_LEAST_ONCE)[0].result(30)
        yield
    finally:
        connection.disconnect().result(30)
        heard.put(None)
        worker.join()


class RuleEngine:
    def __init__(self, account: Account) -> None:
        self._account = account

    def publish(
        self, topic: str, payload: Mapping[str, Any], client_id: str, received_ms: int = 0
    ) -> list[str]:
        """The names of the rules that acted."""
        at = received_ms or time.time_ns() // 1_000_000
        message = Message(topic, dict(payload), client_id, at)
        iot = self._account.client("iot")
        acted = []
        for listed in iot.list_topic_rules()["rules"]:
            rule = iot.get_topic_rule(ruleName=listed["ruleName"])["rule"]
            assert rule["awsIotSqlVersion"] == "2016-03-23"
            outgoing = UNDEFINED if rule["ruleDisabled"] else run(parse(rule["sql"]), message)
            if outgoing is not UNDEFINED:
                acted.append(rule["ruleName"])
                for action in rule["actions"]:
                    self._act(rule, action, message, json.dumps(outgoing, default=float))
        return acted

    def _act(
        self, rule: Mapping[str, Any], action: Mapping[str, Any], message: Message, body: str
    ) -> None:
        ((kind, wanted),) = action.items()
        assert wanted["roleArn"].startswith("arn:aws:iam::")
        try:
            if kind == "s3":
                self._account.client("s3").put_object(
                    Bucket=wanted["bucketName"], Key=fill_in(wanted["key"], message), Body=body
                )
            elif kind == "sns":
                assert wanted["messageFormat"] == "RAW"
                self._account.client("sns").publish(TopicArn=wanted["targetArn"], Message=body)
            else:
                raise AssertionError(f"no action {kind} is carried out here")
        except ClientError as error:
            self._fail(rule, error)

    def _fail(self, rule: Mapping[str, Any], error: ClientError) -> None:
        logs = self._account.client("logs")
        group = rule["errorAction"]["cloudwatchLogs"]["logGroupName"]
        stream = rule["ruleName"]
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        event = {"timestamp": time.time_ns() // 1_000_000, "message": str(error)}
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
