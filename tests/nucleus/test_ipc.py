"""The AWS client, unchanged, against our IPC server; and clients that break the rules."""

import datetime
import json
import queue
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from awscrt.exceptions import AwsCrtError
from awsiot.eventstreamrpc import AccessDeniedError
from awsiot.greengrasscoreipc import connect
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import (
    BinaryMessage,
    ConfigurationValidityReport,
    ConfigurationValidityStatus,
    FailedUpdateConditionCheckError,
    InvalidArgumentsError,
    JsonMessage,
    PublishMessage,
    ReportedLifecycleState,
    ResourceNotFoundError,
    ServiceError,
    UnauthorizedError,
)

from backends.local.nucleus.eventstream import Frame, Header, decode, encode, int32, text
from backends.local.nucleus.kind import LITE
from backends.local.nucleus.rpc import OperationError
from tests.fakes.core_device import CoreDevice

COMPONENT = "edgeward.Test"
CONFIGURATION: dict[str, Any] = {
    "accessControl": {
        "aws.greengrass.ipc.mqttproxy": {
            "edgeward.Test:mqttproxy:1": {
                "operations": [
                    "aws.greengrass#PublishToIoTCore",
                    "aws.greengrass#SubscribeToIoTCore",
                ],
                "resources": ["ml/dlr/image-classification", "edgeward/+/commands"],
            }
        },
        "aws.greengrass.ipc.pubsub": {
            "edgeward.Test:pubsub:1": {"operations": ["*"], "resources": ["local/*"]}
        },
    },
    "InferenceInterval": "3600",
    "nested": {"port": {"http": 80}, "tags": ["a"], "nothing": None},
}


@pytest.fixture
def device(tmp_path: Path) -> Iterator[CoreDevice]:
    with CoreDevice(tmp_path, COMPONENT, CONFIGURATION) as running:
        yield running


def client_of(device: CoreDevice, token: str | None = None) -> GreengrassCoreIPCClientV2:
    token = device.environment["SVCUID"] if token is None else token
    return GreengrassCoreIPCClientV2(
        client=connect(ipc_socket=str(device.socket), authtoken=token, timeout=10)
    )


@pytest.fixture
def client(device: CoreDevice) -> Iterator[GreengrassCoreIPCClientV2]:
    connected = client_of(device)
    yield connected
    connected.close()


class Events:
    """Collects a subscription's events."""

    def __init__(self) -> None:
        self.seen: queue.Queue[Any] = queue.Queue()
        self.closed = threading.Event()

    def handlers(self) -> dict[str, Any]:
        return {
            "on_stream_event": self.seen.put,
            "on_stream_error": lambda _error: True,
            "on_stream_closed": self.closed.set,
        }

    def next(self) -> Any:
        return self.seen.get(timeout=5)


def test_a_component_without_its_token_is_turned_away(device: CoreDevice) -> None:
    with pytest.raises(AccessDeniedError):
        client_of(device, token="NOTATOKEN")


def test_the_token_of_an_earlier_start_is_worthless(device: CoreDevice) -> None:
    device.tokens.issue(COMPONENT)

    with pytest.raises(AccessDeniedError):
        client_of(device)


def test_a_result_reaches_iot_core_as_it_was_published(device: CoreDevice, client: Any) -> None:
    client.publish_to_iot_core(
        topic_name="ml/dlr/image-classification", qos="1", payload=b'{"label": "cat"}'
    )

    message = device.next_message()
    assert (message.topic, message.payload, message.qos) == (
        "ml/dlr/image-classification",
        b'{"label": "cat"}',
        1,
    )


def test_publishing_to_a_topic_that_was_not_granted_is_unauthorized(
    device: CoreDevice, client: Any
) -> None:
    with pytest.raises(UnauthorizedError) as refused:
        client.publish_to_iot_core(topic_name="other", qos="1", payload=b"x")

    assert refused.value.message == "Not Authorized"
    assert device.mqtt.messages.empty()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"qos": "1", "payload": b"x"}, "Topic is required"),
        ({"topic_name": "ml/dlr/image-classification", "qos": "1"}, "Payload is required"),
        ({"topic_name": "ml/dlr/image-classification", "payload": b"x"}, "QoS is required"),
        (
            {"topic_name": "ml/dlr/image-classification", "payload": b"x", "qos": "2"},
            "Invalid QoS value: 2",
        ),
    ],
    ids=["topic", "payload", "qos", "qos 2"],
)
def test_an_incomplete_publish_names_what_is_wrong(
    client: Any, request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgumentsError) as refused:
        client.publish_to_iot_core(**request_)

    assert refused.value.message == message


