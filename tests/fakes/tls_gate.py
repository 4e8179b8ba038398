"""A door with a guard: reads what somebody asks for over TLS, and refuses it."""

import contextlib
import socket
import ssl
import threading

from tests.fakes.iot_broker import Authority


class Gate(threading.Thread):
    """A TLS server that reads one handshake and refuses it."""

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(*authority.server)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(20)
        self.port = self._listening.getsockname()[1]
        self.asked = ""

    def run(self) -> None:
        with (
            self._listening,
            self._listening.accept()[0] as raw,
            contextlib.suppress(ssl.SSLError, ConnectionError),
            self._context.wrap_socket(raw, server_side=True) as client,
        ):
            while "\r\n\r\n" not in self.asked:
                self.asked += client.recv(4096).decode()
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
