"""What the keys of the watch over a new model change, and those of who is told, and when."""

import contextlib
import logging
import socket
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from prefect.events import emit_event
from pydantic import SecretStr

from backends.artifacts import Message
from backends.connect import channels
from backends.errors import BackendUnavailableError
from backends.mail import MailChannel
from backends.quiet_time import parse_quiet_time
from backends.settings import NotifySettings, Settings
from flows.notify import NotifyPlan, news
from tasks.notices.telling import tell
from tasks.quality.judging import judge_agreement, judge_alerts
from tasks.quality.verdicts import Judged
from tasks.variant_comparison import VariantLimits, compare, sort_results
from tests.architecture.effects.effect import Effect
from tests.tasks.test_notices import drift
from tests.tasks.test_quality import after, judged, results, watched

TOPIC = "arn:aws:sns:eu-west-1:123456789012:hubs"
WEBHOOK = SecretStr("http://127.0.0.1:9/told")
MAIL = {"mail_to": ("a@b.de",), "mail_from": "c@b.de", "smtp_host": "127.0.0.1"}
NEWS = Message("1", "warning", "porch drifts", "It is darker.")


def ways(folder: Path, **notify: Any) -> list[tuple[str, str]]:
    """By which channels people are told, and of what at least."""
    settings = Settings(home=folder, notify=NotifySettings.model_validate(notify))
    return [(channel.name, channel.least) for channel in channels(settings)]


def mailed(**changed: Any) -> str:
    """What comes of an e-mail at a real server, which lets `ward` in and knows no TLS."""
    taken: list[str] = []

    class Post:
        async def handle_DATA(self, _server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
            taken.append(f"{session.auth_data} {envelope.mail_from} {envelope.rcpt_tos}")
            return "250 OK"

    def knows(_server: Any, _session: Any, _envelope: Any, _how: str, given: Any) -> AuthResult:
        good = (given.login, given.password) == (b"ward", b"secret")
        return AuthResult(success=good, auth_data=given.login.decode())

    with _server(Post(), knows) as port:
        given = {
            "mail_to": ("ada@example.com",),
            "mail_from": "hubs@example.com",
            "smtp_host": "127.0.0.1",
            "smtp_port": port,
            "smtp_security": "none",
            "smtp_username": "ward",
            "smtp_password": "secret",
        }
        try:
            MailChannel(NotifySettings.model_validate(given | changed)).send(NEWS)
        except BackendUnavailableError as error:
            return error.reason
    return taken[0]


@contextlib.contextmanager
def _server(handler: Any, knows: Any) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    server = Controller(handler, "127.0.0.1", port, authenticator=knows, auth_require_tls=False)
    server.start()
    try:
        yield port
    finally:
        server.stop()


def told_now(folder: Path, quiet: str) -> int:
    """How many messages come of a drift, now."""
    told = tell(folder, [drift()], (), parse_quiet_time(quiet), logging.getLogger("told"))
    return len(told.messages)


def around_now() -> str:
    now = datetime.now(UTC)
    return f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M}"


def happened(name: str = "edgeward.drift") -> str:
    """Let something happen; the id of its event."""
    identity = uuid.uuid4()
    resource = {"prefect.resource.id": "edgeward.thing.porch", "prefect.resource.name": "porch"}
    emit_event(name, resource=resource, payload={"reason": "darker"}, id=identity)
    return str(identity)


def waited(group_seconds: float) -> bool:
    """Whether others have three seconds to come as well."""
    began = time.monotonic()
    name = "edgeward.retraining.stopped"
    news(NotifyPlan(event=happened(name), name=name), group_seconds)
    return time.monotonic() - began >= group_seconds > 1


def passed(check: str, **quality: Any) -> bool | None:
    """How one check decides about a model that is less sure, and calls all of it a car."""
    found: bool | None = judged(after(confidence=0.7, labels=("car",)), **quality)[check].passed
    return found


def agreed(min_agreement: float) -> bool | None:
    heard = sort_results(results(120, 80))
    limits = watched(min_agreement=min_agreement).targets.quality
    check = judge_agreement(compare("hub-1", "2026-11-22", heard, VariantLimits()), "", limits)
    return check.passed if check else None


def denied(max_denied_share: float) -> bool | None:
    limits = watched(max_denied_share=max_denied_share).targets.quality
    return judge_alerts(Judged(9, 1), Judged(4, 8), limits).passed


NOTIFY: dict[str, Effect] = {
    "notify.webhook": lambda folder: (ways(folder), ways(folder, webhook=WEBHOOK)),
    "notify.webhook_least": lambda folder: (
        ways(folder, webhook=WEBHOOK),
        ways(folder, webhook=WEBHOOK, webhook_least="critical"),
    ),
    "notify.mail_to": lambda _: (mailed(), mailed(mail_to=("bob@example.com",))),
    "notify.mail_from": lambda _: (mailed(), mailed(mail_from="other@example.com")),
    "notify.mail_least": lambda folder: (
        ways(folder, mail_least="info", **MAIL),
        ways(folder, mail_least="critical", **MAIL),
    ),
    "notify.smtp_host": lambda _: (mailed(), mailed(smtp_host="127.0.0.2")),
    "notify.smtp_port": lambda _: (mailed(), mailed(smtp_port=9)),
    "notify.smtp_security": lambda _: (mailed(), mailed(smtp_security="starttls")),
    "notify.smtp_username": lambda _: (mailed(), mailed(smtp_username="")),
    "notify.smtp_password": lambda _: (mailed(), mailed(smtp_password="other")),
    "notify.sns_topic": lambda folder: (ways(folder), ways(folder, sns_topic=TOPIC)),
    "notify.sns_least": lambda folder: (
        ways(folder, sns_topic=TOPIC),
        ways(folder, sns_topic=TOPIC, sns_least="critical"),
    ),
    "notify.quiet": lambda folder: (
        told_now(folder / "a", ""),
        told_now(folder / "b", around_now()),
    ),
    "notify.group_seconds": lambda _: (waited(0), waited(3)),
}
QUALITY: dict[str, Effect] = {
    "quality.watch_hours": lambda _: (watched(watch_hours=1).until, watched(watch_hours=2).until),
    "quality.shadow_hours": lambda _: (
        watched(shadow_hours=1).shadow_until,
        watched(shadow_hours=2).shadow_until,
    ),
    "quality.min_samples": lambda _: (
        passed("quality.confidence", min_samples=100),
        passed("quality.confidence", min_samples=1000),
    ),
    "quality.max_confidence_drop": lambda _: (
        passed("quality.confidence", max_confidence_drop=0.1),
        passed("quality.confidence", max_confidence_drop=0.3),
    ),
    "quality.max_label_shift": lambda _: (
        passed("quality.labels", max_label_shift=0.1),
        passed("quality.labels", max_label_shift=0.9),
    ),
    "quality.min_agreement": lambda _: (agreed(0.5), agreed(0.9)),
    "quality.max_denied_share": lambda _: (denied(0.2), denied(0.9)),
}
