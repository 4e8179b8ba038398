"""How the device is: the heartbeat's figures, each None where this machine does not tell."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from pathlib import Path
from typing import Dict, Optional

_THERMAL = Path("/sys/class/thermal")
_POSSIBLE_C = (-60.0, 200.0)
"""What a sensor that is not connected says lies outside."""

_STATM = Path("/proc/self/statm")
_MIB = 1024 * 1024


def health(folder: Path) -> Dict[str, Optional[float]]:
    """Free space of the disk that holds `folder` (MiB), memory in use (MiB), temperature (°C).

    Of several sensors the hottest counts: which one is the processor's differs by device.
    """
    return {
        "disk_free_mb": _disk_free_mb(folder),
        "rss_mb": _rss_mb(),
        "temperature_c": _temperature(),
    }


def _disk_free_mb(folder: Path) -> Optional[float]:
    try:
        return round(shutil.disk_usage(folder).free / _MIB, 1)
    except OSError:
        return None


def _rss_mb() -> Optional[float]:
    try:
        pages = int(_STATM.read_text().split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / _MIB, 1)
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return round(peak / (_MIB if sys.platform == "darwin" else 1024), 1)


def _temperature(folder: Path = _THERMAL) -> Optional[float]:
    found = []
    for zone in sorted(folder.glob("thermal_zone*/temp")):
        try:
            found.append(int(zone.read_text()) / 1000)
        except (OSError, ValueError):
            continue  # some zones answer only at times
    low, high = _POSSIBLE_C
    return max((value for value in found if low < value < high), default=None)
