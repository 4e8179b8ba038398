"""Reads which CPU a shared library is for, from its ELF header (System V ABI, chapter 4)."""

import struct
from pathlib import Path

from backends.artifacts import Platform

# e_machine and EI_CLASS (1: 32 bit, 2: 64 bit); all of them are little-endian.
_MACHINES: dict[Platform, tuple[int, int]] = {
    "linux-x86_64": (62, 2),
    "linux-aarch64": (183, 2),
    "linux-armv7l": (40, 1),
}
_LITTLE_ENDIAN = 1
_SHARED = 3  # e_type ET_DYN
_HEADER = struct.Struct("<4sBBB9xHH")


def library_platform(path: Path) -> Platform | str:
    """The platform that the shared library `path` is for, or a few words on what it is instead."""
    with path.open("rb") as library:
        head = library.read(_HEADER.size)
    if len(head) < _HEADER.size or not head.startswith(b"\x7fELF"):
        return "no ELF file"
    _, bits, order, _, kind, machine = _HEADER.unpack(head)
    if order != _LITTLE_ENDIAN or kind != _SHARED:
        return "no little-endian ELF shared library"
    for platform, known in _MACHINES.items():
        if known == (machine, bits):
            return platform
    return f"ELF machine {machine}, {32 * bits} bit"
