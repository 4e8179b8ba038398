"""What a key changes: what is observed with one value of it, and with another."""

from collections.abc import Callable
from pathlib import Path

Effect = Callable[[Path], tuple[object, object]]
"""Gets an empty folder; two equal observations mean that the key is decoration."""
