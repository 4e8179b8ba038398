"""AWS IoT Greengrass v2 over HTTP, as far as it is asked for: moto has none.

    with GreengrassServer(s3) as greengrass:
        AwsSettings(..., endpoint_urls={"greengrassv2": greengrass.url})

Requests are routed and checked by botocore's own model of the service (service_model.py); what is
then done is in greengrass_cloud.py. Requests must be signed, as AWS wants it.
"""

import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.fakes.greengrass_cloud import GreengrassCloud
from tests.fakes.service_model import Refused, ServiceModel

_MODEL = ServiceModel("greengrassv2")


class GreengrassServer:
    """`cloud` is what the account holds. `refuse` injects faults, `asked` is every operation."""

    def __init__(self, s3: Callable[[], Any]) -> None:
        self.cloud = GreengrassCloud(s3)
        self.asked: list[str] = []
        self.on_request: Callable[[str], None] = lambda _operation: None
        """Told of each operation before it is carried out: for what happens meanwhile."""
        self._faults: dict[str, deque[Refused]] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def refuse(self, operation: str, code: str, times: int = 1, message: str = "so it is") -> None:
        """The next `times` requests for `operation` (or "*": any) are answered so."""
        queue = self._faults.setdefault(operation, deque())
        queue.extend(Refused(code, message) for _ in range(times))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _carry_out(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes, str]:
        try:
            _check_signature(headers.get("authorization", ""))
            request = _MODEL.parse(method, target, headers, body)
            self.asked.append(request.operation)
            self.on_request(request.operation)
            with self._lock:
                self._fail(request.operation)
                answer = self.cloud.carry_out(request)
        except Refused as refused:
            return *_MODEL.refusal(refused), refused.code
        return *_MODEL.answer(request.operation, answer), ""

    def _fail(self, operation: str) -> None:
        for name in (operation, "*"):
            if queue := self._faults.get(name):
                raise queue.popleft()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        carry_out = self._carry_out

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, content, code = carry_out(
                    self.command, self.path, headers, self.rfile.read(length)
                )
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                if code:
                    self.send_header("x-amzn-ErrorType", code)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = do_PUT = _answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _check_signature(authorization: str) -> None:
    if not authorization.startswith("AWS4-HMAC-SHA256 "):
        raise Refused("MissingAuthenticationTokenException", "Missing Authentication Token")
    scope = authorization.partition("Credential=")[2].partition(",")[0].split("/")
    if scope[-2:] != [_MODEL.signing_name, "aws4_request"]:
        raise Refused("InvalidSignatureException", f"signed for {scope[-2]}")
