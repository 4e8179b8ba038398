"""docs/ as a site: every link leads somewhere, nothing is fetched from elsewhere."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from backends.settings import PROJECT

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """What a page refers to, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.fetched: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag == "link" and "href" in given:
            self.fetched.add(given["href"])
        elif "src" in given:
            self.fetched.add(given["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("site")
    built = build(PROJECT, into)
    assert built.returncode == 0, built.stderr
    return into


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def build(project: Path, into: Path) -> subprocess.CompletedProcess[str]:
    """As `make check` builds it."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(into)],
        cwd=project,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def copy_of_the_docs(into: Path) -> Path:
    shutil.copytree(PROJECT / "docs", into / "docs")
    shutil.copy(PROJECT / "mkdocs.yml", into)
    return into / "docs"


def test_every_link_and_picture_leads_to_a_page_and_an_anchor_of_it(
    pages: dict[Path, Page],
) -> None:
    broken = {
        f"{path.name}: {link}"
        for path, page in pages.items()
        if path.name != "404.html"  # its links are of a server's root
        for link in page.links | page.fetched
        if not re.match(r"[a-z]+:", link) and not leads(pages, path, link)
    }

    assert len(pages) > 40
    assert broken == set()


def leads(pages: dict[Path, Page], path: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (path.parent / name).resolve() if name not in ("", ".") else path
    if target not in pages:
        return target.exists()
    return not anchor or anchor in pages[target].anchors


def test_nothing_is_fetched_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    fetched = {link for page in pages.values() for link in page.fetched if "//" in link}
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]

    assert fetched == set()
    assert not any(re.search(r"(@import|url\()\s*['\"]?(https?:)?//", style) for style in styles)


def test_a_broken_link_or_a_page_that_is_in_no_menu_stops_the_build(tmp_path: Path) -> None:
    docs = copy_of_the_docs(tmp_path)
    (docs / "tutorial.md").write_text("# The first run\n\n[nowhere](how-to/runs.md#nowhere)\n")
    (docs / "forgotten.md").write_text("# Forgotten\n")

    built = build(tmp_path, tmp_path / "site")

    assert built.returncode != 0
    assert "nowhere" in built.stderr
    assert "forgotten.md" in built.stderr


def test_a_page_that_the_code_has_left_behind_is_named(tmp_path: Path) -> None:
    docs = copy_of_the_docs(tmp_path)
    page = docs / "reference" / "settings.md"
    page.write_text(page.read_text().replace("`14400`", "`14399`"))
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{PROJECT}"}

    def generate(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "docs.generate", *options],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    stale = generate("--check")
    renewed = generate()
    again = generate("--check")

    assert (stale.returncode, stale.stderr.splitlines()) == (
        1,
        ["docs/reference/settings.md is not what the code says. Renew it: make docs"],
    )
    assert (renewed.returncode, again.returncode) == (0, 0), again.stderr
    assert "`14400`" in page.read_text()
