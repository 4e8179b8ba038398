"""The DLR library that travels in an x86_64 model folder: the very bytes of the dlr 1.6.0 wheel.

Later wheels are Python only, and no registry has the library for ARM: there it comes with the
device's runtime. DLR executes a model folder's libdlr.so, so it is taken by digest.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from container import RefusedError

NAME = "libdlr"
VERSION = "1.6.0"
FILE = "libdlr.so"
SHA256 = {"linux-x86_64": "570d8e462cd1f4f6d997e150d6d0eea0026010098194bef62d1ad4f8e1196ca7"}


def copy_runtime(platform: str, into: Path, prefix: Path = Path(sys.prefix)) -> str | None:
    """Put `platform`'s libdlr.so into the folder `into`; its SHA-256, or None where there is none.

    `prefix` is the environment that dlr is installed in. Raises RefusedError when it
    holds no library, or another one.
    """
    expected = SHA256.get(platform)
    if expected is None:
        return None
    library = prefix / "dlr" / FILE
    if not library.is_file():
        raise RefusedError(f"{library} is missing: dlr=={VERSION} brings it")
    found = hashlib.sha256(library.read_bytes()).hexdigest()
    if found != expected:
        raise RefusedError(f"{library} has SHA-256 {found}, and dlr {VERSION} has {expected}")
    shutil.copyfile(library, into / FILE)
    return found
