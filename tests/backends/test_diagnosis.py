"""The doctor names what is missing, and what to do about it, before a run does."""

import os
import socket
import sys
from pathlib import Path

import pytest

from backends.diagnosis import DEVICE, JOBS, Finding, diagnose
from backends.settings import BackendSettings, MqttSettings, Settings


def finding(settings: Settings, subject: str, least_free: int = 0) -> Finding:
    (found,) = (one for one in diagnose(settings, least_free) if one.subject == subject)
    return found


def environment(folder: Path, modules: tuple[str, ...]) -> Path:
    """What `make setup` leaves of an environment, as far as the doctor looks."""
    interpreter = folder / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(sys.executable)
    for module in modules:
        (folder / "lib/python3.10/site-packages" / module).mkdir(parents=True)
    return interpreter


@pytest.mark.parametrize("which", ["jobs", "device"])
def test_an_environment_that_is_not_there_is_named_with_where_it_should_be(
    tmp_path: Path, which: str
) -> None:
    backend = BackendSettings.model_validate({f"{which}_python": tmp_path / "no/bin/python"})

    found = finding(Settings(home=tmp_path, backend=backend), f"{which} environment")

    assert not found.healthy
    assert str(tmp_path / "no/bin/python") in found.found
    assert "make setup" in found.remedy


@pytest.mark.parametrize(("which", "modules"), [("jobs", JOBS), ("device", DEVICE)])
def test_an_environment_is_healthy_only_with_all_of_its_packages(
    tmp_path: Path, which: str, modules: tuple[str, ...]
) -> None:
    whole = environment(tmp_path / "whole", modules)
    partial = environment(tmp_path / "partial", modules[1:])

    healthy, lacking = (
        finding(
            Settings(
                home=tmp_path, backend=BackendSettings.model_validate({f"{which}_python": python})
            ),
            f"{which} environment",
        )
        for python in (whole, partial)
    )

    assert healthy.healthy
    assert not lacking.healthy
    assert lacking.found == f"lacks {modules[0]}"


def test_the_environment_that_runs_this_is_healthy(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)

    assert finding(settings, "Python").healthy
    assert finding(settings, "control environment").healthy


def test_a_home_may_be_made_and_is_not_made_by_looking(tmp_path: Path) -> None:
    found = finding(Settings(home=tmp_path / "a/b/c"), "EDGEWARD_HOME")

    assert found.healthy
    assert list(tmp_path.iterdir()) == []


def test_a_home_below_a_file_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    found = finding(Settings(home=tmp_path / "file/home"), "EDGEWARD_HOME")

    assert not found.healthy
    assert found.found == f"{tmp_path / 'file'} cannot be written to"
    assert "EDGEWARD_HOME" in found.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_in_a_folder_of_somebody_elses_cannot_be_written_to(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o000)

    found = finding(Settings(home=locked / "home"), "EDGEWARD_HOME")

    assert not found.healthy
    assert found.found == f"{locked} cannot be written to"


@pytest.mark.parametrize(("least_free", "healthy"), [(1, True), (1 << 60, False)])
def test_a_disk_that_is_too_full_is_named(tmp_path: Path, least_free: int, healthy: bool) -> None:
    found = finding(Settings(home=tmp_path / "later"), "disk", least_free)

    assert found.healthy is healthy
    assert "GiB free" in found.found
    assert "EDGEWARD_HOME" in found.remedy


def test_a_port_is_healthy_while_nobody_else_listens_on_it(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        settings = Settings(home=tmp_path, mqtt=MqttSettings(port=port))
        before = finding(settings, "MQTT broker")
        other.listen()
        taken = finding(settings, "MQTT broker")

    assert before.healthy
    assert not taken.healthy
    assert taken.found == f"port {port} is taken"
    assert "EDGEWARD_MQTT__PORT" in taken.remedy


def test_our_own_running_broker_does_not_take_its_own_port(tmp_path: Path) -> None:
    (tmp_path / "cloud").mkdir()
    (tmp_path / "cloud/endpoint.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as ours:
        settings = Settings(home=tmp_path, mqtt=MqttSettings(port=ours.getsockname()[1]))

        assert finding(settings, "MQTT broker").healthy


def test_somebody_elses_broker_must_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:
        port = broker.getsockname()[1]
        settings = Settings(home=tmp_path, mqtt=MqttSettings(host="127.0.0.1", port=port))
        there = finding(settings, "MQTT broker")
    gone = finding(settings, "MQTT broker")

    assert there.healthy
    assert not gone.healthy
    assert gone.found == f"127.0.0.1:{port} does not answer"
    assert "EDGEWARD_MQTT__HOST" in gone.remedy
