"""What an automation starts, on a real Prefect server: one message of all that came meanwhile."""

import json
import logging
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from pydantic import SecretStr

from backends.settings import NotifySettings
from flows.automations import NOTIFY, apply_automations, notices
from flows.notify import NotifyPlan, notify
from tasks.drift.alarms import Alarm, Change, Moved
from tasks.drift.scopes import of_thing
from tasks.notices.kinds import KINDS
from tests.architecture.effects.runs import lasting_server

pytestmark = pytest.mark.usefixtures("prefect_server")

SECRET = "hunter2-in-the-path"


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A chat system's webhook, which the settings name."""
    heard: list[dict[str, Any]] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/{SECRET}"
        monkeypatch.setenv("EDGEWARD_NOTIFY__WEBHOOK", url)
        monkeypatch.setenv("EDGEWARD_NOTIFY__GROUP_SECONDS", "0")
        yield heard
        server.shutdown()
        thread.join()


def drifts(thing: str) -> str:
    """Let a device drift; the id of the event."""
    identity = uuid.uuid4()
    emit_event(
        "edgeward.drift",
        resource={
            "prefect.resource.id": f"edgeward.thing.{thing}",
            "prefect.resource.name": thing,
        },
        payload={"reason": "it is darker", "checks": ["input.brightness"]},
        id=identity,
    )
    return str(identity)


def test_several_things_that_drift_at_once_are_one_message(
    home: Path, sink: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    *_, last = [drifts(f"notified-{number}") for number in range(3)]

    first = notify(NotifyPlan(event=last, name="edgeward.drift"))
    second = notify(NotifyPlan(event=last, name="edgeward.drift"))

    assert len(sink) == 1
    assert sink[0]["severity"] == "warning"
    assert all(f"- notified-{number} drifts: it is darker." in sink[0]["body"] for number in (0, 2))
    assert "`edgeward results --thing notified-0`" in sink[0]["body"]
    assert str(first).startswith("told: 3 things drift")
    assert str(second) == "nothing new to tell"
    written = [path.read_text(errors="replace") for path in home.rglob("*") if path.is_file()]
    assert SECRET not in "".join(written)
    ours = [record.getMessage() for record in caplog.records if "markupsafe" not in record.name]
    assert SECRET not in "".join(ours)


def test_each_kind_of_news_can_be_switched_off_in_the_ui_and_stays_off(
    sink: list[dict[str, Any]],
) -> None:
    off = "Edgeward: a device drifts"

    async def applied() -> dict[str, bool]:
        settings = NotifySettings(webhook=SecretStr("http://127.0.0.1:9/told"))
        async with get_client() as client:
            flow = await client.create_flow_from_name("notify")
            await client.create_deployment(flow, NOTIFY.partition("/")[2])
            names = await apply_automations(client, settings)
            (drift,) = await client.read_automations_by_name(off)
            await client.pause_automation(drift.id)
            assert await apply_automations(client, settings) == names
            found = [await client.read_automations_by_name(name) for name in names]
            return {one.name: one.enabled for automations in found for one in automations}

    state = anyio.run(applied)

    assert set(state) == {notice.name for notice in notices(NotifySettings())}
    assert len(state) == len(KINDS) + 2
    assert [name for name, enabled in state.items() if not enabled] == [off]


def darker() -> Change:
    """An alarm that begins."""
    at = "2026-11-25T12:00:00+00:00"
    moved = {"input.brightness": Moved(at, 0.9, 0.25, "it is darker")}
    alarm = Alarm("drift", 1, at, at, ("1.0.0",), moved, ("told-1",))
    return Change("began", alarm, ("input.brightness",), at)


def test_where_a_server_lasts_its_automations_tell_and_nobody_else(
    home: Path, sink: list[dict[str, Any]]
) -> None:
    from flows.announcing import announce_drift

    scope, change = of_thing("told-1"), darker()
    with lasting_server():
        announce_drift(scope, change)
    assert sink == []

    announce_drift(scope, change)
    announce_drift(scope, change)

    assert [message["subject"] for message in sink] == ["told-1 drifts"]
