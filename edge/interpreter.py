"""Whether the interpreter that this process runs on is still the one to run on.

The classic nucleus starts a component again when one that it needs has changed; lite does not, and
what this process has not imported by then may be gone.
"""

from __future__ import annotations

import time
from pathlib import Path

from edge.serving import sign

PATIENCE_SECONDS = 10.0
"""What the nucleus gets for starting the component again by itself."""


class Interpreter:
    """The runtime component's `python`, as it was when this process started."""

    def __init__(self, path: Path, patience: float = PATIENCE_SECONDS) -> None:
        self._path = path
        self._patience = patience
        self._signature = sign(path)
        self._since = 0.0

    @property
    def is_replaced(self) -> bool:
        """Another one has been there for a while. One that is gone is being installed."""
        now = sign(self._path)
        if self._signature is None or now in (None, self._signature):
            self._since = 0.0
            return False
        self._since = self._since or time.monotonic()
        return time.monotonic() - self._since >= self._patience