def test_a_full_queue_answers_service_error(device: CoreDevice, client: Any) -> None:
    device.mqtt.fault = OperationError("ServiceError", "the spool is full")

    with pytest.raises(ServiceError) as failed:
        client.publish_to_iot_core(topic_name="ml/dlr/image-classification", qos="1", payload=b"x")

    assert failed.value.message == "the spool is full"


def test_messages_from_iot_core_arrive_until_the_subscription_is_closed(
    device: CoreDevice, client: Any
) -> None:
    events = Events()
    _, operation = client.subscribe_to_iot_core(
        topic_name="edgeward/+/commands", qos="1", **events.handlers()
    )

    device.deliver("edgeward/test-thing/commands", b"capture")
    event = events.next()
    assert event.message.topic_name == "edgeward/test-thing/commands"
    assert event.message.payload == b"capture"

    operation.close().result(timeout=5)
    assert events.closed.wait(5)
    client.get_configuration()  # the close was handled before this answer
    assert device.mqtt._receivers == []


def test_components_talk_to_each_other_on_local_topics(device: CoreDevice, client: Any) -> None:
    plain, wild = Events(), Events()
    client.subscribe_to_topic(topic="local/alerts", **plain.handlers())
    client.subscribe_to_topic(topic="local/#", **wild.handlers())

    client.publish_to_topic(
        topic="local/alerts",
        publish_message=PublishMessage(json_message=JsonMessage(message={"label": "child"})),
    )
    client.publish_to_topic(
        topic="local/alerts",
        publish_message=PublishMessage(binary_message=BinaryMessage(message=b"\x00\xff")),
    )

    first, second = plain.next(), plain.next()
    assert first.json_message.message == {"label": "child"}
    assert first.json_message.context.topic == "local/alerts"
    assert second.binary_message.message == b"\x00\xff"
    assert wild.seen.empty()  # wildcard subscriptions default to others' messages


def test_a_local_publish_needs_a_grant_and_a_plain_topic(client: Any) -> None:
    message = PublishMessage(json_message=JsonMessage(message={}))

    with pytest.raises(UnauthorizedError):
        client.publish_to_topic(topic="elsewhere", publish_message=message)
    with pytest.raises(InvalidArgumentsError):
        client.publish_to_topic(topic="local/+", publish_message=message)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["InferenceInterval"], {"InferenceInterval": "3600"}),
        (["nested", "port"], {"http": 80}),
        (["nested", "port", "http"], {"http": 80}),
        (["nested", "tags"], {"tags": ["a"]}),
        (["nested", "nothing"], {"nothing": None}),
        (None, CONFIGURATION),
    ],
    ids=["leaf", "object", "deep leaf", "list", "null", "all"],
)
def test_configuration_is_read_by_key_path(client: Any, path: Any, value: Any) -> None:
    answer = client.get_configuration(key_path=path)

    assert (answer.component_name, answer.value) == (COMPONENT, value)


def test_an_unknown_key_is_not_found(client: Any) -> None:
    with pytest.raises(ResourceNotFoundError) as missing:
        client.get_configuration(key_path=["nested", "absent"])
    assert missing.value.message == "Key not found"

    with pytest.raises(ResourceNotFoundError):
        client.get_configuration(component_name="no.such.Component")


def test_a_deployment_tells_the_component_which_key_changed(
    device: CoreDevice, client: Any
) -> None:
    events = Events()
    client.subscribe_to_configuration_update(**events.handlers())

    device.merge({"InferenceInterval": "3600", "nested": {"port": {"http": 8080}}})

    update = events.next().configuration_update_event
    assert (update.component_name, update.key_path) == (COMPONENT, ["nested", "port", "http"])
    assert events.seen.empty()  # the same value again is no change
    assert client.get_configuration(key_path=["nested", "port", "http"]).value == {"http": 8080}


def test_a_component_updates_its_own_configuration_unless_its_news_is_old(client: Any) -> None:
    now = datetime.datetime.now(datetime.UTC)

    client.update_configuration(key_path=["nested"], timestamp=now, value_to_merge={"port": 1})
    assert client.get_configuration(key_path=["nested", "port"]).value == {"port": 1}

    with pytest.raises(FailedUpdateConditionCheckError):
        client.update_configuration(
            key_path=["nested"],
            timestamp=now - datetime.timedelta(hours=1),
            value_to_merge={"port": 2},
        )
    with pytest.raises(InvalidArgumentsError):
        client.update_configuration(timestamp=now, value_to_merge={"accessControl": {}})


def test_readiness_reaches_the_lifecycle(device: CoreDevice, client: Any) -> None:
    client.update_state(state=ReportedLifecycleState.RUNNING)

    assert device.lifecycle.states == [(COMPONENT, "RUNNING")]


