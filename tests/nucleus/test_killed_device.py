"""A device that dies in the middle of a deployment comes back whole: as it was, or as it shall be.

What would break for a user: a power cut leaves a device that mixes two deployments, or none.
"""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backends.local.deployment_document import new_local_document
from backends.local.files import read_json, write_json
from backends.local.nucleus.identity import Identity, save
from backends.local.nucleus.layout import Layout
from backends.settings import PROJECT
from tests.fakes.component_store import Store

pytestmark = pytest.mark.slow

SLEEP = {"Run": "exec sleep 1000"}
PLAIN = ("-m", "backends.local.nucleus")
MORTAL = ("-P", "tests/fakes/mortal_device.py")  # by its file: others install a package `tests`
MOST_STEPS = 60

View = dict[str, Any]


def view(root: Path) -> View:
    """What a device would come back with: versions, what its target wants, configuration."""
    state = read_json(Layout(root).state) or {}
    return {
        "components": state["components"],
        "roots": state["targets"]["LOCAL_DEPLOYMENT"]["roots"],
        "values": {
            name: {key: leaf[1] for key, leaf in tree.items()}
            for name, tree in state["configuration"].items()
        },
    }


OLD: View = {
    "components": {"app": "1.0.0", "base": "1.0.0", "gone": "1.0.0"},
    "roots": {"app": "1.0.0", "gone": "1.0.0"},
    "values": {"app": {"Mine": 1}, "base": {"V": 1}, "gone": {}},
}
NEW: View = {
    "components": {"app": "2.0.0", "base": "2.0.0", "new": "1.0.0"},
    "roots": {"app": "2.0.0", "new": "1.0.0"},
    "values": {"app": {"Mine": 2}, "base": {"V": 2}, "new": {}},
}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A device that runs OLD, and is off."""
    store = Store(tmp_path / "home")
    for major in (1, 2):
        version = f"{major}.0.0"
        store.add("base", version, SLEEP, defaults={"V": major}, files={"a.txt": version})
        store.add("app", version, SLEEP, needs={"base": {"VersionRequirement": f"={version}"}})
    store.add("gone", "1.0.0", SLEEP)
    store.add("new", "1.0.0", SLEEP)
    root = tmp_path / "template"
    identity = Identity(
        thing="hub-1",
        components=store.components,
        objects=store.objects,
        deployments=tmp_path / "cloud",
        endpoint=tmp_path / "no-broker.json",
        password="",
        settle=0,
    )
    save(Layout(root), identity)
    with device(root, *PLAIN) as process:
        deploy(root, "first", {"app": "1.0.0", "gone": "1.0.0"}, (), 1)
        until(lambda: status(root, "first") == "SUCCEEDED", process)
    assert view(root) == OLD
    return root


@contextmanager
def device(root: Path, *program: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, *program, str(root)]
    with (root.parent / "device.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=PROJECT, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def deploy(root: Path, name: str, components: dict[str, str], remove: Any, mine: int) -> None:
    document = new_local_document(name, components, remove, {"app": {"Mine": mine}})
    write_json(Layout(root).deployments / f"{name}.json", document)


def status(root: Path, name: str) -> str:
    answer = read_json(Layout(root).deployments / f"{name}.status.json") or {}
    return str(answer.get("status", ""))


def until(
    condition: Callable[[], bool], process: "subprocess.Popen[bytes]", seconds: float = 30
) -> bool:
    """Whether it came true before the process ended."""
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return True


def test_a_device_that_is_killed_at_any_step_of_a_deployment_is_old_or_new_and_never_between(
    template: Path, tmp_path: Path
) -> None:
    seen: list[View] = []
    for step in range(1, MOST_STEPS):
        root = tmp_path / f"killed-{step}"
        shutil.copytree(template, root)
        deploy(root, "second", {"app": "2.0.0", "new": "1.0.0"}, ("gone",), 2)
        if survives(root, step):
            break
        seen.append(view(root))
        assert seen[-1] in (OLD, NEW), f"between, at step {step}"

        return_to_new(root)
        assert view(root) == NEW
        assert list(root.rglob(".*")) == [], "something unfinished was left"
        unpacked = Layout(root).unarchived("base", "2.0.0") / "code/a.txt"
        assert unpacked.read_text() == "2.0.0"

    assert view(root) == NEW
    assert len(seen) == step - 1 < MOST_STEPS
    assert OLD in seen
    assert NEW in seen


def survives(root: Path, step: int) -> bool:
    """Whether the deployment ends before that step."""
    with device(root, *MORTAL, str(step)) as process:
        survived = until(lambda: status(root, "second") == "SUCCEEDED", process)
    assert survived or process.returncode == -signal.SIGKILL
    return survived


def return_to_new(root: Path) -> None:
    """Starts a plain device: it takes the deployment up, or knows that it is done."""
    with device(root, *PLAIN) as process:
        assert until(lambda: status(root, "second") == "SUCCEEDED", process)
        assert until(lambda: running(root) == NEW["components"], process)


def running(root: Path) -> dict[str, str]:
    components = (read_json(Layout(root).status) or {}).get("components", {})
    return {
        name: component["version"]
        for name, component in components.items()
        if component["state"] == "RUNNING"
    }
