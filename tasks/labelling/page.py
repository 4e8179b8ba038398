"""The page on which a person labels pictures: one small web server, on loopback only.

Whatever else runs in the person's browser must not read pictures or give answers. So the address
holds a random token, the Host must be ours (against DNS rebinding), what changes something must
come from our own page (Origin) as JSON, and the page may load nothing from elsewhere (CSP).
"""

import json
import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

from backends.errors import InvalidInputError
from tasks.labelling.answers import (
    Answer,
    AnsweredMeanwhileError,
    Given,
    give_answers,
    given_answers,
)
from tasks.labelling.batches import Batch

MAX_BODY = 4096
_TEMPLATE = Path(__file__).parents[1] / "templates" / "labelling.html"
_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_CSP = (
    "default-src 'none'; img-src 'self'; connect-src 'self'; style-src 'nonce-{nonce}'; "
    "script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class LabellingPage:
    """Serves a batch until it is finished or stopped. `by` is who answers; it is recorded."""

    def __init__(
        self, batch: Batch, by: str, finish: Callable[[Batch], object], port: int = 0
    ) -> None:
        """`finish` is called once, when the person says that the batch is done."""
        self.batch, self.by, self.finish = batch, by, finish
        self.token = secrets.token_urlsafe(24)
        self.done = threading.Event()
        page = self

        class Handler(_Handler):
            labelling = page

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/{self.token}/"

    def __enter__(self) -> "LabellingPage":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def state(self) -> dict[str, Any]:
        """What the page shows. Classes that people have named since come after the model's."""
        given = given_answers(self.batch)
        named = {each.answer.label for each in given.values() if each.answer.verdict == "label"}
        fresh = sorted(named - set(self.batch.classes))
        return {
            "batch": self.batch.id,
            "by": self.by,
            "why": self.batch.why.reason,
            "finished": self.batch.finished,
            "classes": [*self.batch.classes, *fresh],
            "pictures": [
                {
                    "id": example.image_id,
                    "thing": example.thing,
                    "guess": example.guess,
                    "score": example.score,
                    "model": example.model_version,
                    "taken_at": example.taken_at,
                    **_shown(given.get(example.image_id)),
                }
                for example in self.batch.examples
            ],
        }


class _Handler(BaseHTTPRequestHandler):
    labelling: LabellingPage
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        rest = self._admitted()
        if rest is None:
            return
        if rest == "":
            self._send_page()
        elif rest == "state":
            self._send_json(self.labelling.state())
        elif rest.startswith("picture/"):
            self._send_picture(rest.removeprefix("picture/"))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        rest = self._admitted()
        if rest is None:
            return
        body = self._body()
        if body is None:
            return
        try:
            if rest == "answer":
                self._answer(body)
            elif rest == "finish":
                self.labelling.finish(self.labelling.batch)
                self._send_json(self.labelling.state())
                self.labelling.done.set()
            else:
                self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
        except AnsweredMeanwhileError as error:
            state = {"error": str(error), **self.labelling.state()}
            self._send_json(state, HTTPStatus.CONFLICT)
        except InvalidInputError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except OSError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"it could not be kept: {error}")

    def log_message(self, *_: object) -> None:
        """The terminal is for the person."""

    def _admitted(self) -> str | None:
        """The path below the token; None: it was refused."""
        page = self.labelling
        if self.headers.get("Host") != page.host:
            self._refuse(HTTPStatus.FORBIDDEN, "this is not the host that was asked for")
            return None
        token, _, rest = self.path.removeprefix("/").partition("/")
        if not secrets.compare_digest(token.encode(), page.token.encode()):
            self._refuse(HTTPStatus.NOT_FOUND, "open the address that the terminal shows")
            return None
        origin = self.headers.get("Origin")
        if (self.command == "POST" or origin) and origin != f"http://{page.host}":
            self._refuse(HTTPStatus.FORBIDDEN, "only the page itself may ask for this")
            return None
        return rest

    def _body(self) -> dict[str, Any] | None:
        if self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "JSON is expected")
            return None
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY} bytes")
            return None
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            self._refuse(HTTPStatus.BAD_REQUEST, "a JSON object is expected")
            return None
        return body

    def _answer(self, body: dict[str, Any]) -> None:
        fields = {name: body.get(name, "") for name in ("image_id", "verdict", "label")}
        seen = body.get("seen")
        if not all(isinstance(value, str) for value in fields.values()) or type(seen) is not int:
            self._refuse(HTTPStatus.BAD_REQUEST, "image_id, verdict, label and seen are expected")
            return
        answer = Answer(**fields)
        page = self.labelling
        give_answers(page.batch, [answer], page.by, {answer.image_id: seen})
        self._send_json(page.state())

    def _send_page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        text = _TEMPLATE.read_text(encoding="utf-8").replace("{{nonce}}", nonce)
        csp = _CSP.format(nonce=nonce)
        self._send(text.encode(), "text/html; charset=utf-8", csp=csp)

    def _send_picture(self, image_id: str) -> None:
        try:
            content, kind = _viewable(self.labelling.batch.example(image_id).file)
        except (InvalidInputError, OSError) as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))
        else:
            self._send(content, kind)

    def _send_json(self, value: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(value).encode(), "application/json", status)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True  # what else the request holds is not read
        self._send_json({"error": reason}, status)

    def _send(
        self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK, csp: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", csp or "default-src 'none'")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def _shown(given: Given | None) -> dict[str, Any]:
    """An answer as the page knows it; `line` 0: there was never one."""
    if given is None:
        return {"verdict": "none", "label": "", "by": "", "line": 0}
    answer = given.answer
    return {
        "verdict": answer.verdict,
        "label": answer.label,
        "by": given.by,
        "line": given.line,
    }


def _viewable(file: Path) -> tuple[bytes, str]:
    """A picture as a browser can show it, and its type."""
    if kind := _TYPES.get(file.suffix):
        return file.read_bytes(), kind
    from PIL import Image

    buffer = BytesIO()
    with Image.open(file) as picture:
        picture.convert("RGB").save(buffer, "PNG")
    return buffer.getvalue(), "image/png"
