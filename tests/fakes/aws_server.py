"""moto's server: S3, STS, SageMaker, IoT, SNS and IAM that check requests, over real HTTP."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from moto.server import ThreadedMotoServer

from tests.fakes import aws_additions


class AwsServer:
    """Ends with the `with` block; `reset` forgets everything that was made."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.url = ""

    def __enter__(self) -> Self:
        aws_additions.add()
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.stop()

    def reset(self) -> None:
        aws_additions.QUOTAS.clear()
        self._tell("reset")

    @contextmanager
    def policies(self) -> Iterator[None]:
        """Hold callers to IAM in the block, which moto does not by itself."""
        self._tell("reset-auth", b"0")
        try:
            yield
        finally:
            self._tell("reset-auth", b"inf")

    def _tell(self, what: str, body: bytes = b"") -> None:
        plain = {"Content-Type": "text/plain"}  # urllib would call it a form, and moto read none
        request = urllib.request.Request(f"{self.url}/moto-api/{what}", body, plain, method="POST")
        with urllib.request.urlopen(request, timeout=30):
            pass
