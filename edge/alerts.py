"""Decides when somebody should look now: rules over what the last pictures showed.

The device decides by itself, so that an alert is raised at once, and also offline. Time is the
monotonic time of the picture: clocks jump. Memory is bounded by the rules.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Deque, Dict, List, Mapping, Optional, Sequence

from edge.alert_rules import MAX_SIGHTINGS, AlertRule

_BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Changes when the machine starts: monotonic times of another boot mean nothing."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sighting:
    """One classified picture. `moment` is monotonic seconds, `taken_at` UTC text."""

    moment: float
    label: str
    score: float
    image_id: str
    model_version: str
    taken_at: str


@dataclass(frozen=True)
class Alert:
    """A rule that was met: the newest picture that counted, how many did, and the first of them."""

    name: str
    newest: Sighting
    sightings: int
    first_seen_at: str


class _Watched:
    """What one rule remembers: pictures that counted, when the other labels were seen, its rest."""

    def __init__(self, rule: AlertRule, raised_at: Optional[float]) -> None:
        self.rule = rule
        self.raised_at = raised_at
        self._counted: Deque[Sighting] = deque(maxlen=MAX_SIGHTINGS)
        self._others_seen_at: Optional[float] = None

    def see(self, seen: Sighting) -> Optional[Alert]:
        rule, now = self.rule, seen.moment
        if seen.label in rule.while_labels and seen.score >= rule.while_min_score:
            self._others_seen_at = now
        while self._counted and now - self._counted[0].moment > rule.within_seconds:
            self._counted.popleft()
        if seen.label in rule.labels and seen.score >= rule.min_score:
            self._count(seen)
        if len(self._counted) < rule.sightings or not self._while(now) or self._is_quiet(now):
            return None
        self.raised_at = now
        counted = self._counted
        return Alert(rule.name, counted[-1], len(counted), counted[0].taken_at)

    def _count(self, seen: Sighting) -> None:
        """A still camera, or a folder without news, shows the same picture again: no news."""
        if all(before.image_id != seen.image_id for before in self._counted):
            self._counted.append(seen)

    def _while(self, now: float) -> bool:
        if not self.rule.while_labels:
            return True
        seen_at = self._others_seen_at
        return seen_at is not None and now - seen_at <= self.rule.while_seconds

    def _is_quiet(self, now: float) -> bool:
        return self.raised_at is not None and now - self.raised_at < self.rule.quiet_seconds


class Alerts:
    """All the rules. The quiet time outlives a restart of the component, not of the machine."""

    def __init__(self, memory: Path) -> None:
        self.raised = 0
        """How many alerts there were since the start."""
        self._memory = memory
        self._boot = _boot()
        self._raised_at: Dict[str, float] = self._recall()
        self._watched: List[_Watched] = []

    def use(self, rules: Sequence[AlertRule]) -> None:
        """Go by these rules from now on; one that stays as it was keeps what it has seen."""
        kept = {watched.rule: watched for watched in self._watched}
        self._watched = [
            kept.get(rule) or _Watched(rule, self._raised_at.get(rule.name)) for rule in rules
        ]

    def see(self, seen: Sighting) -> List[Alert]:
        """Take a picture in; the alerts that it raises."""
        found = [watched.see(seen) for watched in self._watched]
        alerts = [alert for alert in found if alert is not None]
        if alerts:
            self.raised += len(alerts)
            self._remember()
        return alerts

    def _remember(self) -> None:
        self._raised_at = {
            watched.rule.name: watched.raised_at
            for watched in self._watched
            if watched.raised_at is not None
        }
        temporary = self._memory.with_suffix(".new")
        try:
            temporary.write_text(json.dumps({"boot": self._boot, "raised_at": self._raised_at}))
            temporary.replace(self._memory)
        except OSError as error:
            log.debug("quiet times are not written down: %s", error)

    def _recall(self) -> Dict[str, float]:
        try:
            memory: Mapping[str, Any] = json.loads(self._memory.read_bytes())
            if not self._boot or memory["boot"] != self._boot:
                return {}
            return {str(name): float(moment) for name, moment in memory["raised_at"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}  # none yet, or damaged


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
