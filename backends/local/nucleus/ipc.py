"""The IPC server of a core device: a Unix socket that the unchanged AWS client talks to."""

import asyncio
import hashlib
import logging
import os
import secrets
import string
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from backends.local.nucleus.kind import CLASSIC, Nucleus
from backends.local.nucleus.rpc import PREFIX, Connection, Limits, Operation

logger = logging.getLogger(__name__)

_MAX_PATH = 100  # sockaddr_un holds 107 bytes; some clients append to it


class Tokens:
    """SVCUIDs: a component's proof of who it is, new at each of its starts."""

    def __init__(self) -> None:
        self._components: dict[str, str] = {}
        self._on_revoke: list[Callable[[str], None]] = []

    def on_revoke(self, listener: Callable[[str], None]) -> None:
        """Calls `listener` with the component whose tokens are worthless from now on."""
        self._on_revoke.append(listener)

    def issue(self, component: str) -> str:
        token = "".join(secrets.choice(string.ascii_uppercase) for _ in range(16))
        self.revoke(component)
        self._components[token] = component
        return token

    def revoke(self, component: str) -> None:
        self._components = {t: name for t, name in self._components.items() if name != component}
        for listener in self._on_revoke:
            listener(component)

    def component(self, token: str) -> str | None:
        return self._components.get(token)


class IpcServer:
    """Listens at `<root>/ipc.socket`, which is a link where that path is too long for a socket."""

    def __init__(
        self,
        root: Path,
        tokens: Tokens,
        operations: Mapping[str, Operation],
        nucleus: Nucleus = CLASSIC,
        limits: Limits = Limits(),  # noqa: B008 - a constant
    ) -> None:
        self._link = root / "ipc.socket"
        self.path = socket_path(root)
        self._tokens = tokens
        self._operations = offered(operations, nucleus)
        self._nucleus = nucleus
        self._limits = limits
        self._server: asyncio.Server | None = None
        self._connections: list[Connection] = []
        tokens.on_revoke(self.disconnect)

    async def start(self) -> None:
        self._link.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        self.path.chmod(0o666)
        if self.path != self._link:
            self._link.symlink_to(self.path)

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
        await self._server.wait_closed()
        self._link.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        self._server = None

    def disconnect(self, component: str) -> None:
        """Ends the connections of a component that was stopped, or started anew."""
        for connection in list(self._connections):
            if connection.component == component:
                connection.cut_off()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._limits.connections:
            logger.warning("a client is turned away: %d are connected", len(self._connections))
            writer.transport.abort()
            return
        strangers = [connection for connection in self._connections if not connection.component]
        if len(strangers) >= self._limits.strangers:
            logger.warning("%d clients have not said who they are; one is cut", len(strangers))
            strangers[0].abort()
            self._connections.remove(strangers[0])
        connection = Connection(
            reader,
            writer,
            self._tokens.component,
            self._operations,
            self._nucleus,
            self._limits,
        )
        self._connections.append(connection)
        try:
            await connection.serve()
        finally:
            if connection in self._connections:
                self._connections.remove(connection)


def offered(operations: Mapping[str, Operation], nucleus: Nucleus) -> dict[str, Operation]:
    """Those that this kind of nucleus has."""
    missing = {PREFIX + name for name in nucleus.missing_operations}
    return {name: run for name, run in operations.items() if name not in missing}


def socket_path(root: Path) -> Path:
    """`<root>/ipc.socket`, or a short enough path in a folder that only we can enter."""
    wanted = root / "ipc.socket"
    if len(os.fsencode(wanted)) <= _MAX_PATH:
        return wanted
    folder = Path(tempfile.gettempdir()) / f"edgeward-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = folder.lstat()
    if owner.st_uid != os.getuid() or owner.st_mode & 0o077:
        folder = Path(tempfile.mkdtemp(prefix="edgeward-"))
    return folder / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}.socket"
