"""Each way to tell people, at a real server of its kind; no secret comes out of it anywhere."""

import json
import logging
import os
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from pydantic import SecretStr

from backends.artifacts import Message
from backends.connect import channels
from backends.errors import BackendUnavailableError, InvalidInputError
from backends.local.fleet import LocalFleet
from backends.local.notices import CLIENT, TOPIC, MqttChannel
from backends.mail import MailChannel
from backends.settings import NotifySettings, Settings, load_settings
from backends.webhook import WebhookChannel

SECRET = "hunter2-in-the-path"
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while")

NEWS = Message("0123abcd", "warning", "porch drifts", "It is darker. See `edgeward monitor`.")


@contextmanager
def web_server(status: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    heard: list[dict[str, Any]] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"http://{self.headers['Host']}/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/{SECRET}", heard
        finally:
            server.shutdown()
            thread.join()


class Post:
    """Takes mail, for one user with a password if there is one."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        self.taken.append(envelope)
        return "250 OK"


def knows(
    _server: Any, _session: Any, _envelope: Any, _how: str, data: LoginPassword
) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"ward", SECRET.encode()))


@pytest.fixture
def post() -> Iterator[tuple[Post, NotifySettings]]:
    handler = Post()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(
        handler,
        hostname="127.0.0.1",
        port=port,
        authenticator=knows,
        auth_required=True,
        auth_require_tls=False,
    )
    server.start()
    yield (
        handler,
        NotifySettings(
            mail_to=("ada@example.com", "bob@example.com"),
            mail_from="hubs@example.com",
            smtp_host="127.0.0.1",
            smtp_port=port,
            smtp_security="none",
            smtp_username="ward",
            smtp_password=SecretStr(SECRET),
        ),
    )
    server.stop()


def test_a_webhook_gets_what_chat_systems_take() -> None:
    with web_server(204) as (url, heard):
        WebhookChannel(url).send(NEWS)

    assert heard == [
        {
            "subject": "porch drifts",
            "body": NEWS.body,
            "text": f"porch drifts: {NEWS.body}",
            "severity": "warning",
            "id": "0123abcd",
        }
    ]


@pytest.mark.parametrize("status", [302, 403, 500])
def test_a_webhook_that_refuses_is_an_error_without_its_address(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with web_server(status) as (url, heard), pytest.raises(BackendUnavailableError) as refused:
        WebhookChannel(url).send(NEWS)

    assert len(heard) == 1  # a redirection is not followed
    assert f"it answered {status}" in str(refused.value)
    assert SECRET not in f"{refused.getrepr()} {caplog.text}"


def test_a_webhook_that_is_away_is_an_error_without_its_address() -> None:
    with pytest.raises(BackendUnavailableError) as refused:
        WebhookChannel(f"http://127.0.0.1:9/{SECRET}").send(NEWS)

    assert "ConnectionRefusedError" in str(refused.value)
    assert SECRET not in str(refused.getrepr())


def test_an_e_mail_arrives_at_everybody_with_the_severity_in_its_subject(
    post: tuple[Post, NotifySettings],
) -> None:
    taken, settings = post

    MailChannel(settings).send(NEWS)

    (envelope,) = taken.taken
    text = str(envelope.content, "utf-8") if isinstance(envelope.content, bytes) else ""
    assert envelope.rcpt_tos == ["ada@example.com", "bob@example.com"]
    assert "Subject: [warning] porch drifts" in text
    assert "Message-ID: <0123abcd@edgeward>" in text
    assert "It is darker. See `edgeward monitor`." in text


def test_a_mail_server_that_refuses_the_password_is_an_error_without_it(
    post: tuple[Post, NotifySettings], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "backends")
    taken, settings = post
    wrong = settings.model_copy(update={"smtp_password": SecretStr(f"not-{SECRET}")})

    with pytest.raises(BackendUnavailableError) as refused:
        MailChannel(wrong).send(NEWS)

    assert taken.taken == []
    assert "it refused the login" in str(refused.value)
    assert SECRET not in f"{refused.getrepr()} {caplog.text}"


def test_without_starttls_a_password_is_not_sent(post: tuple[Post, NotifySettings]) -> None:
    _, settings = post

    with pytest.raises(BackendUnavailableError):
        MailChannel(settings.model_copy(update={"smtp_security": "starttls"})).send(NEWS)


def test_programs_hear_it_on_the_devices_broker(tmp_path: Path) -> None:
    from awscrt import io, mqtt

    from backends.local.cloud.passwords import Passwords

    fleet = LocalFleet(Settings(home=tmp_path))
    cloud = tmp_path / "cloud"
    fleet.ensure_cloud()
    try:
        port = json.loads((cloud / "endpoint.json").read_text())["port"]
        heard: queue.Queue[bytes] = queue.Queue()
        listener = mqtt.Connection(
            client=mqtt.Client(io.ClientBootstrap.get_or_create_static_default()),
            host_name="127.0.0.1",
            port=port,
            client_id="listener",
            clean_session=True,
            username="listener",
            password=Passwords(cloud / "passwords.json").issue("listener"),
            disable_metrics=True,
        )
        listener.connect().result(10)
        subscribed, _ = listener.subscribe(
            TOPIC, mqtt.QoS.AT_LEAST_ONCE, lambda payload, **_: heard.put(bytes(payload))
        )
        subscribed.result(10)

        (channel,) = channels(Settings(home=tmp_path))
        channel.send(NEWS)

        message = json.loads(heard.get(timeout=10))
        listener.disconnect().result(10)
    finally:
        fleet.stop_everything()
    assert message == {
        "id": "0123abcd",
        "severity": "warning",
        "subject": "porch drifts",
        "body": NEWS.body,
    }
    assert CLIENT == "edgeward-notices"
    with pytest.raises(BackendUnavailableError):
        MqttChannel(cloud).send(NEWS)


def test_without_settings_and_without_devices_there_is_only_the_log(tmp_path: Path) -> None:
    assert channels(Settings(home=tmp_path)) == []


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("WEBHOOK", f"ftp://{SECRET}", "http:// or https://"),
        ("QUIET", "at night", "22:00-07:00"),
        ("MAIL_TO", '["ada@example.com"]', "smtp_host and mail_from"),
        ("SNS_TOPIC", "hubs", "ARN"),
        ("SMTP_SECURITY", "hope", "starttls"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name_and_without_secrets(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(f"EDGEWARD_NOTIFY__{variable}", value)

    with pytest.raises(InvalidInputError) as refused:
        load_settings()

    assert "EDGEWARD_NOTIFY" in str(refused.value)
    assert reason in str(refused.value)
    assert SECRET not in str(refused.value)
    assert os.environ[f"EDGEWARD_NOTIFY__{variable}"] == value
