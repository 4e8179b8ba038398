"""What the device tells: a result per picture, a summary per window, a heartbeat a minute."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional

from edge.contract import (
    encode,
    heartbeat_topic,
    new_message_id,
    statistics_message,
    statistics_topic,
    utc_text,
)
from edge.delivery import Delivery
from edge.health import health
from edge.outbox import Outbox
from edge.statistics import Summary
from edge.trimming import result_bytes, statistics_bytes
from edge.variants import Variants

HEARTBEAT_SECONDS = 60.0

log = logging.getLogger(__name__)


class Reporter:
    """Counts what was seen, and hands messages to the delivery."""

    def __init__(
        self, thing: str, folder: Path, variants: Variants, outbox: Outbox, delivery: Delivery
    ) -> None:
        self._thing = thing
        self._folder = folder
        self._variants = variants
        self._outbox = outbox
        self._delivery = delivery
        self.figures: Callable[[], Mapping[str, Any]] = dict
        """Further figures of the heartbeat."""
        self._started = time.monotonic()
        self._last_result: Optional[float] = None
        self._pictures = 0
        self._unreadable = 0
        self._next_heartbeat = self._started
        self._window_started = self._started
        self._opened = _now()
        self._windows: Dict[str, Summary] = {}

    def result(
        self, topic: str, message: Mapping[str, Any], statistics: Mapping[str, float]
    ) -> None:
        """Log a result as AWS's component does, count it, publish it if `topic` is not empty."""
        log.info("%s", json.dumps(message))
        self._pictures += 1
        self._last_result = time.monotonic()
        self._window(message["model_version"]).add(
            statistics,
            message["label"],
            message["score"],
            message["latency_ms"],
            message["image_id"],
        )
        if topic:
            self._delivery.send(topic, result_bytes(message))

    def unreadable(self) -> None:
        """Count a picture that could not be read."""
        self._unreadable += 1
        self._window(self._variants.champion.version).add_unreadable()

    def close_window(self) -> None:
        """Publish what each model's window holds so far, and open the next ones."""
        windows, self._windows = self._windows, {}
        self._opened, self._window_started = _now(), time.monotonic()
        for window in windows.values():
            window.close(max(window.start, self._opened))  # clocks are set back at times
            message = statistics_message(self._thing, window.to_dict())
            self._delivery.send(statistics_topic(self._thing), statistics_bytes(message))

    def report_due(self, statistics_interval: float) -> None:
        """Close the window that is full, and give the heartbeat that is due."""
        now = time.monotonic()
        if now >= self._window_started + statistics_interval:
            self.close_window()
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + HEARTBEAT_SECONDS
            self._heartbeat()

    def seconds_to_next(self, statistics_interval: float) -> float:
        """How long nothing will be due."""
        due = min(self._next_heartbeat, self._window_started + statistics_interval)
        return max(0.0, due - time.monotonic())

    def _heartbeat(self) -> None:
        champion, challenger = self._variants.champion, self._variants.challenger
        message = {
            "thing": self._thing,
            "message_id": new_message_id(),
            "sent_at": _now(),
            "model_version": champion.version,
            "model_problem": champion.problem,
            "challenger_version": challenger.version or None,
            "challenger_problem": challenger.problem,
            "runtime_version": champion.classifier.runtime_version,
            "uptime_s": round(time.monotonic() - self._started, 1),
            "last_result_age_s": self._last_result_age(),
            "pictures": self._pictures,
            "unreadable": self._unreadable,
            "queue_depth": self._outbox.depth,
            "queue_dropped": self._outbox.dropped,
            **self.figures(),
            **health(self._folder),
        }
        self._delivery.send(heartbeat_topic(self._thing), encode(message), only_newest=True)

    def _last_result_age(self) -> Optional[float]:
        return None if self._last_result is None else round(time.monotonic() - self._last_result, 1)

    def _window(self, model_version: str) -> Summary:
        """The open window of the model that answered; there is none for one that was not asked."""
        if model_version not in self._windows:
            self._windows[model_version] = Summary(model_version, self._opened)
        return self._windows[model_version]


def _now() -> str:
    return utc_text(datetime.now(timezone.utc))
