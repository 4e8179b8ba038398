"""What a local device's camera sees, what ran on it before, and what this machine can run."""

import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backends.errors import BackendUnavailableError
from backends.local.history import former_deployment
from backends.local.machine import this_platform
from backends.local.scene import set_scene
from backends.local.targets import parse_target


def picture(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def contents(folder: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in folder.iterdir())


def test_a_new_scene_replaces_the_old_one(tmp_path: Path) -> None:
    camera = tmp_path / "thing" / "camera"
    first = [picture(tmp_path, "a.jpg", b"a"), picture(tmp_path, "b.PNG", b"b")]
    set_scene(camera, first)

    assert set_scene(camera, [picture(tmp_path, "c.jpg", b"c")]) == camera

    assert contents(camera) == [b"c"]
    assert [path.read_bytes() for path in first] == [b"a", b"b"], "the originals stay"


def test_pictures_of_one_name_are_two_pictures(tmp_path: Path) -> None:
    same = [picture(tmp_path / label, "1.jpg", label.encode()) for label in ("cat", "dog")]

    camera = set_scene(tmp_path / "camera", same)

    assert contents(camera) == [b"cat", b"dog"]
    assert all(path.suffix == ".jpg" for path in camera.iterdir())


def test_a_scene_that_cannot_be_set_leaves_the_old_one(tmp_path: Path) -> None:
    camera = set_scene(tmp_path / "camera", [picture(tmp_path, "a.jpg", b"a")])

    with pytest.raises(FileNotFoundError):
        set_scene(camera, [picture(tmp_path, "b.jpg", b"b"), tmp_path / "missing.jpg"])

    assert b"a" in contents(camera)
    assert not [path for path in camera.iterdir() if path.name.startswith(".")]


def test_an_empty_scene_shows_nothing(tmp_path: Path) -> None:
    set_scene(tmp_path / "camera", [picture(tmp_path, "a.jpg", b"a")])

    assert contents(set_scene(tmp_path / "camera", [])) == []


def sent(folder: Path, name: str, created: int, status: str | None, **components: str) -> None:
    """A deployment's document, and the device's answer to it."""
    folder.mkdir(exist_ok=True)
    listed: dict[str, Any] = {
        component: {"version": version, "configurationUpdate": {"merge": {"Word": name}}}
        for component, version in components.items()
    }
    document = {"creationTimestamp": created, "components": listed}
    (folder / f"{name}.json").write_text(json.dumps(document))
    if status is not None:
        (folder / f"{name}.status.json").write_text(json.dumps({"status": status}))


def at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def test_what_ran_is_the_last_deployment_before_a_moment_that_succeeded(tmp_path: Path) -> None:
    sent(tmp_path, "c-oldest", 1, "SUCCEEDED", app="1.0.0")
    sent(tmp_path, "b-wanted", 9, "SUCCEEDED", app="1.0.1", model="2.0.0")
    sent(tmp_path, "d-failed", 10, "FAILED", app="1.0.2")
    sent(tmp_path, "a-later", 12, "SUCCEEDED", app="1.0.3")
    sent(tmp_path, "e-unanswered", 11, None, app="1.0.4")

    former = former_deployment(tmp_path, at(12))

    assert former.components == {"app": "1.0.1", "model": "2.0.0"}
    assert former.merge == {"app": {"Word": "b-wanted"}, "model": {"Word": "b-wanted"}}


def test_before_the_first_deployment_nothing_ran(tmp_path: Path) -> None:
    sent(tmp_path, "failed", 1, "FAILED", app="1.0.0")
    sent(tmp_path, "later", 5, "SUCCEEDED", app="1.0.0")

    former = former_deployment(tmp_path, at(5))

    assert (former.components, former.merge) == ({}, {})


def test_what_a_thing_group_brought_is_not_given_to_the_thing_itself(tmp_path: Path) -> None:
    sent(tmp_path, "own", 1, "SUCCEEDED", app="1.0.0")
    sent(tmp_path, "group", 5, "SUCCEEDED", other="1.0.0")
    document = json.loads((tmp_path / "group.json").read_text())
    document["configurationArn"] = parse_target("group/porch").configuration_arn(1)
    (tmp_path / "group.json").write_text(json.dumps(document))

    assert former_deployment(tmp_path, at(9)).components == {"app": "1.0.0"}


def test_a_thing_that_was_never_deployed_to_has_no_history(tmp_path: Path) -> None:
    assert former_deployment(tmp_path / "never", at(1)).components == {}


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", "linux-x86_64"),
        ("AMD64", "linux-x86_64"),
        ("aarch64", "linux-aarch64"),
        ("armv7l", "linux-armv7l"),
        ("armv8l", "linux-armv7l"),
    ],
)
def test_a_machine_is_one_of_our_platforms(
    monkeypatch: pytest.MonkeyPatch, machine: str, expected: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)

    assert this_platform() == expected


def test_an_unknown_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")

    with pytest.raises(BackendUnavailableError, match="a device on riscv64"):
        this_platform()
