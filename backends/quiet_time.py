"""Times of the day when people are left alone, as `22:00-07:00 Europe/Berlin`."""

import re
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

_FORM = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)(?: +(\S+))?")


@dataclass(frozen=True, slots=True)
class QuietTime:
    """From `start` to `end` in `zone`; over midnight where `end` is the earlier one."""

    start: time
    end: time
    zone: ZoneInfo

    def holds(self, moment: datetime) -> bool:
        """Whether it is quiet at a moment (aware)."""
        now = moment.astimezone(self.zone).time()
        if self.start <= self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end


def parse_quiet_time(text: str) -> QuietTime | None:
    """None for an empty text. Without a zone it is UTC. Raises ValueError."""
    if not text.strip():
        return None
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError("it must be written like 22:00-07:00 Europe/Berlin")
    try:
        start, end = time.fromisoformat(found[1]), time.fromisoformat(found[2])
        zone = ZoneInfo(found[3] or "UTC")
    except (ValueError, OSError, KeyError):
        known = "hours are 00 to 23, and zones are named like Europe/Berlin"
        raise ValueError(f"{text.strip()!r} is no such time: {known}") from None
    if start == end:
        raise ValueError("it must not begin when it ends: nothing would ever be told")
    return QuietTime(start, end, zone)
