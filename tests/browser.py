"""A headless Chromium, driven by its own DevTools protocol: what a person sees, as a test sees it.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from websockets.sync.client import connect
from websockets.sync.connection import Connection

PROGRAM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
PRESS = """
(said => {{
  const found = [...document.querySelectorAll("button, a")].filter(
    one => one.innerText.trim() === said && one.checkVisibility());
  if (found.length) found.at(-1).click();
  return found.length > 0;
}})({words})
"""
FIELD = """
(said => {{
  const label = [...document.querySelectorAll("label")].find(
    one => one.innerText.trim().startsWith(said));
  const around = label && label.closest(".p-label");
  const field = around && around.querySelector("input, textarea");
  {then}
}})({label})
"""
FOCUS = """
  if (!field) return false;
  field.scrollIntoView({block: "center"});
  field.focus();
  field.select();
  return true;
"""
START_SECONDS = 60
SHOW_SECONDS = 60


@dataclass(slots=True)
class Page:
    """A tab. `asked` holds the address of each request that the page made."""

    socket: Connection
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _number: int = 0

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def look(self, width: int, height: int, dark: bool = False) -> None:
        """Take this size, and prefer this colour scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def evaluate(self, script: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float = SHOW_SECONDS) -> Any:
        """Wait until a script gives something true, and return that."""
        deadline = time.monotonic() + seconds
        while not (value := self.evaluate(script)):
            shown = self.evaluate("document.body && document.body.innerText")
            assert time.monotonic() < deadline, f"{script} did not come true; shown: {shown}"
            time.sleep(0.1)
        return value

    def wait_for_text(self, text: str) -> None:
        self.wait_for(f"!!document.body && document.body.innerText.includes({json.dumps(text)})")

    def press(self, words: str) -> None:
        """Press the button or the link that says just this, once there is one."""
        self.wait_for(PRESS.format(words=json.dumps(words)))

    def fill(self, label: str, text: str) -> None:
        """Type into the field whose label begins so, in place of what is there."""
        said = json.dumps(label)
        deadline = time.monotonic() + SHOW_SECONDS
        self.wait_for(FIELD.format(label=said, then=FOCUS))
        while self.evaluate(FIELD.format(label=said, then="return field.value")) != text:
            assert time.monotonic() < deadline, f"{label} does not take {text!r}"
            self.evaluate(FIELD.format(label=said, then=FOCUS))  # what was typed may be drawn late
            self.call("Input.insertText", text=text)

    def screenshot(self, path: Path, whole: bool = False) -> Path:
        """Save what is shown as a PNG; `whole`: the page to its end."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(data["data"]))
        return path

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv(timeout=SHOW_SECONDS))
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Network.requestWillBeSent":
            self.asked.append(event["params"]["request"]["url"])
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(event["params"]["exceptionDetails"]))


@contextmanager
def browser() -> Iterator[Page]:
    """A fresh browser with one tab, for as long as the block lasts."""
    assert PROGRAM
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            with connect(_tab(_port(Path(profile), process)), max_size=None, proxy=None) as socket:
                page = Page(socket)
                for domain in ("Page", "Network", "Runtime"):
                    page.call(f"{domain}.enable")
                yield page
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    """The browser chooses a free one, and writes it down."""
    written = profile / "DevToolsActivePort"
    deadline = time.monotonic() + START_SECONDS
    while not (written.exists() and written.read_text().count("\n")):
        assert process.poll() is None, f"{PROGRAM} ended with status {process.returncode}"
        assert time.monotonic() < deadline, f"{PROGRAM} did not start"
        time.sleep(0.05)
    return int(written.read_text().splitlines()[0])


def _tab(port: int) -> str:
    request = Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT")
    with urlopen(request, timeout=START_SECONDS) as answer:
        return str(json.load(answer)["webSocketDebuggerUrl"])
