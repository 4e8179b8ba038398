"""Tells people what happened: each thing once, together, not at night, by every channel."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backends.artifacts import Message, Severity
from backends.errors import EdgewardError
from backends.moments import parse_moment
from backends.ports import Channel
from backends.quiet_time import QuietTime
from tasks.notices.composing import ORDER, compose
from tasks.notices.kinds import BY_EVENT, Notice
from tasks.notices.outbox import Outbox, Pending, held, read_outbox, write_outbox

AGAIN_AFTER = timedelta(days=1)
"""What stays as it is, is told again after this."""
GIVEN_UP_AFTER = timedelta(days=3)
LEVELS: Mapping[Severity, int] = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "critical": logging.CRITICAL,
}


@dataclass(frozen=True, slots=True)
class Told:
    """What came of telling: messages that were made, and what channels failed at."""

    messages: tuple[Message, ...]
    problems: Mapping[str, str]
    waiting: int

    def __str__(self) -> str:
        said = [f"told: {message.subject}" for message in self.messages]
        said += [f"{self.waiting} held back in the quiet time"] if self.waiting else []
        said += [f"{name} failed: {reason}" for name, reason in self.problems.items()]
        return "; ".join(said) or "nothing new to tell"


def tell(
    home: Path,
    notices: Iterable[Notice],
    channels: Sequence[Channel],
    quiet: QuietTime | None,
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
) -> Told:
    """Take news in, and tell what is due by each channel; what one fails at is tried next time.

    With no `notices`, only what was held back or failed is told.
    """
    now = datetime.now(UTC)
    with held(home):
        outbox = read_outbox(home)
        for notice in notices:
            _hear(outbox, notice, now)
        made = _make(outbox, now, is_quiet=quiet is not None and quiet.holds(now))
        for message in made:
            names = [c.name for c in channels if _is_for(c, message)]
            outbox.pending.append(Pending(message, now.isoformat(), dict.fromkeys(names, "")))
        write_outbox(home, outbox)
        for message in made:
            log.log(LEVELS[message.severity], "%s: %s", message.subject, message.body)
        problems = _deliver(home, outbox, channels, now, log)
        return Told(tuple(made), problems, len(outbox.waiting))


def _hear(outbox: Outbox, notice: Notice, now: datetime) -> None:
    """Take one in, unless it is known or says nothing new."""
    if notice.id in outbox.heard:
        return
    outbox.heard[notice.id] = now.isoformat()
    if ends := BY_EVENT[notice.kind].ends:
        outbox.said.pop(f"{ends} {notice.scope}", None)
    about = f"{notice.kind} {notice.scope}"
    state, at = outbox.said.get(about, ("", ""))
    if state == notice.state and now - parse_moment(at) < AGAIN_AFTER:
        return
    outbox.said.pop(about, None)  # the newest come last
    outbox.said[about] = (notice.state, now.isoformat())
    outbox.waiting.append(notice)


def _make(outbox: Outbox, now: datetime, *, is_quiet: bool) -> list[Message]:
    """One message of what is due; in a quiet time only of what is critical."""
    due = [one for one in outbox.waiting if not is_quiet or one.severity == "critical"]
    outbox.waiting = [one for one in outbox.waiting if one not in due]
    late = outbox.held and not is_quiet
    outbox.held = bool(outbox.waiting)
    if not due:
        return []
    dropped, outbox.dropped = (outbox.dropped, 0) if not is_quiet else (0, outbox.dropped)
    return [compose(due, held=late, dropped=dropped)]


def _deliver(
    home: Path,
    outbox: Outbox,
    channels: Sequence[Channel],
    now: datetime,
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
) -> dict[str, str]:
    """Send what each channel has not taken; a channel that fails stops no other."""
    problems: dict[str, str] = {}
    for channel in channels:
        for pending in [one for one in outbox.pending if channel.name in one.left]:
            try:
                channel.send(_with_problems(pending.message, outbox, channel.name))
            except EdgewardError as error:
                pending.left[channel.name] = problems[channel.name] = str(error)
                log.warning("%s did not take %r: %s", channel.name, pending.message.subject, error)
                break  # in order, and not each of many in vain
            del pending.left[channel.name]
            write_outbox(home, outbox)
    outbox.pending = [one for one in outbox.pending if one.left and not _is_old(one, now, log)]
    write_outbox(home, outbox)
    return problems


def _with_problems(message: Message, outbox: Outbox, to: str) -> Message:
    """A channel that works says of those that do not."""
    failing = {
        name: said
        for one in outbox.pending
        for name, said in one.left.items()
        if said and name != to
    }
    if not failing:
        return message
    told = "\n".join(f"({name} cannot be told: {said})" for name, said in sorted(failing.items()))
    return Message(message.id, message.severity, message.subject, f"{message.body}\n{told}")


def _is_for(channel: Channel, message: Message) -> bool:
    return ORDER.index(message.severity) >= ORDER.index(channel.least)


def _is_old(
    pending: Pending,
    now: datetime,
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
) -> bool:
    if now - parse_moment(pending.made_at) < GIVEN_UP_AFTER:
        return False
    names = ", ".join(sorted(pending.left))
    log.error("%r was never taken by %s, and is given up", pending.message.subject, names)
    return True
