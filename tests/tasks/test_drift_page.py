"""The page of a scope tells what moved, how far, on which things and since when."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.sources.driveway import picture
from backends.sources.plan import DrivewayPlan
from tasks.drift.page import Sample, write_page
from tasks.drift.scopes import Scope, of_thing
from tests.browser import PROGRAM, Page, browser
from tests.tasks.test_report_looks import FAINT, STICKS_OUT
from tests.tasks.windows import baseline, look, seen, store

HUB = of_thing("hub-1")


def page_of(home: Path, *samples: Sample, scope: Scope = HUB) -> Path:
    """The page after two quiet looks and two dark ones."""
    baseline(home, seen(200, seed=7))
    for thing in scope.things:
        quiet = [seen(110, n, hour=n) for n in range(2)]
        store(home, *quiet, *(seen(110, n, hour=n, brightness=0.2) for n in (2, 3)), thing=thing)
    judgement = look(home, scope)
    return write_page(home, scope, judgement.report, judgement.state, samples)


def test_the_page_says_what_moved_since_when_and_how_far(tmp_path: Path) -> None:
    page = page_of(tmp_path).read_text()

    assert "hub-1 is in alarm since 2026-11-22 14:00 UTC: input.brightness" in page
    assert "mean brightness 0.5" in page
    assert page.count('svg class="compared"') == 6
    assert 'svg class="lines"' in page
    assert "Pictures that were fetched" not in page


def test_the_page_of_a_group_names_its_things(tmp_path: Path) -> None:
    group = Scope("group", "porch", ("hub-1", "hub-2"))

    path = page_of(tmp_path, scope=group)

    assert path == tmp_path / "monitor" / "@group.porch" / "report.html"
    assert "On hub-1, hub-2, model 1.0.0" in path.read_text()


def test_pictures_that_were_fetched_are_shown_with_what_the_model_said(tmp_path: Path) -> None:
    fetched = tmp_path / "a.jpg"
    fetched.write_bytes(picture(DrivewayPlan(), 0, "car"))

    page = page_of(tmp_path, Sample("hub-1", fetched, "bicycle", 0.41)).read_text()

    assert "data:image/jpeg;base64," in page
    assert "<b>bicycle</b>" in page


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with browser() as tab:
        yield tab


@pytest.mark.browser
@pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [380, 1280], ids=["narrow", "wide"])
def test_nothing_sticks_out_is_faint_or_comes_from_outside(
    tab: Page, tmp_path: Path, width: int, dark: bool
) -> None:
    report = page_of(tmp_path)
    tab.look(width, 900, dark)
    tab.asked.clear()

    tab.open(report.as_uri())
    there = f"location.href == {json.dumps(report.as_uri())}"
    tab.wait_for(f"document.readyState == 'complete' && {there}")

    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(STICKS_OUT) == []
    assert tab.evaluate(FAINT) == []
    assert {one for one in tab.asked if not one.startswith("data:")} == {report.as_uri()}
