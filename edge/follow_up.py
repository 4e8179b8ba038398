"""What follows a result: alerts, hard examples kept, and those that are asked for sent."""

from __future__ import annotations

import logging
import time
from collections import deque
from datetime import datetime, timezone
from typing import Any, Deque, Dict, Mapping, Optional, Sequence, Set

from edge.alerts import Alert, Alerts, Sighting
from edge.camera import Shot
from edge.configuration import Configuration
from edge.contract import (
    LOCAL_ALERTS_TOPIC,
    alerts_topic,
    commands_topic,
    encode,
    new_message_id,
    utc_text,
)
from edge.delivery import Delivery
from edge.example_sending import PAUSE, CommandError, ExampleSender, parse_command
from edge.hard_examples import MEGABYTE, HardExamples
from edge.ipc import Nucleus
from edge.surroundings import Surroundings

SUBSCRIBE_SECONDS = 60.0
"""When a subscription that failed or ended is made again."""

_MAX_COMMANDS = 8
_MAX_LABEL = 500
_IDLE_SECONDS = 60.0

log = logging.getLogger(__name__)


class FollowUp:
    """One thread works with it; commands come in by another."""

    def __init__(
        self,
        surroundings: Surroundings,
        nucleus: Nucleus,
        delivery: Delivery,
        configuration: Configuration,
    ) -> None:
        self._thing = surroundings.thing
        self._nucleus = nucleus
        self._delivery = delivery
        self._alerts = Alerts(surroundings.alerts)
        self._examples = HardExamples(surroundings.hard_examples)
        self._sender = ExampleSender(self._thing, self._examples, delivery)
        self._commands: Deque[bytes] = deque(maxlen=_MAX_COMMANDS)
        self._subscribe_at: Optional[float] = None
        self._said: Set[str] = set()
        self._configuration = configuration
        self.use(configuration)

    def use(self, configuration: Configuration) -> None:
        """Go by this configuration from now on."""
        self._configuration = configuration
        self._alerts.use(configuration.alerts)
        self._examples.limit_to(int(configuration.hard_example_megabytes * MEGABYTE))
        self._sender.allow(configuration.pictures_may_leave)
        if self._subscribe_at is not None:
            self._subscribe_at = time.monotonic()  # accessControl may have changed, too

    def know_labels(self, labels: Sequence[str]) -> None:
        """Hear which labels the model has: a rule about another would never do anything."""
        named = {label for rule in self._configuration.alerts for label in rule.labels}
        named |= {label for rule in self._configuration.alerts for label in rule.while_labels}
        unknown = sorted((named | {*self._configuration.hard_example_labels}) - {*labels})
        if unknown:
            log.warning(
                "The model has no label %s: what Alerts or HardExampleLabels say of it is in vain",
                ", ".join(unknown),
            )

    def start(self) -> None:
        """Ask to hear of commands."""
        self._nucleus.subscribe(
            commands_topic(self._thing), self._commands.append, self._subscription_ended
        )

    def saw(self, shot: Shot, message: Mapping[str, Any]) -> None:
        """Take in a picture and its result."""
        seen = Sighting(
            moment=shot.moment,
            label=message["label"],
            score=message["score"],
            image_id=message["image_id"],
            model_version=message["model_version"],
            taken_at=message["taken_at"],
        )
        for alert in self._alerts.see(seen):
            self._raise(alert)
        chosen = self._configuration
        if seen.score < chosen.hard_example_score or seen.label in chosen.hard_example_labels:
            self._examples.keep(seen.image_id, shot.data, message, chosen.pictures_may_leave)

    def work(self) -> None:
        """Follow commands, a little at a time."""
        if self._subscribe_at is not None and time.monotonic() >= self._subscribe_at:
            self._subscribe_at = None
            self.start()
        while self._commands:
            try:
                self._sender.ask(parse_command(self._commands.popleft()))
            except CommandError as error:
                log.warning("A command is left out: %s", error)
        if self._sender.is_busy:
            self._sender.work()

    def seconds_to_next(self) -> float:
        """How long nothing will be due, as far as one can tell."""
        return PAUSE if self._sender.is_busy else _IDLE_SECONDS

    def figures(self) -> Dict[str, Any]:
        """What the heartbeat tells of this."""
        return {
            "alerts": self._alerts.raised,
            "hard_examples": self._examples.count,
            "hard_examples_mb": round(self._examples.size / MEGABYTE, 3),
        }

    def _raise(self, alert: Alert) -> None:
        message = {
            "thing": self._thing,
            "message_id": new_message_id(),
            "sent_at": utc_text(datetime.now(timezone.utc)),
            "alert": alert.name,
            "label": alert.newest.label[:_MAX_LABEL],
            "score": alert.newest.score,
            "sightings": alert.sightings,
            "image_id": alert.newest.image_id,
            "model_version": alert.newest.model_version,
            "first_seen_at": alert.first_seen_at,
            "taken_at": alert.newest.taken_at,
        }
        log.warning("Alert %s: %s, %.2f", alert.name, message["label"], alert.newest.score)
        self._nucleus.publish_local(LOCAL_ALERTS_TOPIC, message, self._not_local)
        self._delivery.send(alerts_topic(self._thing), encode(message))

    def _not_local(self, reason: str) -> None:
        self._say_once(f"Alerts are not published on {LOCAL_ALERTS_TOPIC} on this device", reason)

    def _subscription_ended(self, reason: str) -> None:
        self._say_once("Commands are not received, another try follows", reason)
        self._subscribe_at = time.monotonic() + SUBSCRIBE_SECONDS

    def _say_once(self, what: str, reason: str) -> None:
        if what not in self._said:
            self._said.add(what)
            log.warning("%s: %s", what, reason)
