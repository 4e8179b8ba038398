"""Serves the reports and Data Docs of a home to browsers of this machine, read-only.

    python -m backends.local.report_server --home <folder>

It takes the port that the home had before, or else any that is free, and writes it down.
"""

import argparse
import logging
import mimetypes
import signal
import sys
from collections.abc import Iterator
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copyfileobj
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from backends.local.files import read_json
from backends.report_pages import HOST, REPORT, find_page, keep_port, kept_port

logger = logging.getLogger(__name__)

MOST_LISTED = 100
MOST_AT_ONCE = 32
IDLE_SECONDS = 30
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' data:",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""A page asks nobody else, and no other site can read one."""


class ReportServer(ThreadingHTTPServer):
    """Listens on loopback from its construction on; `port` 0 is any that is free."""

    daemon_threads = True

    def __init__(self, home: Path, port: int = 0) -> None:
        super().__init__((HOST, port), _Answer)
        self.home = home
        self.port: int = self.server_address[1]
        self._free = BoundedSemaphore(MOST_AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _Answer(BaseHTTPRequestHandler):
    """One request."""

    server: ReportServer
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: object) -> None:
        logger.info(format, *arguments)

    def _answer(self) -> None:
        names = {f"{name}:{self.server.port}" for name in (HOST, "localhost")}
        if self.headers.get("Host") not in names:  # a stranger's name that was made to lead here
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        path = unquote(urlsplit(self.path).path)
        if path == "/":
            self._say(_list_of_runs(self.server.home).encode())
        elif page := find_page(self.server.home, path):
            self._send(page)
        else:
            self.send_error(HTTPStatus.NOT_FOUND, "There is no such page")

    def _say(self, text: bytes) -> None:
        self._begin("text/html; charset=utf-8", len(text))
        if self.command == "GET":
            self.wfile.write(text)

    def _send(self, page: Path) -> None:
        kind = mimetypes.guess_type(page.name)[0] or "application/octet-stream"
        with page.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            self._begin(f"{kind}; charset=utf-8" if kind.startswith("text/") else kind, size)
            if self.command == "GET":
                copyfileobj(stream, self.wfile)

    def _begin(self, kind: str, size: int) -> None:
        self.send_response(HTTPStatus.OK)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(size)}.items():
            self.send_header(name, value)
        self.end_headers()


def _list_of_runs(home: Path) -> str:
    """The page at the address itself: the newest runs that have a report."""
    rows = "".join(_rows(home)) or "<li>There is no run yet.</li>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Edgeward: reports</title>'
        "<style>:root{color-scheme:light dark}body{font:1rem/1.6 system-ui;margin:2rem auto;"
        f"max-width:50rem;padding:0 1rem}}</style><h1>Reports</h1><ul>{rows}</ul></html>"
    )


def _rows(home: Path) -> Iterator[str]:
    for report in sorted(home.glob(f"runs/*/{REPORT}"), reverse=True)[:MOST_LISTED]:
        run = report.parent.name
        record = read_json(report.parent / "run.json") or {}
        said = escape(f"{record.get('thing', '')}: {record.get('status', '')}")
        yield f'<li><a href="/runs/{quote(run)}/{REPORT}">{escape(run)}</a> {said}</li>'


def open_server(home: Path) -> ReportServer:
    """A server at the home's own port, or at another where that one is taken."""
    try:
        return ReportServer(home, kept_port(home))
    except OSError:
        return ReportServer(home)


def _end(*_: object) -> None:
    raise SystemExit(0)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    parser = argparse.ArgumentParser(prog="python -m backends.local.report_server")
    parser.add_argument("--home", type=Path, required=True)
    home = parser.parse_args().home.resolve()
    signal.signal(signal.SIGTERM, _end)
    with open_server(home) as server:
        keep_port(home, server.port)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
