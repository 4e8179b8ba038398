"""What devices say reaches a run over MQTT: from its start, by mutual TLS or signed websockets.

What would break for a user: without it, the gate device.first-result never hears an answer.
"""

import hashlib
import hmac
import logging
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from awscrt import io, mqtt

from backends.aws.account import Account
from backends.aws.live_results import LiveResults
from backends.errors import BackendBlockedError, BackendUnavailableError, InvalidInputError
from backends.settings import AwsSettings
from edge.contract import RESULTS_TOPIC, encode, result_message
from tests.backends.aws.conftest import REGION
from tests.fakes.iot_broker import Authority, IotBroker
from tests.fakes.tls_gate import Gate

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "a-secret-that-no-record-may-hold"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[IotBroker]:
    with IotBroker(tmp_path / "certificates") as running:
        yield running


@pytest.fixture
def settings(broker: IotBroker, credentials: None) -> AwsSettings:
    certificate, key = broker.authority.client
    return AwsSettings(
        region=REGION,
        iot_endpoint=f"localhost:{broker.tls_port}",
        certificate=str(certificate),
        private_key=str(key),
        ca_file=str(broker.authority.certificate),
    )


@pytest.fixture
def live(settings: AwsSettings) -> Iterator[LiveResults]:
    heard = LiveResults(Account(settings), kept=5, answer_seconds=10)
    yield heard
    heard.close()


class Device:
    """Publishes as the inference component of a thing does."""

    def __init__(self, broker: IotBroker, thing: str) -> None:
        self._thing = thing
        self._connection = mqtt.Connection(
            mqtt.Client(io.ClientBootstrap.get_or_create_static_default()),
            host_name="127.0.0.1", port=broker.plain_port, client_id=thing, clean_session=True,
            username=thing, password="known", disable_metrics=True,
            reconnect_min_timeout_secs=1, reconnect_max_timeout_secs=1,
        )  # fmt: skip
        self._connection.connect().result(10)

    def says(self, label: str, message_id: str = "") -> None:
        message = result_message(
            thing=self._thing, model_version="1.0.0", scores={label: 0.9}, score_threshold=0.3,
            max_results=5, image_id="0" * 64, latency_ms=1.0, taken_at=datetime.now(UTC),
            message_id=message_id or None,
        )  # fmt: skip
        self.publishes(encode(message))

    def publishes(self, payload: bytes) -> None:
        self._connection.publish(RESULTS_TOPIC, payload, mqtt.QoS.AT_LEAST_ONCE)[0].result(10)

    def leave(self) -> None:
        self._connection.disconnect().result(10)


@pytest.fixture
def hub(broker: IotBroker) -> Iterator[Device]:
    device = Device(broker, "hub-1")
    yield device
    device.leave()


def test_what_a_thing_says_after_the_start_arrives_and_what_others_say_does_not(
    live: LiveResults, broker: IotBroker, hub: Device
) -> None:
    porch = Device(broker, "porch")
    live.start()

    porch.says("dog")
    hub.publishes(b"no message of ours")
    hub.says("cat")
    hub.says("car")
    heard = live.wait("hub-1", LONG_AGO, 2, timeout=10)
    porch.leave()

    assert [(result.label, result.thing) for result in heard] == [
        ("cat", "hub-1"),
        ("car", "hub-1"),
    ]
    assert heard[0].payload["inference-results"] == [{"Label": "cat", "Score": "0.9"}]


def test_what_came_before_a_moment_is_left_out_and_a_timeout_gives_fewer(
    live: LiveResults, hub: Device
) -> None:
    live.start()
    hub.says("before")
    live.wait("hub-1", LONG_AGO, 1, timeout=10)
    since = datetime.now(UTC)

    assert live.wait("hub-1", since, 1, timeout=0.2) == ()
    hub.says("after")
    (heard,) = live.wait("hub-1", since, 1, timeout=10)

    assert heard.label == "after"


def test_a_message_that_is_delivered_twice_counts_once_and_the_oldest_are_forgotten(
    live: LiveResults, hub: Device
) -> None:
    """A run that waits for hours must not grow."""
    live.start()
    for number in [*range(8), 7]:
        hub.says(str(number), message_id=str(number))
    live.wait("hub-1", LONG_AGO, 6, timeout=0.5)

    heard = live.wait("hub-1", LONG_AGO, 100, timeout=0)

    assert [result.label for result in heard] == ["3", "4", "5", "6", "7"]


@pytest.mark.slow
def test_a_broker_that_was_away_is_found_again(
    live: LiveResults, broker: IotBroker, caplog: pytest.LogCaptureFixture
) -> None:
    live.start()
    broker.stop()
    broker.start()
    deadline = datetime.now(UTC).timestamp() + 60
    again = Device(broker, "hub-1")

    while not live.wait("hub-1", LONG_AGO, 1, timeout=1):
        assert datetime.now(UTC).timestamp() < deadline, "nothing is heard any more"
        again.says("back")
    again.leave()

    assert "was lost" in caplog.text


def test_after_the_end_nothing_is_heard_and_the_broker_keeps_nothing(
    live: LiveResults, hub: Device
) -> None:
    live.start()
    live.close()
    live.close()

    hub.says("late")

    assert live.wait("hub-1", LONG_AGO, 1, timeout=0.3) == ()


