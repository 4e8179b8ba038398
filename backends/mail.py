"""Tells people by e-mail, through an SMTP server of theirs."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate

from backends.artifacts import Message, Severity
from backends.errors import BackendUnavailableError
from backends.settings import NotifySettings

SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class MailChannel:
    """The Channel port. A message keeps its Message-ID when it is sent again."""

    settings: NotifySettings
    name: str = "mail"

    @property
    def least(self) -> Severity:
        return self.settings.mail_least

    def send(self, message: Message) -> None:
        try:
            with self._server() as server:
                server.send_message(self._mail(message))
        except smtplib.SMTPResponseException as error:
            raise _unavailable(f"it answered {error.smtp_code}") from None
        except smtplib.SMTPRecipientsRefused:
            raise _unavailable("it refused every address of EDGEWARD_NOTIFY__MAIL_TO") from None
        except (OSError, smtplib.SMTPException) as error:
            raise _unavailable(type(error).__name__) from None

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self.settings.mail_from
        mail["To"] = ", ".join(self.settings.mail_to)
        mail["Subject"] = " ".join(f"[{message.severity}] {message.subject}".split())
        mail["Date"] = formatdate()
        mail["Message-ID"] = f"<{message.id}@edgeward>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.body + "\n")
        return mail

    @contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        given = self.settings
        where = (given.smtp_host, given.smtp_port)
        trusted = ssl.create_default_context()
        with (
            smtplib.SMTP_SSL(*where, timeout=SECONDS, context=trusted)
            if given.smtp_security == "tls"
            else smtplib.SMTP(*where, timeout=SECONDS)
        ) as server:
            if given.smtp_security == "starttls":
                server.starttls(context=trusted)
            if given.smtp_username:
                self._log_in(server)
            yield server

    def _log_in(self, server: smtplib.SMTP) -> None:
        password = self.settings.smtp_password.get_secret_value()
        try:
            server.login(self.settings.smtp_username, password)
        except smtplib.SMTPException:  # some servers end the connection as well
            raise _unavailable("it refused the login") from None


def _unavailable(reason: str) -> BackendUnavailableError:
    """Without the cause: what a server says may repeat what it was given."""
    return BackendUnavailableError("the mail server", reason, "Look at EDGEWARD_NOTIFY__SMTP_*.")
