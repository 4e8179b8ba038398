"""IoT Core's message broker, as far as its clients see it: mutual TLS, and websockets over TLS.

    with IotBroker(tmp_path) as broker:
        AwsSettings(iot_endpoint=f"localhost:{broker.tls_port}", certificate=…, private_key=…,
                    ca_file=…)

Certificates are made for the occasion. `plain_port` is for the devices of this machine.
"""

import asyncio
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from amqtt.broker import Broker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.fakes.open_broker import Doorkeeper

_Key = ec.EllipticCurvePrivateKey


class _Strict(Broker):  # type: ignore[misc]  # amqtt has no types that mypy sees
    """Lets nobody in by TLS without a certificate; websockets are signed instead."""

    @staticmethod
    def _create_ssl_context(listener: Any) -> ssl.SSLContext:
        context: ssl.SSLContext = Broker._create_ssl_context(listener)
        if listener.type == "tcp":
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class IotBroker:
    """Ends with the `with` block. `restart` is a broker that was away; ports stay."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._ports = {"default": 0, "tls": 0, "ws": 0}
        self._broker: Broker | None = None

    @property
    def plain_port(self) -> int:
        return self._ports["default"]

    @property
    def tls_port(self) -> int:
        return self._ports["tls"]

    @property
    def websocket_port(self) -> int:
        return self._ports["ws"]

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def start(self) -> None:
        server = self.authority.server
        secured = {
            "ssl": True,
            "cafile": str(self.authority.certificate),
            "certfile": str(server[0]),
            "keyfile": str(server[1]),
        }
        bind = {name: f"127.0.0.1:{port}" for name, port in self._ports.items()}
        listeners = {
            "default": {"type": "tcp", "bind": bind["default"]},
            "tls": {"type": "tcp", "bind": bind["tls"], **secured},
            "ws": {"type": "ws", "bind": bind["ws"], **secured},
        }
        plugin = f"{Doorkeeper.__module__}.{Doorkeeper.__qualname__}"

        async def start() -> Broker:
            broker = _Strict({"listeners": listeners, "plugins": {plugin: {}}})
            await broker.start()
            return broker

        self._broker = asyncio.run_coroutine_threadsafe(start(), self._loop).result(10)
        for name, server in self._broker._servers.items():
            self._ports[name] = next(iter(server.instance.sockets)).getsockname()[1]

    def stop(self) -> None:
        broker, self._broker = self._broker, None
        if broker is not None:
            asyncio.run_coroutine_threadsafe(broker.shutdown(), self._loop).result(10)


class Authority:
    """A certificate authority of its own, with a certificate for `localhost` and one for us."""

    def __init__(self, folder: Path, name: str = "an authority for tests") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate, _ = self._write("ca", self._signed(self._name, self._key), self._key)
        self.server = self._issue("localhost")
        self.client = self._issue("edgeward")

    def _issue(self, name: str) -> tuple[Path, Path]:
        """Certificate and private key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._write(name, self._signed(subject, key), key)

    def _signed(self, subject: x509.Name, key: _Key) -> x509.Certificate:
        now = datetime.now(UTC)
        is_ca = x509.BasicConstraints(ca=subject == self._name, path_length=None)
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(is_ca, critical=True)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, name: str, certificate: x509.Certificate, key: _Key) -> tuple[Path, Path]:
        paths = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths
