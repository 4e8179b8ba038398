"""What people are told: once, together, not at night, by each channel by itself."""

import json
import logging
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.artifacts import Message, Severity
from backends.errors import BackendUnavailableError
from backends.quiet_time import QuietTime, parse_quiet_time
from backends.settings import PROJECT
from tasks.notices.kinds import KINDS, Notice, notice_of
from tasks.notices.outbox import read_outbox
from tasks.notices.telling import Told, tell

LOG = logging.getLogger("told")
NIGHT = "22:00-07:00 Europe/Berlin"


@dataclass
class Remembering:
    """Keeps the Channel port's contract: fails when it is told to, else remembers."""

    name: str
    least: Severity = "info"
    broken: bool = False
    taken: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        if self.broken:
            raise BackendUnavailableError(self.name, "it is broken")
        self.taken.append(message)


def event(name: str, thing: str = "hub-1", **payload: Any) -> dict[str, Any]:
    """An event as the server's API has it; the same content is the same event."""
    return {
        "id": f"{name}/{thing}/{json.dumps(payload, sort_keys=True)}",
        "event": name,
        "occurred": "2026-11-25T12:00:00Z",
        "resource": {
            "prefect.resource.id": f"edgeward.thing.{thing}",
            "prefect.resource.name": thing,
        },
        "related": [],
        "payload": payload,
    }


def drift(thing: str = "hub-1", *checks: str, **more: Any) -> Notice:
    found = notice_of(event("edgeward.drift", thing, reason="darker", checks=checks, **more))
    assert found
    return found


def rolled_back(thing: str = "hub-1") -> Notice:
    payload = {"reason": "less sure", "to_version": "1.0.0", "rollback": f"{thing}--1"}
    found = notice_of(event("edgeward.rolled-back", thing, **payload))
    assert found
    return found


def told(home: Path, *notices: Notice, by: Any = (), quiet: QuietTime | None = None) -> Told:
    return tell(home, notices, by, quiet, LOG)


def quiet_now() -> QuietTime:
    now = datetime.now(UTC)
    start, end = now - timedelta(hours=1), now + timedelta(hours=1)
    found = parse_quiet_time(f"{start:%H:%M}-{end:%H:%M}")
    assert found
    return found


def test_a_notice_has_its_reason_and_a_command_to_go_on_with(tmp_path: Path) -> None:
    (message,) = told(tmp_path, drift("porch")).messages

    assert (message.severity, message.subject) == ("warning", "porch drifts")
    assert message.body.startswith("darker. See `edgeward results --thing porch`")


def test_many_at_once_are_one_message_that_lists_ten_and_counts_the_rest(tmp_path: Path) -> None:
    (message,) = told(tmp_path, *(drift(f"hub-{number}") for number in range(22))).messages

    assert message.subject == "22 things drift"
    assert message.body.count("- hub-") == 10
    assert message.body.endswith("… and 12 more")


def test_different_news_are_one_message_with_the_most_severe_first(tmp_path: Path) -> None:
    (message,) = told(tmp_path, drift("a"), rolled_back("b"), drift("c")).messages

    assert message.severity == "critical"
    assert message.subject == "b was rolled back to model 1.0.0, and 2 more"
    assert message.body.startswith("- b was rolled back")


def test_nothing_is_told_twice_while_nothing_changes(tmp_path: Path) -> None:
    told(tmp_path, drift("hub-1", "input.brightness"))

    same = told(tmp_path, drift("hub-1", "input.brightness"))
    later = told(tmp_path, drift("hub-1", "input.brightness", look=2))
    more = told(tmp_path, drift("hub-1", "input.brightness", "confidence"))
    other = told(tmp_path, drift("hub-2", "input.brightness"))

    assert (same.messages, later.messages) == ((), ())
    assert [message.subject for message in more.messages] == ["hub-1 drifts"]
    assert [message.subject for message in other.messages] == ["hub-2 drifts"]


def test_a_drift_that_ended_and_comes_back_is_told_again(tmp_path: Path) -> None:
    ended = notice_of(event("edgeward.drift.ended", reason="as before"))
    assert ended
    told(tmp_path, drift("hub-1", "input.brightness"))

    over = told(tmp_path, ended)
    again = told(tmp_path, drift("hub-1", "input.brightness", episode=2))

    assert [message.subject for message in over.messages] == ["hub-1 drifts no more"]
    assert [message.subject for message in again.messages] == ["hub-1 drifts"]


def test_at_night_only_what_is_critical_is_told_and_the_rest_comes_at_once_afterwards(
    tmp_path: Path,
) -> None:
    channel = Remembering("webhook")
    by, quiet = [channel], quiet_now()

    night = told(tmp_path, drift("a"), drift("b"), by=by, quiet=quiet)
    urgent = told(tmp_path, rolled_back("c"), by=by, quiet=quiet)
    morning = told(tmp_path, by=by)
    noon = told(tmp_path, by=by)

    assert (night.messages, night.waiting) == ((), 2)
    assert [message.subject for message in urgent.messages] == ["c was rolled back to model 1.0.0"]
    assert [message.subject for message in morning.messages] == [
        "While it was quiet: 2 things drift"
    ]
    assert noon.messages == ()
    assert [message.severity for message in channel.taken] == ["critical", "warning"]


