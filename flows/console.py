"""What a person sees on the terminal while a flow runs: our own lines, on stderr, and no others."""

import logging
import sys
from pathlib import Path


class OnlyOurs(logging.Filter):
    """Drops the flow engine's commentary: an outcome is told once, by the summary or the error."""

    def __init__(self, engine: Path) -> None:
        super().__init__()
        self._engine = str(engine)

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.pathname.startswith(self._engine)


def show_our_lines() -> None:
    """Give Prefect's console handlers our filter and a short format."""
    import prefect
    from prefect.logging.configuration import setup_logging
    from prefect.logging.handlers import PrefectConsoleHandler

    setup_logging()
    engine = Path(prefect.__file__).parent
    for name in ("", *logging.root.manager.loggerDict):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, PrefectConsoleHandler):
                handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
                handler.addFilter(OnlyOurs(engine))
                handler.console.file = sys.stderr
