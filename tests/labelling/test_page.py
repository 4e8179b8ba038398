"""The labelling page: a person answers by keyboard or mouse; nobody else's page can."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tasks.labelling.answers import Answer, give_answers, given_answers
from tasks.labelling.batches import Batch
from tasks.labelling.finishing import finish_batch
from tasks.labelling.page import LabellingPage
from tests.browser import PROGRAM, Page, browser
from tests.labelling.queue import batch_of

in_a_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return batch_of(tmp_path / "home", 4)


@pytest.fixture
def page(batch: Batch, tmp_path: Path) -> Iterator[LabellingPage]:
    def finish(done: Batch) -> None:
        finish_batch(tmp_path / "home", done, lambda _labelled: None)

    with LabellingPage(batch, "Ada", finish) as page:
        yield page


def ask(
    page: LabellingPage,
    method: str = "GET",
    path: str = "",
    body: Any = None,
    raw: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Ask as a program would, with the headers that a browser would send unless told otherwise."""
    connection = http.client.HTTPConnection(page.host, timeout=10)
    content = raw if raw is not None else None if body is None else json.dumps(body).encode()
    given = {"Content-Type": "application/json", "Origin": f"http://{page.host}"}
    given = {} if method == "GET" else given
    given |= headers or {}
    given = {name: value for name, value in given.items() if value}
    connection.request(method, f"/{page.token}/{path}", content, given)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


def saying(batch: Batch, number: int = 0, **changes: Any) -> dict[str, Any]:
    image_id = batch.examples[number].image_id
    return {"image_id": image_id, "verdict": "label", "label": "cat", "seen": 0, **changes}


def test_an_answer_is_kept_at_once_with_who_gave_it(page: LabellingPage, batch: Batch) -> None:
    status, _, content = ask(page, "POST", "answer", saying(batch))

    given = given_answers(batch)[batch.examples[0].image_id]
    assert status == HTTPStatus.OK
    assert (given.answer.label, given.by) == ("cat", "Ada")
    assert json.loads(content)["pictures"][0]["label"] == "cat"


def test_the_page_may_load_nothing_from_elsewhere(page: LabellingPage) -> None:
    status, headers, content = ask(page)

    assert status == HTTPStatus.OK
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert content.decode().count(f'nonce="{nonce}"') == 2
    assert headers["Cache-Control"] == "no-store"
    other = ask(page)[1]["Content-Security-Policy"]
    assert other != policy, "a nonce is for one answer"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Origin": "http://evil.example"}, 403, id="another-site"),
        pytest.param({"Origin": "null"}, 403, id="sandboxed"),
        pytest.param({"Origin": ""}, 403, id="no-origin"),
        pytest.param({"Origin": "http://127.0.0.1:1"}, 403, id="another-local-page"),
        pytest.param({"Host": "evil.example"}, 403, id="rebound-name"),
        pytest.param({"Content-Type": "text/plain"}, 415, id="a-form-s-type"),
    ],
)
def test_another_page_of_the_browser_cannot_answer(
    page: LabellingPage, batch: Batch, headers: dict[str, str], status: int
) -> None:
    assert ask(page, "POST", "answer", saying(batch), headers=headers)[0] == status
    assert given_answers(batch) == {}


def test_without_the_token_there_is_nothing(page: LabellingPage, batch: Batch) -> None:
    for path in ("/", "/state", f"/x{page.token[1:]}/state", "/../state"):
        connection = http.client.HTTPConnection(page.host, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == HTTPStatus.NOT_FOUND
        assert batch.examples[0].image_id not in answer.read().decode()
        connection.close()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b"not json", 400, id="no-json"),
        pytest.param(b"[1]", 400, id="no-object"),
        pytest.param(b"{}", 400, id="empty"),
        pytest.param(b'{"a": "' + b"x" * 5000 + b'"}', 413, id="too-long"),
        pytest.param(b"[" * 4000, 400, id="deep"),
    ],
)
def test_nonsense_is_refused_and_the_page_goes_on(
    page: LabellingPage, batch: Batch, raw: bytes, status: int
) -> None:
    assert ask(page, "POST", "answer", raw=raw)[0] == status
    assert ask(page, "POST", "answer", saying(batch))[0] == HTTPStatus.OK


def test_a_second_tab_learns_that_somebody_was_quicker(page: LabellingPage, batch: Batch) -> None:
    ask(page, "POST", "answer", saying(batch))

    status, _, content = ask(page, "POST", "answer", saying(batch, label="dog"))

    told = json.loads(content)
    assert status == HTTPStatus.CONFLICT
    assert told["pictures"][0]["label"] == "cat"
    assert "Ada has answered meanwhile" in told["error"]


def test_a_picture_that_no_browser_knows_is_shown_as_one_it_does(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, 1, kind="tiff")
    with LabellingPage(batch, "Ada", lambda _: None) as page:
        status, headers, content = ask(page, path=f"picture/{batch.examples[0].image_id}")

    assert (status, headers["Content-Type"]) == (HTTPStatus.OK, "image/png")
    assert content.startswith(b"\x89PNG")


def test_only_the_batch_s_own_pictures_are_served(page: LabellingPage, batch: Batch) -> None:
    for name in ("../batch.json", "0" * 64, "%2e%2e/batch.json"):
        assert ask(page, path=f"picture/{name}")[0] == HTTPStatus.NOT_FOUND


def press(shown: Page, key: str) -> None:
    text = {"text": key} if len(key) == 1 else {}
    shown.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
    shown.call("Input.dispatchKeyEvent", type="keyUp", key=key)


