"""Makes one message of what waits: the most severe first, and never longer than people read."""

import uuid
from collections.abc import Sequence

from backends.artifacts import Message, Severity
from tasks.notices.kinds import BY_EVENT, Notice

MOST_LISTED = 10
ORDER: tuple[Severity, ...] = ("info", "warning", "critical")
_NAMES = uuid.UUID("0d8f4d54-3f2c-4a55-9a0f-7be5f6f0a8f1")


def compose(notices: Sequence[Notice], *, held: bool, dropped: int = 0) -> Message:
    """What `notices` (one at least) say together. `held`: they come late, after a quiet time."""
    ordered = sorted(notices, key=lambda one: (-ORDER.index(one.severity), one.at))
    first = ordered[0]
    if len(ordered) == 1 and not held and not dropped:
        return Message(_id(ordered), first.severity, first.subject, _paragraph(first))
    kinds = {one.kind for one in ordered}
    subject = (
        BY_EVENT[first.kind].several.format(n=len(ordered))
        if len(kinds) == 1 and len(ordered) > 1
        else f"{first.subject}{_and_more(len(ordered) - 1)}"
    )
    lines = [f"- {one.subject}: {_paragraph(one)}" for one in ordered[:MOST_LISTED]]
    if more := len(ordered) - MOST_LISTED + dropped:
        lines += [f"… and {more} more"] if more > 0 else []
    late = "While it was quiet: " if held else ""
    return Message(_id(ordered), first.severity, f"{late}{subject}", "\n".join(lines))


def _and_more(count: int) -> str:
    return f", and {count} more" if count else ""


def _paragraph(notice: Notice) -> str:
    reason = notice.reason if notice.reason.endswith((".", "!", "?")) else f"{notice.reason}."
    return f"{reason} {notice.next_step}"


def _id(notices: Sequence[Notice]) -> str:
    """The same news, the same id: a message that is made again is known as the same."""
    return uuid.uuid5(_NAMES, " ".join(sorted(one.id for one in notices))).hex
