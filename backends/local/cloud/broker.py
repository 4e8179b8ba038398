"""The MQTT broker of this machine: amqtt on loopback, a password per thing."""

import errno
import logging
from dataclasses import dataclass
from pathlib import Path

from amqtt.broker import Broker
from amqtt.contexts import BaseContext
from amqtt.errors import BrokerError
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

from backends.errors import BackendUnavailableError
from backends.local.cloud.passwords import Passwords

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"


class PasswordPlugin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt has no types that mypy sees
    """A client must know its name's password, and its client id must be its name."""

    @dataclass
    class Config:
        password_file: str = ""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._passwords = Passwords(Path(self.config.password_file))

    async def authenticate(self, *, session: Session) -> bool:
        name, password = session.username, session.password
        known = bool(name and password) and self._passwords.check(name, password)
        if not known or session.client_id != name:
            logger.warning("refused a connection of client %r as %r", session.client_id, name)
            return False
        return True


async def start_broker(port: int, passwords: Path) -> tuple[Broker, int]:
    """Listens on loopback; `port` 0 is any free one. Returns the broker and its port.

    Raises BackendUnavailableError when the port is taken.
    """
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
            "plugins": {
                f"{PasswordPlugin.__module__}.{PasswordPlugin.__qualname__}": {
                    "password_file": str(passwords)
                }
            },
        }
    )
    try:
        await broker.start()
    except (BrokerError, OSError) as error:
        raise _unavailable(port, error) from error
    (server,) = broker._servers.values()
    return broker, int(server.instance.sockets[0].getsockname()[1])


def _unavailable(port: int, error: BaseException) -> BackendUnavailableError:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None and cause.errno == errno.EADDRINUSE:
        return BackendUnavailableError(
            "the MQTT broker",
            f"port {port} of {HOST} is taken by another program",
            "Stop that program, or choose another port with EDGEWARD_MQTT__PORT "
            "(0: any free port).",
        )
    return BackendUnavailableError("the MQTT broker", str(error), "See the log above.")
