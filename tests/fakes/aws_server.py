"""moto's server: S3, STS, SageMaker, IoT, SNS and IAM that check requests, over real HTTP."""

import urllib.request
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
        request = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")
        with urllib.request.urlopen(request, timeout=30):
            pass