def test_a_certificate_of_another_authority_is_refused_with_the_settings_to_look_at(
    settings: AwsSettings, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other", "another authority")
    certificate, key = map(str, other.client)
    wrong = settings.model_copy(update={"certificate": certificate, "private_key": key})

    with pytest.raises(BackendBlockedError, match="EDGEWARD_AWS__IOT_ENDPOINT, __CERTIFICATE"):
        LiveResults(Account(wrong), answer_seconds=10).start()


def test_a_server_that_the_authority_does_not_vouch_for_is_not_spoken_to(
    settings: AwsSettings, tmp_path: Path
) -> None:
    gate = Gate(Authority(tmp_path / "other", "another authority"))
    gate.start()
    wrong = settings.model_copy(update={"iot_endpoint": f"localhost:{gate.port}"})

    with pytest.raises(BackendBlockedError, match="certificates do not fit"):
        LiveResults(Account(wrong), answer_seconds=10).start()
    gate.join()

    assert gate.asked == ""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"certificate": "/no/such.pem"}, "__CERTIFICATE: there is no file", id="file"),
        pytest.param({"private_key": ""}, "__PRIVATE_KEY: .* go together", id="half"),
        pytest.param(
            {"certificate": __file__, "private_key": __file__},
            "__CERTIFICATE: .* are no certificate and its key",
            id="content",
        ),
        pytest.param({"iot_endpoint": "https://x"}, "not HOST or HOST:PORT", id="endpoint"),
    ],
)
def test_a_wrong_setting_is_named(
    settings: AwsSettings, changed: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        LiveResults(Account(settings.model_copy(update=changed))).start()


def test_a_broker_that_does_not_answer_may_be_tried_again(settings: AwsSettings) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = settings.model_copy(update={"iot_endpoint": f"localhost:{nobody.getsockname()[1]}"})

        with pytest.raises(BackendUnavailableError) as refused:
            LiveResults(Account(away), answer_seconds=10).start()

    assert not isinstance(refused.value, BackendBlockedError)


def signed(settings: AwsSettings, port: int) -> AwsSettings:
    return settings.model_copy(
        update={"certificate": "", "private_key": "", "iot_endpoint": f"localhost:{port}"}
    )


def test_without_a_certificate_results_come_over_signed_websockets(
    settings: AwsSettings, broker: IotBroker, hub: Device
) -> None:
    live = LiveResults(Account(signed(settings, broker.websocket_port)), answer_seconds=10)
    live.start()

    hub.says("cat")
    heard = live.wait("hub-1", LONG_AGO, 1, timeout=10)
    live.close()

    assert [result.label for result in heard] == ["cat"]


def test_the_websocket_handshake_is_signed_for_the_endpoint_and_no_log_holds_a_secret(
    settings: AwsSettings,
    broker: IotBroker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session-token")
    caplog.set_level(logging.DEBUG)
    gate = Gate(broker.authority)
    gate.start()

    with pytest.raises(BackendBlockedError, match="Allow iot:Connect") as refused:
        LiveResults(Account(signed(settings, gate.port)), answer_seconds=10).start()
    gate.join()

    line, *lines = gate.asked.strip().splitlines()
    headers = {name.lower(): value for name, _, value in (text.partition(": ") for text in lines)}
    method, target, _ = line.split()
    query = dict(parse_qsl(urlsplit(target).query))
    day = query["X-Amz-Date"][:8]
    scope = f"{day}/{REGION}/iotdevicegateway/aws4_request"
    assert (method, urlsplit(target).path) == ("GET", "/mqtt")
    assert headers["host"] == "localhost"
    assert query["X-Amz-Credential"] == f"testing/{scope}"
    assert query["X-Amz-Security-Token"] == "a-session-token"
    assert query["X-Amz-Signature"] == _signature(target, headers, query, scope)
    said = f"{refused.value!r} {refused.value} {caplog.text}"
    assert SECRET not in said
    assert "a-session-token" not in said


def _signature(
    target: str, headers: Mapping[str, str], query: Mapping[str, str], scope: str
) -> str:
    """Signature Version 4, worked out anew. IoT wants the session token left out of it."""
    parts = sorted(
        part
        for part in urlsplit(target).query.split("&")
        if not part.startswith(("X-Amz-Signature=", "X-Amz-Security-Token="))
    )
    names = query["X-Amz-SignedHeaders"].split(";")
    said = "".join(f"{name}:{headers[name]}\n" for name in names)
    empty = hashlib.sha256(b"").hexdigest()
    request = f"GET\n/mqtt\n{'&'.join(parts)}\n{said}\n{';'.join(names)}\n{empty}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def test_without_an_endpoint_iot_is_asked_for_it(account: Account) -> None:
    assert LiveResults(account)._endpoint().endswith(f"-ats.iot.{REGION}.amazonaws.com")


def test_without_credentials_the_remedy_is_to_log_in(
    settings: AwsSettings, broker: IotBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(BackendBlockedError, match=r"no credentials.*aws sso login"):
        LiveResults(Account(signed(settings, broker.websocket_port))).start()
