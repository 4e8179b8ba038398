"""What is odd about the environment and `.env`, beside what the settings themselves refuse."""

import difflib
import os
from collections.abc import Iterator
from pathlib import Path

from dotenv.parser import parse_stream

from backends.doctor.finding import Finding, listed, warning
from backends.settings import PREFIX

ALIKE = 0.8
_WORD = PREFIX.rstrip("_")


def judge_variables(file: Path = Path(".env")) -> Iterator[Finding]:
    """Lines of `.env` that say nothing, and names that were probably meant for us."""
    names, broken = set(os.environ), []
    if file.is_file():
        with file.open(encoding="utf-8", errors="replace") as stream:
            for line in parse_stream(stream):
                names.add(line.key or "")
                if line.error or (line.key and line.value is None):
                    broken.append(str(line.original.line))
    if broken:
        found = f"line {listed(broken)} of {file} sets nothing"
        yield warning("settings", False, found, "Write one NAME=VALUE a line.")
    meant = sorted(name for name in names if _is_nearly_ours(name))
    if meant:
        better = _nearest(meant[0])
        found = f"{listed(meant)} {'is' if len(meant) == 1 else 'are'} not read"
        yield warning("settings", False, found, f"Write {better}, if it is meant for Edgeward.")
    if not broken and not meant:
        yield warning("settings", True, "each variable is known", "")


def _is_nearly_ours(name: str) -> bool:
    word = name.upper().partition("_")[0]
    if name.upper().startswith(PREFIX) or "_" not in name:
        return False
    return difflib.SequenceMatcher(None, word, _WORD).ratio() >= ALIKE


def _nearest(name: str) -> str:
    return PREFIX + name.upper().partition("_")[2]
