"""Cameras: what a tick gives, from real files and real commands."""

import os
import sys
import time
from pathlib import Path

import pytest

from edge.camera import CameraError, CommandCamera, FolderCamera, open_camera
from edge.configuration import Configuration


def write(folder: Path, name: str, content: bytes = b"x", age: float = 60) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    changed = time.time() - age
    os.utime(path, (changed, changed))
    return path


def names(camera: FolderCamera) -> list[str]:
    return [Path(shot.name).name for shot in camera.shots()]


def test_a_folder_gives_all_new_pictures_oldest_first_then_one_by_one(tmp_path: Path) -> None:
    write(tmp_path, "b.jpg", age=10)
    write(tmp_path, "dog/a.PNG", age=20)
    write(tmp_path, ".hidden.jpg")
    write(tmp_path, ".cache/c.jpg")
    write(tmp_path, "notes.txt")
    camera = FolderCamera(tmp_path)

    assert names(camera) == ["a.PNG", "b.jpg"]
    assert [names(camera) for _ in range(3)] == [["b.jpg"], ["a.PNG"], ["b.jpg"]]


def test_a_folder_gives_what_is_added_or_changed_and_forgets_what_is_gone(tmp_path: Path) -> None:
    old = write(tmp_path, "old.jpg")
    camera = FolderCamera(tmp_path)
    names(camera)

    write(tmp_path, "new.jpg")
    assert names(camera) == ["new.jpg"]
    old.write_bytes(b"changed")
    assert names(camera) == ["old.jpg"]
    old.unlink()
    assert [names(camera) for _ in range(2)] == [["new.jpg"], ["new.jpg"]]
    (tmp_path / "new.jpg").unlink()
    assert names(camera) == []


def test_a_rejected_picture_comes_back_only_when_its_file_changes(tmp_path: Path) -> None:
    bad = write(tmp_path, "bad.jpg", age=60)
    write(tmp_path, "good.jpg", age=50)
    camera = FolderCamera(tmp_path)

    for shot in camera.shots():
        if shot.name == str(bad):
            assert camera.reject(shot)
    assert [names(camera) for _ in range(2)] == [["good.jpg"], ["good.jpg"]]
    write(tmp_path, "bad.jpg", b"better now", age=5)
    assert names(camera) == ["bad.jpg"]


def test_a_picture_that_was_just_written_is_tried_again_and_blocks_nobody(tmp_path: Path) -> None:
    young = write(tmp_path, "young.jpg", age=0)
    write(tmp_path, "old.jpg", age=60)
    camera = FolderCamera(tmp_path)

    def tick() -> list[str]:
        given = []
        for shot in camera.shots():
            given.append(Path(shot.name).name)
            if shot.name == str(young):
                assert not camera.reject(shot)
        return given

    assert tick() == ["old.jpg", "young.jpg"]
    assert tick() == ["young.jpg", "old.jpg"]


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        ({"ImageDirectory": "/no/such/folder"}, "/no/such/folder: there is no such folder"),
        ({"ImageName": "/no/such.png"}, "/no/such.png: No such file"),
        ({}, "nothing to classify: set ImageDirectory, ImageName or UseCamera"),
        ({"UseCamera": True, "CameraCommand": "no-such-camera"}, "no-such-camera: No such file"),
        ({"UseCamera": True, "CameraCommand": "sh -c 'echo jammed >&2; exit 3'"}, "3: jammed"),
    ],
)
def test_what_cannot_be_taken_says_why(configuration: dict[str, object], reason: str) -> None:
    camera = open_camera(Configuration.parse(configuration), lambda: False)

    with pytest.raises(CameraError, match=reason):
        list(camera.shots())


def test_a_file_is_read_anew_at_every_tick(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jpg", b"one")
    configuration = Configuration.parse({"ImageDirectory": str(tmp_path), "ImageName": "a.jpg"})
    camera = open_camera(configuration, lambda: False)

    first = [shot.data for shot in camera.shots()]
    path.write_bytes(b"two")

    assert [*first, *(shot.data for shot in camera.shots())] == [b"one", b"two"]


def test_a_camera_is_a_command_that_writes_a_picture(tmp_path: Path) -> None:
    path = write(tmp_path, "picture file.jpg", b"\xff\xd8" * 100_000)
    command = {"UseCamera": "true", "CameraCommand": f"cat '{path}'"}
    camera = open_camera(Configuration.parse(command), lambda: False)

    (shot,) = camera.shots()

    assert shot.data == path.read_bytes()


def test_a_camera_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    script = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); "
    child = [sys.executable, "-c", script + "time.sleep(60)"]
    camera = CommandCamera(["sh", "-c", '"$@" & wait', "sh", *child], seconds=1)

    with pytest.raises(CameraError, match="longer than 1 s"):
        list(camera.shots())

    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            break  # dead, and waiting for its new parent
        time.sleep(0.02)
    else:
        assert not Path(f"/proc/{pid}/stat").exists()


def test_a_camera_does_not_hold_up_the_end(tmp_path: Path) -> None:
    camera = CommandCamera(["sleep", "60"], stopping=lambda: True)
    began = time.monotonic()

    with pytest.raises(CameraError, match="the component stops"):
        list(camera.shots())

    assert time.monotonic() - began < 2
