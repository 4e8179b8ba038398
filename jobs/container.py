"""The SageMaker training contract, as every job here keeps it.

A job finds everything below one root, `SM_ML_ROOT` (default /opt/ml):

    input/config/hyperparameters.json   {name: string}
    input/data/<channel>/               what to read
    model/                              what becomes model.tar.gz
    output/data/                        what becomes output.tar.gz
    output/failure                      the reason, when there is no result
    checkpoints/                        kept between attempts

Exit status 0 is success. SIGTERM asks a job to stop: after 120 seconds on SageMaker, and 5 here,
SIGKILL follows. Source: "How Amazon SageMaker runs your training image".
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

STOPPED = 128 + signal.SIGTERM
WATCHED = "EDGEWARD_JOB_STDIN_IS_ALIVE"
GRACE_SECONDS = 5.0
FAILURE_CHARACTERS = 1024


class RefusedError(Exception):
    """An input of the job is wrong. The message names it; the failure file holds it as it is."""


@dataclass(frozen=True)
class Container:
    """The folders of one job, and whether it was asked to stop."""

    root: Path
    stopping: threading.Event

    def hyperparameters(self) -> dict[str, str]:
        """All values are strings, as SageMaker sends them."""
        path = self.root / "input/config/hyperparameters.json"
        values = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return {str(name): str(value) for name, value in values.items()}

    def has_channel(self, name: str) -> bool:
        return (self.root / "input/data" / name).is_dir()

    def channel(self, name: str) -> Path:
        """The folder of a channel that the job cannot do without."""
        if not self.has_channel(name):
            raise RefusedError(f"channel {name!r} is missing: the job reads its input from there")
        return self.root / "input/data" / name

    @property
    def model(self) -> Path:
        return self._made("model")

    @property
    def output(self) -> Path:
        return self._made("output/data")

    @property
    def checkpoints(self) -> Path:
        return self._made("checkpoints")

    def fail(self, reason: str) -> None:
        """Write the failure file; SageMaker shows its first 1024 characters."""
        try:
            folder = self._made("output")
            (folder / "failure").write_text(reason[:FAILURE_CHARACTERS], encoding="utf-8")
        except OSError as error:  # a full disk must not hide the reason
            print(f"{reason} (and no failure file: {error})", flush=True)

    def _made(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def run(program: Callable[[Container], None], *, saves_when_stopped: bool = False) -> NoReturn:
    """Run a job's program and end the process with its status.

    With `saves_when_stopped` the program looks at `Container.stopping` itself, and saves what it
    has; any other program ends at once on SIGTERM.
    """
    container = Container(Path(os.environ.get("SM_ML_ROOT", "/opt/ml")), threading.Event())

    def stop(_number: int, _frame: FrameType | None) -> None:
        container.stopping.set()
        if not saves_when_stopped:
            raise SystemExit(STOPPED)

    signal.signal(signal.SIGTERM, stop)
    if os.environ.get(WATCHED):
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        program(container)
    except RefusedError as error:
        container.fail(str(error))
        print(f"refused: {error}", flush=True)
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - whatever it is, the reason must reach the failure file
        traceback.print_exc()
        container.fail(_reason(error))
        sys.exit(1)
    sys.exit(STOPPED if container.stopping.is_set() else 0)


def _reason(error: Exception) -> str:
    """The first line says it; MXNet and TVM append a stack trace of C++ frames."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no further reason'}"


def _end_with_parent() -> None:
    """Whoever started this job holds the other end of standard input; when it dies, so do we."""
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)
