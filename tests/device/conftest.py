"""The component as a device runs it: a process of the device environment, with a core's IPC."""

import contextlib
import functools
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from backends.local.nucleus.kind import NUCLEI, Kind, Nucleus
from backends.settings import PROJECT
from edge.contract import (
    CHALLENGER_COMPONENT,
    DEFAULT_CONFIGURATION,
    INFERENCE_COMPONENT,
    MODEL_COMPONENT,
    MODEL_LOCATION,
    RESULTS_TOPIC,
)
from tests.fakes.core_device import CoreDevice
from tests.tiny_model import Compile

THING = "porch"
NETWORK_GUARD = """
import os, socket

def _deny(*arguments, **_):
    with open(os.environ["NETWORK_ATTEMPTS"], "a") as attempts:
        attempts.write(repr(arguments) + "\\n")
    raise OSError("the network is denied")

class _Socket(socket.socket):
    def connect(self, address):
        return super().connect(address) if self.family == socket.AF_UNIX else _deny(address)
    connect_ex = connect
    def sendto(self, *arguments):
        return _deny(*arguments)

socket.socket = _Socket
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = _deny
"""


class Device:
    """One thing: its Greengrass folders, its IPC, and the component's process."""

    def __init__(
        self, root: Path, python: Path, model: Path, nucleus: Nucleus, **configuration: Any
    ) -> None:
        self.root = root
        self.nucleus = nucleus
        self.pictures = root / "pictures"
        self.work = root / "work" / INFERENCE_COMPONENT
        self.pointer = root / "work" / MODEL_COMPONENT / MODEL_LOCATION
        self.challenger_pointer = root / "work" / CHALLENGER_COMPONENT / MODEL_LOCATION
        self._python = python
        pointed = (self.pointer.parent, self.challenger_pointer.parent)
        for folder in (self.pictures, self.work, *pointed, root / "artifacts"):
            folder.mkdir(parents=True)
        (root / "artifacts" / "edge").symlink_to(PROJECT / "edge")
        (root / "artifacts" / "sitecustomize.py").write_text(NETWORK_GUARD)
        self.point_to(model, "1.0.0")
        defaults = (
            _as_text(DEFAULT_CONFIGURATION) if nucleus.text_scalars else DEFAULT_CONFIGURATION
        )
        merged = {
            **defaults,
            "ImageDirectory": str(self.pictures),
            "InferenceInterval": "0.1",
            **configuration,
        }
        (root / "log").touch()
        self.core = CoreDevice(root, INFERENCE_COMPONENT, merged, THING, nucleus)
        self.process: subprocess.Popen[bytes] | None = None
        self._arrived: dict[str, deque[dict[str, Any]]] = defaultdict(deque)

    def point_to(self, model: Path, version: str) -> None:
        _point(self.pointer, model, version)

    def challenge_with(self, model: Path, version: str) -> None:
        _point(self.challenger_pointer, model, version)

    def start(
        self, full_disk: bool = False, program: Path | None = None, **environment: str
    ) -> None:
        """Starts the component; on a full disk, no file that it opens can take a byte.

        `program` runs in its place.
        """
        command = [str(self._python), "-u", *([str(program)] if program else ["-m", "edge"])]
        if full_disk:
            command = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command]
        self.process = subprocess.Popen(
            command,
            cwd=self.work,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.root),
                "PYTHONPATH": str(self.root / "artifacts"),
                "NETWORK_ATTEMPTS": str(self.network_attempts),
                **self.core.environment,
                **environment,
            },
            stdout=subprocess.PIPE,  # as a nucleus does; the log is not subject to the limit
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._keep_log, args=(self.process,), daemon=True)
        self._reader.start()

    def _keep_log(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout, (self.root / "log").open("ab", buffering=0) as log:
            for line in process.stdout:
                log.write(line)

    @property
    def network_attempts(self) -> Path:
        return self.root / "network-attempts"

    @property
    def log(self) -> str:
        return (self.root / "log").read_text()

    def add_picture(self, name: str, colour: tuple[int, int, int] = (200, 30, 30)) -> Path:
        """Puts a picture into the folder as a camera does: whole at once."""
        hidden = self.pictures / f".{name}"
        Image.new("RGB", (64, 48), colour).save(hidden)
        hidden.replace(self.pictures / name)
        return self.pictures / name

    def message(
        self, topic: str, wanted: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> dict[str, Any]:
        """The next message on `topic` that is `wanted`; fails after 15 seconds, with the log."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            self._sort_what_arrived()
            while self._arrived[topic]:
                message = self._arrived[topic].popleft()
                if wanted(message):
                    return message
            if self.process is not None and self.process.poll() is not None:
                deadline = min(deadline, time.monotonic() + 0.5)
        pytest.fail(f"no such message on {topic}; the log:\n{self.log[-4000:]}")

    def _sort_what_arrived(self) -> None:
        with contextlib.suppress(queue.Empty):
            published = self.core.next_message(timeout=0.05)
            while True:
                self._arrived[published.topic].append(json.loads(published.payload))
                published = self.core.next_message(timeout=0)

    def result(
        self, wanted: Callable[[dict[str, Any]], bool] = lambda _: True, topic: str = RESULTS_TOPIC
    ) -> dict[str, Any]:
        return self.message(topic, wanted)

    def without(self, operation: str) -> None:
        """Makes the nucleus one that lacks an operation, as nucleus lite does."""
        del self.core._server._operations[f"aws.greengrass#{operation}"]

    def hang(self, until: threading.Event) -> None:
        """Makes the nucleus answer nothing any more."""
        self.core._loop.call_soon_threadsafe(until.wait, 15)

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 15
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"{what} did not happen; the log:\n{self.log[-4000:]}")
            time.sleep(0.02)

    def ended(self) -> int:
        """The exit status, once the process has ended by itself or was asked to."""
        assert self.process is not None
        status = self.process.wait(timeout=15)
        self._reader.join(timeout=15)
        return status

    def stop(self) -> tuple[int, float]:
        """SIGTERM; the exit status and how many seconds the end took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.ended(), time.monotonic() - began

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.ended()


def _point(pointer: Path, model: Path, version: str) -> None:
    temporary = pointer.with_suffix(".new")
    temporary.write_text(f"{model}\n{version}\n")
    temporary.replace(pointer)


def _as_text(value: Any) -> Any:
    """What becomes of a YAML recipe's scalars on nucleus lite."""
    if isinstance(value, Mapping):
        return {key: _as_text(held) for key, held in value.items()}
    if isinstance(value, list):
        return [_as_text(held) for held in value]
    return value if isinstance(value, str) else json.dumps(value)


MakeDevice = Callable[..., Device]


@pytest.fixture(scope="session")
def model_folder(compile_for: Compile) -> Path:
    return compile_for("linux-x86_64").folder


@pytest.fixture(params=NUCLEI)
def kind(request: pytest.FixtureRequest) -> Kind:
    """The component is tested on both kinds of nucleus; else `of_kind`, with the reason."""
    kind: Kind = request.param
    return kind


of_kind = functools.partial(pytest.mark.parametrize, "kind", indirect=True)


@pytest.fixture
def make_device(
    tmp_path: Path, device_python: Path, model_folder: Path, kind: Kind
) -> Iterator[MakeDevice]:
    """Makes a device whose core is up; `start` starts the component on it."""
    made: list[Device] = []

    def make(**configuration: Any) -> Device:
        device = Device(
            tmp_path / "thing", device_python, model_folder, NUCLEI[kind], **configuration
        )
        device.core.__enter__()
        made.append(device)
        return device

    yield make
    for device in made:
        device.close()
        device.core.__exit__(None, None, None)


def variant(model: Path, into: Path, labels: list[str]) -> Path:
    """The same model under other labels: a newer version of it."""
    shutil.copytree(model, into)
    meta: Mapping[str, Any] = json.loads((into / "compiled.meta").read_text())
    meta["Edgeward"]["labels"] = labels
    (into / "compiled.meta").write_text(json.dumps(meta))
    (into / "synset.txt").write_text(repr(dict(enumerate(labels))))
    return into
