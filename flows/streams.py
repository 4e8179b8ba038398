"""Standard output and error, wherever they lead: into a pipe, a log, a terminal of another age."""

import os
import select
import shutil
import sys


def prepare() -> None:
    """Let no sign that a terminal's encoding lacks end a command (LC_ALL=C, an old console)."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def nobody_reads() -> bool:
    """Whether the reader of our standard output went away, as `head` does when it has enough."""
    watch = select.poll()
    try:
        watch.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))
    except (OSError, ValueError):
        return False


def finish() -> None:
    """Write out what is held back; where nobody reads any more, drop it without a word."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def redraws() -> bool:
    """Whether a line on standard error can be drawn over: by a person's terminal, not by a log."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def columns() -> int:
    """The width of the terminal that standard output is; 0 where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
