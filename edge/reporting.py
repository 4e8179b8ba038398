"""What the device tells: a result per picture, a summary per window, a heartbeat a minute."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Mapping, Optional

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
from edge.serving import Serving
from edge.statistics import Summary
from edge.trimming import result_bytes, statistics_bytes

HEARTBEAT_SECONDS = 60.0

log = logging.getLogger(__name__)


class Reporter:
    """Counts what was seen, and hands messages to the delivery."""

    def __init__(
        self, thing: str, folder: Path, serving: Serving, outbox: Outbox, delivery: Delivery
    ) -> None:
        self._thing = thing
        self._folder = folder
        self._serving = serving
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
        self._window = self._new_window()

    def result(
        self, topic: str, message: Mapping[str, Any], statistics: Mapping[str, float]
    ) -> None:
        """Log a result as AWS's component does, count it, publish it if `topic` is not empty."""
        log.info("%s", json.dumps(message))
        self._pictures += 1
        self._last_result = time.monotonic()
        self._window.add(
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
        self._window.add_unreadable()

    def close_window(self) -> None:
        """Publish the window so far, unless it is empty, and open the next one."""
        window, self._window = self._window, self._new_window()
        self._window_started = time.monotonic()
        if not window.count and not window.unreadable:
            return
        window.close(max(window.start, self._window.start))  # clocks are set back at times
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
        message = {
            "thing": self._thing,
            "message_id": new_message_id(),
            "sent_at": _now(),
            "model_version": self._serving.version,
            "model_problem": self._serving.problem,
            "runtime_version": self._serving.classifier.runtime_version,
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

    def _new_window(self) -> Summary:
        return Summary(self._serving.version, _now())


def _now() -> str:
    return utc_text(datetime.now(timezone.utc))
