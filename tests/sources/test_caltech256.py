"""A long download over a bad line must end with the right archive, or with nothing."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from backends.errors import BackendUnavailableError, InvalidInputError
from backends.sources.caltech256 import Caltech256Source, unpack
from backends.sources.downloading import Checksum


def silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def jpeg() -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 80).convert("RGB").save(stream, "JPEG", quality=95)
    return stream.getvalue()


def archive(**extra: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        names = [
            "256_ObjectCategories/001.ak47/001_0001.jpg",
            "256_ObjectCategories/001.ak47/001_0002.jpg",
            "256_ObjectCategories/253.faces-easy-101/253_0001.jpg",
            "256_ObjectCategories/257.clutter/257_0001.jpg",
            "256_ObjectCategories/056.dog/greg/stray.jpg",
            "256_ObjectCategories/198.spider/RENAME2",
            "256_ObjectCategories/001.ak47/._hidden.jpg",
        ]
        for name in names:
            data = jpeg()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in extra.values():
            tar.addfile(member)
    return stream.getvalue()


class Server(ThreadingHTTPServer):
    """Serves one body; the first `cuts` answers end half-way. `ranges` are what was asked for."""

    def __init__(self, body: bytes, cuts: int = 0, honours_range: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = body
        self.cuts = cuts
        self.honours_range = honours_range
        self.ranges: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, body = self.server, self.server.body
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        start = (
            int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.honours_range else 0
        )
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = len(body)
        if server.cuts:
            server.cuts -= 1
            end = start + (len(body) - start) // 2
        self.wfile.write(body[start:end])

    def log_message(self, *_arguments: Any) -> None:
        """Be silent."""


@contextmanager
def serving(server: Server) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/a.tar"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def classes_below(root: Path) -> dict[str, int]:
    return {folder.name: len(list(folder.iterdir())) for folder in sorted(root.iterdir())}


def test_the_archive_becomes_class_folders_without_clutter_and_strays(tmp_path: Path) -> None:
    body = archive()
    right = Checksum("md5", hashlib.md5(body).hexdigest())
    seen: list[tuple[int, int]] = []

    with serving(Server(body)) as url:
        pictures = Caltech256Source(tmp_path, url, right).fetch(lambda *at: seen.append(at))

    assert classes_below(pictures.root) == {"ak47": 2, "faces-easy-101": 1}
    assert seen[-1] == (len(body), len(body))
    assert [entry.name for entry in (tmp_path / "sources").iterdir()] == [pictures.root.name]


def test_a_second_call_needs_no_network(tmp_path: Path) -> None:
    with serving(Server(archive())) as url:
        first = Caltech256Source(tmp_path, url).fetch(silent)

    assert Caltech256Source(tmp_path, url).fetch(silent) == first


def test_a_connection_that_is_cut_is_taken_up_where_it_ended(tmp_path: Path) -> None:
    body = archive()
    server = Server(body, cuts=3)

    with serving(server) as url:
        source = Caltech256Source(
            tmp_path, url, Checksum("sha256", hashlib.sha256(body).hexdigest())
        )
        source.fetch(silent)

    half = len(body) // 2
    assert server.ranges[:2] == [None, f"bytes={half}-"]
    assert len(server.ranges) == 4


def test_a_server_without_ranges_is_read_from_the_start_again(tmp_path: Path) -> None:
    body = archive()
    right = Checksum("sha256", hashlib.sha256(body).hexdigest())

    with serving(Server(body, cuts=1, honours_range=False)) as url:
        pictures = Caltech256Source(tmp_path, url, right).fetch(silent)

    assert classes_below(pictures.root) == {"ak47": 2, "faces-easy-101": 1}


def test_a_wrong_checksum_is_refused_and_the_file_removed(tmp_path: Path) -> None:
    with serving(Server(archive())) as url, pytest.raises(InvalidInputError, match="md5 is"):
        Caltech256Source(tmp_path, url, Checksum("md5", "0" * 32)).fetch(silent)

    assert list((tmp_path / "sources").iterdir()) == []


def test_a_server_that_is_away_is_named(tmp_path: Path) -> None:
    with serving(Server(b"")) as url:
        pass

    with pytest.raises(BackendUnavailableError, match=url):
        Caltech256Source(tmp_path, url).fetch(silent)


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (member("../001.ak47/x.jpg"), "leads outside"),
        (member("/etc/001.ak47/x.jpg"), "leads outside"),
        (member("a/001.ak47/x.jpg", tarfile.SYMTYPE, "/etc/passwd"), "neither a file nor a folder"),
        (member("a/001.ak47/x.jpg", tarfile.LNKTYPE, "../../x"), "neither a file nor a folder"),
        (member("a/001.ak47/x.jpg", tarfile.FIFOTYPE), "neither a file nor a folder"),
    ],
)
def test_an_archive_with_a_trap_is_refused(
    bad: tarfile.TarInfo, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(archive(bad=bad))
    (tmp_path / "into").mkdir()

    with pytest.raises(InvalidInputError, match=reason):
        unpack(path, tmp_path / "into")


def test_an_archive_that_is_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(archive())
    (tmp_path / "into").mkdir()

    with pytest.raises(InvalidInputError, match="more than 2 files"):
        unpack(path, tmp_path / "into", max_files=2)
    with pytest.raises(InvalidInputError, match="or 5000 bytes"):
        unpack(path, tmp_path / "into", max_bytes=5000)


@pytest.mark.parametrize("content", [b"no archive at all" * 99, archive()[:700]])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    (tmp_path / "into").mkdir()

    with pytest.raises(InvalidInputError, match="no readable tar"):
        unpack(path, tmp_path / "into")