@pytest.fixture
def shown(page: LabellingPage) -> Iterator[Page]:
    with browser() as shown:
        shown.look(1100, 800)
        shown.open(page.url)
        shown.wait_for_text("Model 1.0.0 says car (40 %).")
        yield shown


@pytest.mark.browser
@pytest.mark.slow
@in_a_browser
def test_a_batch_is_labelled_by_keyboard_alone(
    page: LabellingPage, batch: Batch, shown: Page
) -> None:
    press(shown, "2")
    shown.wait_for_text("1 of 4 answered")
    press(shown, "x")
    shown.wait_for_text("2 of 4 answered")
    press(shown, "3")
    shown.wait_for_text("3 of 4 answered")
    press(shown, "u")
    shown.wait_for_text("2 of 4 answered")
    press(shown, "n")
    for letter in "deer":
        press(shown, letter)
    shown.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", text="\r", code="Enter",
               windowsVirtualKeyCode=13)  # fmt: skip
    shown.wait_for_text("3 of 4 answered")
    press(shown, "4")
    shown.wait_for_text("4 of 4 answered")
    press(shown, "f")
    shown.wait_for_text("Finished. You can close this page.")

    assert page.done.wait(10)
    said = given_answers(batch)
    labels = [said[each.image_id].answer for each in batch.examples]
    assert [(each.verdict, each.label) for each in labels] == [
        ("label", "cat"),
        ("unusable", ""),
        ("label", "deer"),
        ("label", "deer"),
    ]
    assert shown.complaints == []
    assert {url.split("/")[2] for url in shown.asked} == {page.host}


@pytest.mark.browser
@pytest.mark.slow
@in_a_browser
def test_it_is_resumed_where_it_was_left(page: LabellingPage, batch: Batch, shown: Page) -> None:
    press(shown, "1")
    shown.wait_for_text("1 of 4 answered")

    shown.open(page.url)

    shown.wait_for_text("Picture 2, from hub-1")
    shown.wait_for_text("1 of 4 answered")


@pytest.mark.browser
@pytest.mark.slow
@in_a_browser
def test_somebody_else_s_answer_is_told_and_not_overwritten(batch: Batch, shown: Page) -> None:
    image_id = batch.examples[0].image_id
    give_answers(batch, [Answer(image_id, "label", "dog")], "Bo")

    press(shown, "1")

    shown.wait_for_text("Bo has answered meanwhile")
    assert given_answers(batch)[image_id].answer.label == "dog"


@pytest.mark.browser
@pytest.mark.slow
@in_a_browser
@pytest.mark.parametrize(("width", "dark"), [(1100, False), (360, True)], ids=["wide", "narrow"])
def test_it_is_readable_on_any_screen_and_named_for_those_who_hear_it(
    shown: Page, width: int, dark: bool
) -> None:
    shown.look(width, 800, dark)

    shown.wait_for("document.getElementById('picture').naturalWidth > 0")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    nameless = shown.evaluate(
        "[...document.querySelectorAll('button, input, img, progress')].filter(each => !("
        "each.getAttribute('aria-label') || each.alt || each.innerText.trim() || each.hidden"
        ")).length"
    )
    assert nameless == 0
    contrast = shown.evaluate(
        """(() => {
          const light = (text) => { const [r, g, b] = text.match(/\\d+/g).map((v) => {
            v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          const back = light(getComputedStyle(document.body).backgroundColor);
          return Math.min(...[...document.querySelectorAll('h1, p, .soft')].map((each) => {
            const ink = light(getComputedStyle(each).color);
            return (Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05); }));
        })()"""
    )
    assert contrast >= 4.5


def test_two_servers_share_a_batch(page: LabellingPage, batch: Batch) -> None:
    with LabellingPage(batch, "Bo", lambda _: None) as other:
        several = [
            threading.Thread(target=ask, args=(each, "POST", "answer", saying(batch, number)))
            for number, each in enumerate((page, other, page, other))
        ]
        for thread in several:
            thread.start()
        for thread in several:
            thread.join(30)

    assert sorted(each.by for each in given_answers(batch).values()) == ["Ada", "Ada", "Bo", "Bo"]


@pytest.mark.slow
def test_the_command_serves_it_until_it_is_stopped_and_goes_on_later(
    batch: Batch, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "flows", "label", "--by", "Ada"]
    environment = os.environ | {"EDGEWARD_HOME": str(tmp_path / "home"), "PYTHONUNBUFFERED": "1"}
    environment.pop("PREFECT_API_URL", None)

    def serve() -> tuple[subprocess.Popen[str], str, str]:
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        assert process.stderr
        lines = iter(process.stderr.readline, "")
        url = next(line.split()[1] for line in lines if line.startswith("Open http://"))
        return process, url.split("/")[2], url.split("/")[3]

    def post(host: str, token: str, path: str, body: dict[str, Any]) -> int:
        connection = http.client.HTTPConnection(host, timeout=30)
        headers = {"Content-Type": "application/json", "Origin": f"http://{host}"}
        connection.request("POST", f"/{token}/{path}", json.dumps(body), headers)
        status = connection.getresponse().status
        connection.close()
        return status

    process, host, token = serve()
    assert post(host, token, "answer", saying(batch)) == HTTPStatus.OK
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    again, host, other = serve()
    assert post(host, other, "finish", {}) == HTTPStatus.OK
    _, told = again.communicate(timeout=120)

    assert other != token
    assert (process.returncode, again.returncode) == (1, 0)
    assert "is labelled: 1 cat; 0 unusable, 3 left out" in told
    assert len(list((tmp_path / "home/collected/driveway").rglob("*.png"))) == 1
