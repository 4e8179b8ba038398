"""Sends what is in the outbox, from a thread of its own: in order, one at a time, again on failure.

One message in flight keeps the order, and stays far below the ten that nucleus lite allows. A
message leaves the outbox only when the nucleus has taken it, so it may arrive twice, never not at
all; receivers know the second by its message_id.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Callable, Dict

from edge.contract import MAX_MESSAGE_BYTES
from edge.ipc import (
    MessageRefusedError,
    PublishError,
    SessionLostError,
    UnauthorizedTopicError,
)
from edge.outbox import Message, Outbox

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
UNAUTHORIZED_PAUSE = 60.0
"""Seconds before a topic that accessControl does not grant is tried again."""

log = logging.getLogger(__name__)


class Delivery:
    """Owns the sending thread. `publish` and `on_lost` are called in it."""

    def __init__(
        self,
        outbox: Outbox,
        publish: Callable[[str, bytes], None],
        on_lost: Callable[[str], None],
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._outbox = outbox
        self._publish = publish
        self._on_lost = on_lost
        self._first_pause = first_pause
        self._failures = 0
        self._deadline = 0.0
        self._parked: Dict[str, float] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, topic: str, payload: bytes, only_newest: bool = False) -> None:
        """Put a message into the outbox and see to it that it is sent.

        One that nucleus lite cannot carry is dropped here: it would end the session, and wait in
        the outbox to end the next one.
        """
        if len(payload) > MAX_MESSAGE_BYTES:
            log.error("A message of %s bytes on %s is dropped, too large", len(payload), topic)
            return
        self._outbox.put(topic, payload, only_newest)
        self._wake.set()

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return self._outbox.depth

    def withdraw(self, topic: str) -> None:
        """Forget what waits on a topic; a message that is on its way may still arrive."""
        self._outbox.withdraw(topic)

    def retry_parked(self) -> None:
        """Try unauthorised topics again at once: the configuration has changed."""
        self._parked.clear()
        self._wake.set()

    def stop(self, seconds: float) -> None:
        """Send what can be sent within `seconds`; the rest stays on disk for the next start."""
        self._deadline = time.monotonic() + seconds
        self._stopping.set()
        self._wake.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._is_over():
            self._wake.clear()
            is_last_look = self._stopping.is_set()  # what is put after it was asked may be missed
            message = self._outbox.first(self._unauthorized())
            if message is None:
                self._outbox.settle()
                if is_last_look:
                    return
                self._wake.wait(1.0)
                continue
            try:
                self._deliver(message)
            except SessionLostError as error:
                self._on_lost(str(error))
                return

    def _is_over(self) -> bool:
        if not self._stopping.is_set():
            return False
        return self._failures > 0 or time.monotonic() > self._deadline

    def _deliver(self, message: Message) -> None:
        try:
            self._publish(message.topic, message.payload)
        except UnauthorizedTopicError:
            self._parked[message.topic] = time.monotonic() + UNAUTHORIZED_PAUSE
            log.error(  # noqa: TRY400 - a traceback says no more
                "Not authorised to publish on %s: name it under accessControl; messages wait",
                message.topic,
            )
        except MessageRefusedError as error:
            log.error(  # noqa: TRY400 - likewise
                "The nucleus refuses a message on %s for good: %s", message.topic, error
            )
            self._outbox.remove(message)
        except PublishError as error:
            self._pause(message.topic, error)
        else:
            if self._failures:
                log.info("Publishing works again, %s messages wait", self._outbox.depth)
            self._failures = 0
            self._outbox.remove(message)

    def _pause(self, topic: str, error: PublishError) -> None:
        if not self._failures:
            log.warning("Cannot publish on %s, messages are kept: %s", topic, error)
        pause = min(self._first_pause * 2 ** min(self._failures, 20), LONGEST_PAUSE)
        self._failures += 1
        self._stopping.wait(pause * random.uniform(0.5, 1))  # noqa: S311  (spreads a fleet's retries)

    def _unauthorized(self) -> Dict[str, float]:
        now = time.monotonic()
        self._parked = {topic: until for topic, until in self._parked.items() if until > now}
        return self._parked
