"""Reports and Data Docs in a browser of this machine, and nothing else of the home."""

import json
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from backends.local.report_server import ReportServer, open_server
from backends.report_pages import HOST, keep_port, page_address

SECRET = "nobody may read this"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    files = {
        "runs/one/report.html": "<h1>It went well</h1>",
        "runs/one/run.json": json.dumps({"thing": "hub-1", "status": "deployed"}),
        "runs/one/data-docs/index.html": "<h1>Docs</h1>",
        "runs/one/data-docs/static/a b.css": "body {}",
        "runs/one/data-docs/.hidden": SECRET,
        "runs/<b>two/report.html": "<h1>So did this</h1>",
        "runs/leaky/run.json": SECRET,
        "monitor/hub-1/data-docs/index.html": "<h1>Windows</h1>",
        "prefect/prefect.db": SECRET,
    }
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    (home / "runs/leaky/report.html").symlink_to(home / "prefect/prefect.db")
    (home / "runs/leaky/data-docs").symlink_to(home / "prefect")
    (home / "runs/one/data-docs/out").symlink_to(home / "prefect")
    return home


@pytest.fixture
def server(home: Path) -> Iterator[ReportServer]:
    with open_server(home) as server:
        keep_port(home, server.port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(
    server: ReportServer, path: str, method: str = "GET", **headers: str
) -> tuple[HTTPResponse, str]:
    connection = HTTPConnection(HOST, server.port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        ("/runs/one/report.html", "text/html; charset=utf-8", "It went well"),
        ("/runs/one/data-docs/index.html?x=1#top", "text/html; charset=utf-8", "Docs"),
        ("/runs/one/data-docs/static/a%20b.css", "text/css; charset=utf-8", "body"),
        ("/monitor/hub-1/data-docs/index.html", "text/html; charset=utf-8", "Windows"),
    ],
)
def test_a_page_is_served(server: ReportServer, path: str, kind: str, text: str) -> None:
    answer, body = ask(server, path)

    assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
    assert text in body


@pytest.mark.parametrize(
    "path",
    [
        "/runs",
        "/runs/one",
        "/runs/one/run.json",
        "/runs/one/data-docs",
        "/runs/one/data-docs/",
        "/runs/one/data-docs/static",
        "/runs/one/data-docs/.hidden",
        "/runs/one/data-docs/../run.json",
        "/runs/one/data-docs/%2e%2e/%2e%2e/%2e%2e/prefect/prefect.db",
        "/runs/one/data-docs/out/prefect.db",
        "/runs/leaky/report.html",
        "/runs/leaky/data-docs/prefect.db",
        "/runs/one/data-docs/%00",
        "/runs/one/data-docs/" + "a" * 3000,
        "/prefect/prefect.db",
        "//etc/passwd",
        "/nothing",
    ],
)
def test_nothing_else_is(server: ReportServer, path: str) -> None:
    answer, body = ask(server, path)

    assert answer.status == 404
    assert SECRET not in body


def test_the_address_itself_names_the_runs(server: ReportServer) -> None:
    _, body = ask(server, "/")

    assert 'href="/runs/one/report.html">one</a> hub-1: deployed' in body
    assert "<b>two" not in body
    assert ask(server, "/runs/%3Cb%3Etwo/report.html")[0].status == 200


def test_nothing_can_be_written_or_read_under_a_stranger_s_name(server: ReportServer) -> None:
    assert ask(server, "/runs/one/report.html", "PUT")[0].status == 501
    assert ask(server, "/runs/one/report.html", Host=f"evil.example:{server.port}")[0].status == 421
    head, body = ask(server, "/runs/one/report.html", "HEAD")
    assert (head.status, head.headers["Content-Length"], body) == (200, "21", "")


def test_links_outlast_a_restart(server: ReportServer, home: Path) -> None:
    report = home / "runs/<b>two/report.html"
    known = page_address(home, report)
    assert known == f"http://127.0.0.1:{server.port}/runs/%3Cb%3Etwo/report.html"
    server.shutdown()
    server.server_close()

    with open_server(home) as again:
        assert again.port == server.port


def test_where_another_program_has_taken_its_port_there_is_another(home: Path) -> None:
    with socket.create_server((HOST, 0)) as theirs:
        keep_port(home, theirs.getsockname()[1])
        with open_server(home) as server:
            assert server.port != theirs.getsockname()[1]


def test_a_home_that_never_served_has_no_address(tmp_path: Path) -> None:
    (tmp_path / "reports.json").write_text("[]")

    assert page_address(tmp_path, tmp_path / "runs/one/report.html") == ""
