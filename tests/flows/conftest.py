"""What tests of flows share: a Prefect server that outlives the commands, as one's own does."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from backends.settings import PROJECT

SERVER = """
import os, sys
from pathlib import Path
from flows.prefect_server import prefect_server

with prefect_server(Path(sys.argv[1])) as ready:
    ready()
    print(os.environ["PREFECT_API_URL"], flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a fresh server's API. For a command it is a server of the user's own."""
    usual = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path_factory.mktemp("server"))],
        cwd=PROJECT,
        env=usual | {"PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.communicate("\n", timeout=60)
    assert process.returncode == 0
