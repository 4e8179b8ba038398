"""Messages that no rule could read: kept by day with the reason, for people; bounded."""

import base64
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

logger = logging.getLogger(__name__)

MAX_BYTES = 10 * 1024 * 1024
"""Of a day; what comes after that is counted (arrivals) and not kept."""
_SHOWN = 4096


class Quarantine:
    """JSON lines, `<folder>/YYYY-MM-DD.jsonl`, by the day of arrival (UTC)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._full = ""

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
        day = received_at.astimezone(UTC).date().isoformat()
        path = self._folder / f"{day}.jsonl"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if path.is_file() and path.stat().st_size > MAX_BYTES:
                if self._full != day:
                    logger.warning("%s is full: more of this day is counted, not kept", path)
                self._full = day
                return
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(entry) + "\n")
        except OSError as error:
            logger.warning("the quarantine cannot be written: %s", error)