def test_a_component_can_reject_a_configuration(device: CoreDevice, client: Any) -> None:
    events = Events()
    client.subscribe_to_validate_configuration_updates(**events.handlers())

    device.validate("deployment-1", {"InferenceInterval": "-1"})
    asked = events.next().validate_configuration_update_event
    client.send_configuration_validity_report(
        configuration_validity_report=ConfigurationValidityReport(
            status=ConfigurationValidityStatus.REJECTED,
            deployment_id=asked.deployment_id,
            message="negative",
        )
    )

    assert asked.configuration == {"InferenceInterval": "-1"}
    assert device.lifecycle.validity == [("deployment-1", False, "negative")]


def test_an_operation_that_we_do_not_offer_is_a_service_error(client: Any) -> None:
    with pytest.raises(ServiceError):
        client.get_secret_value(secret_id="password")


def test_fifty_clients_publish_at_once_and_nothing_is_lost(device: CoreDevice) -> None:
    clients, each = 50, 20

    def work(number: int) -> None:
        connected = client_of(device)
        for index in range(each):
            connected.publish_to_iot_core(
                topic_name="ml/dlr/image-classification",
                qos="1",
                payload=f"{number}/{index}".encode(),
            )
        connected.close()

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(work, range(clients)))

    received = [device.mqtt.messages.get_nowait().payload.decode() for _ in range(clients * each)]
    assert len(set(received)) == clients * each
    for number in range(clients):
        mine = [int(r.split("/")[1]) for r in received if r.startswith(f"{number}/")]
        assert mine == sorted(mine)


@pytest.mark.parametrize(
    "wanted",
    [
        {"key_path": ["absent"]},
        {"component_name": "edgeward.Absent"},
        {"key_path": ["nested", "x"]},
    ],
)
def test_what_is_not_there_cannot_be_watched_on_the_classic_nucleus(
    wanted: dict[str, Any], client: Any
) -> None:
    with pytest.raises(ResourceNotFoundError) as raised:
        client.subscribe_to_configuration_update(**wanted, **Events().handlers())

    assert raised.value.message == "Key not found"


def test_nucleus_lite_lets_a_component_watch_what_is_not_there_yet(tmp_path: Path) -> None:
    with CoreDevice(tmp_path, COMPONENT, CONFIGURATION, nucleus=LITE) as device:
        connected, events = client_of(device), Events()
        connected.subscribe_to_configuration_update(key_path=["absent"], **events.handlers())
        device.merge({"absent": 1})
        assert events.next().configuration_update_event.key_path == ["absent"]
        connected.close()


@pytest.mark.parametrize(
    "topic",
    [
        "edgeward/\x01/commands",
        "edgeward/\x7f/commands",
        "edgeward/\x9f/commands",
        "edgeward/\ufffe/commands",
        "edgeward/\ufdd0/commands",
        "edgeward/\U0001ffff/commands",
        f"edgeward/{'x' * 250}/commands",
        "edgeward/a/b/c/d/e/f/g/commands",
        "$share/group/edgeward",
    ],
)
def test_a_topic_that_iot_core_would_not_take_is_an_invalid_argument(
    topic: str, client: Any
) -> None:
    with pytest.raises(InvalidArgumentsError):
        client.publish_to_iot_core(topic_name=topic, qos="1", payload=b"x")
    with pytest.raises(InvalidArgumentsError):
        client.subscribe_to_iot_core(topic_name=topic, qos="1", **Events().handlers())


def test_a_message_may_have_the_size_that_iot_core_takes_and_no_more(tmp_path: Path) -> None:
    with CoreDevice(tmp_path, COMPONENT, CONFIGURATION) as device:
        connected, topic = client_of(device), "ml/dlr/image-classification"
        connected.publish_to_iot_core(topic_name=topic, qos="1", payload=b"x" * 131_072)

        with pytest.raises(InvalidArgumentsError) as raised:
            connected.publish_to_iot_core(topic_name=topic, qos="1", payload=b"x" * 131_073)

        assert "131073 bytes" in raised.value.message
        assert len(device.next_message().payload) == 131_072
        assert device.mqtt.messages.empty()
        connected.close()


