"""Links TVM's object files into compiled.so for any platform, with no system compiler.

ziglang brings LLVM's linker. `zig c++` would do as well, but its first use builds libc++ for 80 s.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

FLAGS = ("-shared", "--strip-all", "--build-id=none")


def link(output: str, objects: Sequence[str], _options: object = None, **_more: Any) -> None:
    """Make the shared library `output` of `objects`: an `fcompile` of TVM's export_library.

    Raises RuntimeError with the linker's words.
    """
    command = [sys.executable, "-m", "ziglang", "ld.lld", *FLAGS, "-o", output, *objects]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise RuntimeError(f"ld.lld failed: {finished.stderr.strip()}")


link.output_format = "so"  # type: ignore[attr-defined]  # TVM asks the function
