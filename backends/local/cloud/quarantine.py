"""Messages that no rule could read: kept with the reason, for people; bounded."""

import base64
import json
import logging
from datetime import datetime
from pathlib import Path

logger = logging.getLogger(__name__)

MAX_BYTES = 10 * 1024 * 1024
_SHOWN = 4096


class Quarantine:
    """JSON lines; a full file becomes `….1`, and what was there before is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, topic: str, payload: bytes, reason: str, received_at: datetime) -> None:
        """Never raises: a broken message on a full disk must not stop the good ones."""
        logger.warning("a message on %s is set aside: %s", topic, reason)
        entry = {
            "received_at": received_at.isoformat(),
            "topic": topic,
            "reason": reason,
            "bytes": len(payload),
            "payload": base64.b64encode(payload[:_SHOWN]).decode(),
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.is_file() and self._path.stat().st_size > MAX_BYTES:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry) + "\n")
        except OSError as error:
            logger.warning("the quarantine cannot be written: %s", error)
