"""The report as a browser draws it: narrow and wide, light and dark, with nothing from outside."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.reporting import write_report
from tests.browser import PROGRAM, Page, browser
from tests.tasks import records
from tests.tasks.records import Record

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine"),
]

STICKS_OUT = """
[...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1)
  .map(e => e.tagName + '.' + e.className)
"""
FAINT = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const ground = e => {
    if (!e) return [255, 255, 255];
    const own = rgba(getComputedStyle(e).backgroundColor);
    return own[3] === 1 ? own : over(own, ground(e.parentElement));
  };
  const light = c => { const [r, g, b] = c.map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  return [...document.querySelectorAll('body *')]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .filter(e => e.getClientRects().length)
    .map(e => { const back = ground(e), text = over(rgba(getComputedStyle(e).color), back);
      const [a, b] = [light(text), light(back)].sort((x, y) => y - x);
      return [e.tagName + '.' + e.className + ' ' + e.innerText, (a + .05) / (b + .05)]; })
    .filter(([, ratio]) => ratio < 4.5);
})()
"""
"""Texts whose contrast is below WCAG 2.2's 4.5 (success criterion 1.4.3)."""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [380, 1280], ids=["narrow", "wide"])
@pytest.mark.parametrize("record", [records.deployed, records.refused, records.failed_at_once])
def test_nothing_sticks_out_is_faint_or_comes_from_outside(
    page: Page, tmp_path: Path, record: Callable[[], Record], width: int, dark: bool
) -> None:
    report = write_report(records.make_full_run(tmp_path / "run", record()))
    page.look(width, 900, dark)
    page.asked.clear()

    page.open(report.as_uri())
    page.wait_for(
        f"document.readyState == 'complete' && location.href == {json.dumps(report.as_uri())}"
    )

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(STICKS_OUT) == []
    assert page.evaluate(FAINT) == []
    assert {address for address in page.asked if not address.startswith("data:")} == {
        report.as_uri()
    }


def test_what_happened_and_what_to_do_come_before_all_else_on_a_telephone(
    page: Page, tmp_path: Path
) -> None:
    report = write_report(records.make_full_run(tmp_path / "run", records.refused()))
    page.look(380, 800)

    page.open(report.as_uri())
    page.wait_for(
        f"document.readyState == 'complete' && location.href == {json.dumps(report.as_uri())}"
    )

    assert page.evaluate("document.querySelector('h1').getBoundingClientRect().bottom") < 800
    assert page.evaluate("document.querySelector('h2').innerText") == "What to do next"
    assert page.evaluate("document.querySelector('h2').getBoundingClientRect().top") < 2 * 800
    verdict = page.evaluate("document.querySelector('table.gates tbody tr .badge').innerText")
    assert "refused" in verdict, "what refused comes first"
