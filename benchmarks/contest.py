"""Runs competitors fairly: one process each, driven in turn, the idle ones stopped.

Spinning thread pools of idle competitors would slow the running one by 5 to 40 times.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backends.artifacts import TrainedModel
from backends.local.compiler import LocalCompiler
from backends.local.jobs import LocalJobs
from backends.settings import PROJECT
from tasks.modeling import TrainingPlan

HERE = Path(__file__).resolve().parent
PEERS = ("mxnet", "onnxruntime")
CANDIDATES = ("dlr", *PEERS)
CONFIGURATION = {
    "mxnet": "optimize_for MKLDNN, bound once",
    "onnxruntime": "weights constant, all graph optimisations",
}
_JOBS = PROJECT / ".venvs/jobs/bin/python"
PYTHON = {
    "dlr": PROJECT / ".venvs/device/bin/python",
    "mxnet": _JOBS,
    "onnxruntime": Path(sys.executable),
}
_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Network:
    """A ResNet of `layers` layers for square pictures of `side` pixels."""

    layers: int
    side: int
    classes: int

    @property
    def name(self) -> str:
        return f"resnet-{self.layers} 3x{self.side}x{self.side}"


def networks() -> tuple[Network, Network]:
    """What the default plan trains, and a larger one for photographs."""
    plan = TrainingPlan()
    side = int(plan.image_shape.split(",")[1])
    return Network(plan.num_layers, side, classes=6), Network(18, 224, classes=257)


@contextmanager
def built(network: Network) -> Iterator[Path]:
    """The network for every competitor, with random weights: compiled/, model.onnx, network-*."""
    with tempfile.TemporaryDirectory(prefix="edgeward-bench-") as scratch:
        folder = Path(scratch)
        numbers = [str(number) for number in (network.layers, network.classes, network.side)]
        subprocess.run(
            [_JOBS, HERE / "network.py", folder, *numbers],
            env={"PYTHONPATH": str(PROJECT / ".venvs/bench"), "PATH": os.environ["PATH"]},
            check=True,
            stdout=sys.stderr,
        )
        trained = TrainedModel(
            archive=folder / "model.tar.gz",
            classes=tuple(f"class {index}" for index in range(network.classes)),
            width=network.side,
            height=network.side,
            epochs=(),
            seconds=0,
            images_per_second=0,
            hyperparameters={},
        )
        jobs = LocalJobs(folder, _JOBS, seconds=600)
        compiled = LocalCompiler(jobs).compile("bench", trained, "linux-x86_64", _to_stderr)
        (folder / "compiled").symlink_to(compiled.folder)
        yield folder


class Competitor:
    """A process of candidate.py; stopped except while it answers."""

    def __init__(self, kind: str, folder: Path, side: int) -> None:
        self.kind = kind
        self._process = subprocess.Popen(
            [PYTHON[kind], HERE / "candidate.py", kind, folder, str(side)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        )

    def ask(self, command: str) -> Any:
        """Wake it, let it answer, stop it again. Raises RuntimeError when it has died."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.send_signal(signal.SIGCONT)
        process.stdin.write(f"{command}\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.kind} ended with status {process.wait()}")
        process.send_signal(signal.SIGSTOP)
        return json.loads(answer)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def competitors(folder: Path, side: int) -> Iterator[Mapping[str, Competitor]]:
    """All competitors, loaded one after the other, each giving the same answer as the others."""
    with ExitStack() as stack:
        running = {}
        answers = {}
        for kind in CANDIDATES:
            running[kind] = Competitor(kind, folder, side)
            stack.callback(running[kind].end)
            answers[kind] = np.asarray(running[kind].ask("answer"))
        for kind in PEERS:
            if not np.allclose(answers[kind], answers["dlr"], atol=_TOLERANCE):
                raise RuntimeError(f"{kind} computes something else than dlr")
        yield running


def report(**fields: Any) -> None:
    """One JSON line on standard output."""
    print(json.dumps(fields), flush=True)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)
