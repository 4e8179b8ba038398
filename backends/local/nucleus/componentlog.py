"""A component's log file, in the lines and the rotation of a Greengrass nucleus."""

import logging
import logging.handlers
from datetime import UTC, datetime
from pathlib import Path

MAX_BYTES = 1024 * 1024
BACKUPS = 9  # ten files of 1 MiB: the classic nucleus's default


class ComponentLog:
    """`<time> [LEVEL] (Copier) <component>: stdout. <line>. {scriptName=…, serviceName=…, …}`"""

    def __init__(self, path: Path, component: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._component = component
        self._handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8", errors="replace"
        )

    def output(self, step: str, stream: str, line: str, state: str) -> None:
        """A line that a script wrote to `stream` (stdout or stderr)."""
        level = "INFO" if stream == "stdout" else "WARN"
        script = f"services.{self._component}.lifecycle.{step.capitalize()}.Script"
        self._write(
            level,
            f"(Copier) {self._component}: {stream}. {line}. "
            f"{{scriptName={script}, serviceName={self._component}, currentState={state}}}",
        )

    def event(self, level: str, message: str, state: str) -> None:
        """Something that happened to the component."""
        self._write(
            level,
            f"(nucleus) {self._component}: {message}. "
            f"{{serviceName={self._component}, currentState={state}}}",
        )

    def close(self) -> None:
        self._handler.close()

    def _write(self, level: str, text: str) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        record = logging.makeLogRecord({"msg": f"{time} [{level}] {text}"})
        try:
            self._handler.emit(record)
        except OSError:
            return  # a full disk must not stop the component
