"""The command line as a person calls it: a process of its own."""

import os
import subprocess
import sys

from backends.settings import PROJECT


def edgeward(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows", *arguments],
        env=os.environ | environment,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