@pytest.mark.parametrize(
    ("moment", "is_quiet"),
    [
        ("2026-01-15T20:59:00+00:00", False),
        ("2026-01-15T21:00:00+00:00", True),  # 22:00 in Berlin, in winter
        ("2026-01-16T05:59:00+00:00", True),
        ("2026-01-16T06:00:00+00:00", False),
        ("2026-07-15T20:00:00+00:00", True),  # 22:00 in Berlin, in summer
        ("2026-07-16T05:00:00+00:00", False),
    ],
)
def test_a_quiet_time_is_of_its_zone_and_goes_over_midnight(moment: str, is_quiet: bool) -> None:
    quiet = parse_quiet_time(NIGHT)

    assert quiet
    assert quiet.holds(datetime.fromisoformat(moment)) is is_quiet


@pytest.mark.parametrize(
    "text", ["22-07", "22:00-22:00", "25:00-07:00", "22:00-07:00 Atlantis/Main", "22:00-07:00 ../x"]
)
def test_a_quiet_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"it must|no such time"):
        parse_quiet_time(text)


def test_a_channel_that_fails_stops_no_other_is_told_of_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mail, hook = Remembering("mail", broken=True), Remembering("webhook")

    first = told(tmp_path, drift("a"), by=[mail, hook])
    second = told(tmp_path, drift("b"), by=[mail, hook])
    mail.broken = False
    third = told(tmp_path, by=[mail, hook])

    assert "mail failed" in str(first)
    assert "mail did not take 'a drifts'" in caplog.text
    assert [message.subject for message in hook.taken] == ["a drifts", "b drifts"]
    assert "(mail cannot be told: mail is unavailable: it is broken" in hook.taken[1].body
    assert second.problems
    assert not third.problems
    assert [message.subject for message in mail.taken] == ["a drifts", "b drifts"]
    assert read_outbox(tmp_path).pending == []


def test_a_channel_gets_what_is_severe_enough_for_it(tmp_path: Path) -> None:
    everything, urgent = Remembering("webhook"), Remembering("mail", "critical")

    told(tmp_path, drift("a"), by=[everything, urgent])
    told(tmp_path, rolled_back("b"), by=[everything, urgent])

    assert len(everything.taken) == 2
    assert [message.severity for message in urgent.taken] == ["critical"]


class KilledError(BaseException):
    """A process that ends in the middle."""


def test_a_process_that_is_killed_while_telling_forgets_nothing_and_repeats_no_other_channel(
    tmp_path: Path,
) -> None:
    @dataclass
    class Killing(Remembering):
        def send(self, message: Message) -> None:
            raise KilledError

    hook, mail = Remembering("webhook"), Remembering("mail")
    with pytest.raises(KilledError):
        told(tmp_path, drift("a"), by=[hook, Killing("mail")])

    told(tmp_path, drift("a"), by=[hook, mail])

    assert [message.subject for message in hook.taken] == ["a drifts"]
    assert [message.id for message in mail.taken] == [message.id for message in hook.taken]


def test_what_waits_is_bounded_and_what_was_dropped_is_counted(tmp_path: Path) -> None:
    many = [replace(drift(f"hub-{number}"), id=str(number)) for number in range(1100)]

    told(tmp_path, *many, quiet=quiet_now())
    (message,) = told(tmp_path).messages

    assert message.body.endswith("… and 1090 more")


def test_a_failed_flow_of_another_project_is_not_told_of() -> None:
    failed = {
        "id": "1",
        "event": "prefect.flow-run.Crashed",
        "occurred": "2026-11-25T12:00:00Z",
        "resource": {"prefect.resource.id": "prefect.flow-run.1", "prefect.resource.name": "red"},
        "related": [{"prefect.resource.role": "flow", "prefect.resource.name": "train"}],
        "payload": {"validated_state": {"message": "no disk"}},
    }
    ours = {
        **failed,
        "related": [*failed["related"], {"prefect.resource.id": "prefect.tag.edgeward"}],
    }

    assert notice_of(failed) is None
    notice = notice_of(ours)
    assert notice
    assert (notice.subject, notice.reason) == ("train failed", "no disk")


def test_every_event_has_an_automation_of_its_own_name() -> None:
    assert len({kind.automation for kind in KINDS}) == len(KINDS)
    assert len({kind.event for kind in KINDS}) == len(KINDS)


def test_the_documentation_has_every_event_with_its_severity_and_automation() -> None:
    page = (PROJECT / "docs" / "how-to" / "quality.md").read_text(encoding="utf-8")

    for kind in KINDS:
        assert f"| `{kind.event}` | {kind.severity} | `{kind.automation}` |" in page
