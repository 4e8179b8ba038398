"""Ends the process when its work is stuck, so that the nucleus starts it again.

An inference that never returns cannot be ended from within Python; the process can. A picture over
which the work was stuck twice is passed over from then on, so that it does not starve the device.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional

from edge.pictures import image_id

STUCK = 70
"""The exit status: sysexits.h calls it an internal software error."""

TIMES = 2
"""How often the work may be stuck over a picture before it is passed over."""

MAX_PICTURES = 100

_LOOKS = 10
_FLUSH_SECONDS = 2.0

log = logging.getLogger(__name__)


class StuckPictures:
    """Over which pictures the work was stuck, and how often; kept in a file across restarts."""

    def __init__(self, memory: Path) -> None:
        self.restarts = 0
        """How often the work was stuck, in all its time."""
        self._memory = memory
        self._model_version = ""
        self._times: Dict[str, int] = {}
        self._recall()

    def is_passed_over(self, data: bytes, model_version: str) -> bool:
        """Whether these bytes have stopped this model too often."""
        if not self._times or model_version != self._model_version:
            return False
        return self._times.get(image_id(data), 0) >= TIMES

    def note(self, data: Optional[bytes], model_version: str) -> None:
        """Write down that the work is stuck, over these bytes if over any. May raise OSError."""
        self.restarts += 1
        if model_version != self._model_version:  # another model may do better
            self._model_version, self._times = model_version, {}
        if data is not None:
            name = image_id(data)
            times = self._times.pop(name, 0) + 1
            self._times = dict([*self._times.items(), (name, times)][-MAX_PICTURES:])
        temporary = self._memory.with_suffix(".new")
        known = {"restarts": self.restarts, "model_version": model_version, "times": self._times}
        temporary.write_text(json.dumps(known), encoding="utf-8")
        temporary.replace(self._memory)

    def _recall(self) -> None:
        try:
            known: Dict[str, Any] = json.loads(self._memory.read_bytes())
            self.restarts = int(known["restarts"])
            self._model_version = str(known["model_version"])
            self._times = {str(name): int(times) for name, times in known["times"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass  # nothing was ever stuck, or the file is damaged


class Watchdog:
    """Wants to hear from the work at least every `seconds` (0: never); else the process ends.

    `end` is what ends it; it is given the exit status.
    """

    def __init__(
        self, stuck: StuckPictures, seconds: float = 0, end: Callable[[int], None] = os._exit
    ) -> None:
        self.seconds = seconds
        self._stuck = stuck
        self._end = end
        self._beats = 0
        self._picture: Optional[bytes] = None
        self._doing = ""
        self._model_version = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(1)

    def beat(self) -> None:
        """Say that the work goes on."""
        self._beats += 1

    @contextmanager
    def looking_at(self, name: str, data: bytes, model_version: str) -> Iterator[None]:
        """Say what the work is at: should it be stuck, this picture is to blame."""
        self._doing, self._picture, self._model_version = f" over {name}", data, model_version
        self.beat()
        try:
            yield
        finally:
            self.beat()
            self._doing, self._picture = "", None

    def _run(self) -> None:
        """Count only time in which this thread ran: the machine may have been asleep."""
        beats, silent, looked_at = self._beats, 0.0, time.monotonic()
        pause = 1.0
        while not self._stopping.wait(pause):
            pause = min(1.0, (self.seconds or _LOOKS) / _LOOKS)
            now = time.monotonic()
            silent += min(now - looked_at, 2 * pause)
            looked_at = now
            if self._beats != beats or not self.seconds:
                beats, silent = self._beats, 0.0
            elif silent >= self.seconds:
                self._give_up()
                return

    def _give_up(self) -> None:
        """Say why, and end; also where saying so blocks, or the disk is full."""
        speaker = threading.Thread(target=self._say_why, daemon=True)
        speaker.start()
        speaker.join(_FLUSH_SECONDS)
        self._end(STUCK)

    def _say_why(self) -> None:
        doing = self._doing
        try:
            self._stuck.note(self._picture, self._model_version)
        except OSError as error:
            log.error("The watchdog's memory cannot be written: %s", error)  # noqa: TRY400
        log.critical(
            "The work is stuck%s: nothing for %g s (WatchdogSeconds). The process ends, "
            "so that it is started again",
            doing,
            self.seconds,
        )
        for handler in logging.getLogger().handlers:
            handler.flush()
        sys.stdout.flush()