class RawClient:
    """Speaks frames, right or wrong."""

    def __init__(self, device: CoreDevice) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(str(device.socket))
        self.token = device.environment["SVCUID"]

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(
        self, kind: int, flags: int, stream: int, payload: bytes = b"", **headers: str
    ) -> None:
        given: dict[str, Header] = {name.replace("_", ":"): text(v) for name, v in headers.items()}
        given[":message-type"] = int32(kind)
        given[":message-flags"] = int32(flags)
        given[":stream-id"] = int32(stream)
        self.socket.sendall(encode(Frame(given, payload)))

    def connect(self, version: str = "0.1.0") -> Frame:
        self.send(4, 0, 0, json.dumps({"authToken": self.token}).encode(), _version=version)
        return self.read()

    def read(self) -> Frame:
        return decode(self.read_bytes())

    def read_bytes(self) -> bytes:
        prelude = self._exactly(12)
        return prelude + self._exactly(int.from_bytes(prelude[:4]) - 12)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def closed(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True


def kind_of(frame: Frame) -> Any:
    return frame.headers[":message-type"].value


GET = "aws.greengrass#GetConfiguration"


def test_a_ping_is_answered_with_its_payload(device: CoreDevice) -> None:
    with RawClient(device) as raw:
        raw.connect()
        raw.send(2, 0, 0, b"hello", mark="x")
        answer = raw.read()

    assert (kind_of(answer), answer.payload) == (3, b"hello")
    assert answer.headers["mark"].value == "x"


def test_another_protocol_version_is_refused(device: CoreDevice) -> None:
    with RawClient(device) as raw:
        answer = raw.connect(version="9.9.9")

        assert (kind_of(answer), answer.headers[":message-flags"].value) == (5, 0)
        assert raw.closed()


@pytest.mark.parametrize(
    ("kind", "stream", "operation"),
    [(0, 2, GET), (0, 1, ""), (4, 1, GET), (4, 0, ""), (0, 0, GET), (99, 1, GET), (0, -1, GET)],
    ids=[
        "a gap in the ids",
        "no operation",
        "connect on a stream",
        "second connect",
        "a request on stream 0",
        "an unknown type",
        "a negative id",
    ],
)
def test_breaking_a_stream_rule_ends_the_connection_with_a_protocol_error(
    device: CoreDevice, kind: int, stream: int, operation: str
) -> None:
    with RawClient(device) as raw:
        raw.connect()
        headers = {"operation": operation} if operation else {}
        raw.send(kind, 0, stream, b"{}", **headers)

        assert kind_of(raw.read()) == 6
        assert raw.closed()
    client_of(device).close()  # others are served as before


def test_a_request_before_the_handshake_is_a_protocol_error(device: CoreDevice) -> None:
    with RawClient(device) as raw:
        raw.send(0, 0, 1, b"{}", operation=GET)

        assert kind_of(raw.read()) == 6
        assert raw.closed()


def test_closing_a_stream_that_is_already_closed_is_ignored(device: CoreDevice) -> None:
    with RawClient(device) as raw:
        raw.connect()
        raw.send(0, 0, 1, b"{}", operation=GET)
        assert raw.read().headers[":message-flags"].value == 2
        raw.send(0, 2, 1)
        raw.send(0, 0, 2, b"{}", operation=GET)

        assert kind_of(raw.read()) == 0


def test_bytes_that_are_no_frame_end_only_their_own_connection(device: CoreDevice) -> None:
    with RawClient(device) as raw:
        raw.connect()
        raw.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")

        assert kind_of(raw.read()) == 6
        assert raw.closed()
    client_of(device).close()


def test_a_request_that_is_no_json_object_is_an_invalid_argument(device: CoreDevice) -> None:
    with RawClient(device) as raw:
        raw.connect()
        raw.send(0, 0, 1, b"[1]", operation=GET)
        answer = raw.read()

    assert kind_of(answer) == 1
    assert json.loads(answer.payload)["_errorCode"] == "InvalidArgumentsError"


def test_a_frame_above_a_lite_devices_limit_ends_the_connection(tmp_path: Path) -> None:
    with CoreDevice(tmp_path, COMPONENT, CONFIGURATION, nucleus=LITE) as device:
        connected = client_of(device)
        with pytest.raises((RuntimeError, AwsCrtError)):  # by its timing
            connected.publish_to_iot_core(
                topic_name="ml/dlr/image-classification", qos="1", payload=b"x" * 9_000
            )
        connected.close()


def test_a_device_in_a_deep_folder_still_has_a_socket_short_enough(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)

    with CoreDevice(deep, COMPONENT, CONFIGURATION) as device:
        client_of(device).close()
        assert (deep / "ipc.socket").is_socket()
        assert len(str(device.socket)) < 107


def test_a_thousand_messages_a_second_pass_without_loss(device: CoreDevice) -> None:
    count = 3000
    connected = client_of(device)
    started = time.monotonic()
    futures = [
        connected.publish_to_iot_core_async(
            topic_name="ml/dlr/image-classification", qos="1", payload=str(n).encode()
        )
        for n in range(count)
    ]
    for future in futures:
        future.result(timeout=30)
    elapsed = time.monotonic() - started
    connected.close()

    received = [int(device.mqtt.messages.get_nowait().payload) for _ in range(count)]
    assert received == list(range(count))
    assert elapsed < 15  # far slower than measured; two cores may be shared
