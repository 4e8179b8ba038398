"""What other threads tell the working one: stop, the session is lost, the configuration changed."""

from __future__ import annotations

import threading
from typing import Optional


class Signals:
    """Flags, and a wake-up with each. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._stopping = False
        self._changed = False
        self._lost: Optional[str] = None

    @property
    def lost(self) -> Optional[str]:
        """Why the session with the nucleus is gone; None: it is there."""
        return self._lost

    @property
    def changed(self) -> bool:
        """Whether the configuration has changed since `take_change`."""
        return self._changed

    @property
    def is_ending(self) -> bool:
        """Whether the work is to end, for whatever reason."""
        return self._stopping or self._lost is not None

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    def lose(self, reason: str) -> None:
        self._lost = self._lost or reason
        self._wake.set()

    def change(self) -> None:
        self._changed = True
        self._wake.set()

    def take_change(self) -> bool:
        """Whether there was a change; there is none any more."""
        changed, self._changed = self._changed, False
        return changed

    def wait(self, seconds: float) -> None:
        """Sleep until something is signalled, at most so long."""
        if not self._changed and not self.is_ending:
            self._wake.wait(seconds)
        self._wake.clear()
