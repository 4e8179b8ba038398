"""Which pages of a home people may open in a browser, and where they are served.

`edgeward up` serves them on loopback: from a page of Prefect's UI a browser opens no file.
"""

import json
import os
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from backends.files import replace_file

HOST = "127.0.0.1"
ADDRESS = "reports.json"
"""The file in a home that has the port: kept, so that links outlast a restart."""
REPORT = "report.html"
DATA_DOCS = "data-docs"


def find_page(home: Path, path: str) -> Path | None:
    """The file that `path` (as in a URL, decoded) names, if it is one of the pages.

    They are report.html and the Data Docs of a run, and the Data Docs of the monitor. A link that
    leads out of them is none, and neither is anything whose name begins with a dot.
    """
    parts = PurePosixPath(path.strip("/")).parts
    match parts:
        case ("runs", _, part) if part == REPORT:
            within = 2
        case ("runs" | "monitor", _, part, _, *_) if part == DATA_DOCS:
            within = 3
        case _:
            return None
    if any(part.startswith(".") or "\0" in part for part in parts):
        return None
    root = home.resolve()
    page = root.joinpath(*parts)
    try:
        inside = page.resolve() == page and page.is_relative_to(root.joinpath(*parts[:within]))
        return page if inside and page.is_file() else None
    except OSError:  # a name that no file can have
        return None


def page_address(home: Path, page: Path) -> str:
    """Where `edgeward up` serves a page of this home; empty where it never did."""
    port = kept_port(home)
    if not port:
        return ""
    path = page.absolute().relative_to(home.absolute()).as_posix()
    return f"http://{HOST}:{port}/{quote(path)}"


def kept_port(home: Path) -> int:
    """The port of this home's pages; 0: none is known."""
    return _kept(home, "port")


def serving_process(home: Path) -> int:
    """The process that served them last; 0: none is known."""
    return _kept(home, "pid")


def keep_port(home: Path, port: int) -> None:
    """Write down that the calling process serves them at this port."""
    replace_file(home / ADDRESS, json.dumps({"port": port, "pid": os.getpid()}))


def _kept(home: Path, name: str) -> int:
    try:
        return int(json.loads((home / ADDRESS).read_text(encoding="utf-8"))[name])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
