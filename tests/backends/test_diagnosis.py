"""The doctor names what is missing or odd, and what to do about it, before a run does."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.diagnosis import diagnose
from backends.doctor.environments import DEVICE, JOBS
from backends.doctor.finding import Finding
from backends.local.processes import Processes
from backends.settings import PROJECT, BackendSettings, MqttSettings, PrefectSettings, Settings

LISTEN = """
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    print(server.getsockname()[1], flush=True)
    time.sleep(1000)
"""


def finding(settings: Settings, subject: str, least_free: int = 0) -> Finding:
    (found,) = (one for one in diagnose(settings, least_free) if one.subject == subject)
    return found


def environment(folder: Path, modules: tuple[str, ...], python: Path) -> Path:
    """What `make setup` leaves of an environment, as far as the doctor looks."""
    interpreter = folder / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(python.resolve())
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
    tmp_path: Path, which: str, modules: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    python: Path = request.getfixturevalue(f"{which}_python")
    whole = environment(tmp_path / "whole", modules, python)
    partial = environment(tmp_path / "partial", modules[1:], python)

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


@pytest.fixture
def listener() -> Iterator[Callable[[], tuple[int, int]]]:
    """Starts programs that listen on a port of their own: (pid, port)."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[int, int]:
        command = [sys.executable, "-c", LISTEN, "0"]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(program)
        assert program.stdout is not None
        return program.pid, int(program.stdout.readline())

    yield start
    for program in started:
        program.kill()
        program.communicate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("subject", "variable", "needed"),
    [
        pytest.param("MQTT broker", "EDGEWARD_MQTT__PORT", True, id="broker"),
        pytest.param("Prefect's port", "EDGEWARD_PREFECT__PORT", False, id="prefect"),
    ],
)
def test_a_port_that_another_program_has_is_told_with_that_program(
    tmp_path: Path,
    listener: Callable[[], tuple[int, int]],
    subject: str,
    variable: str,
    needed: bool,
) -> None:
    def judged(port: int) -> Finding:
        settings = Settings(
            home=tmp_path, mqtt=MqttSettings(port=port), prefect=PrefectSettings(port=port)
        )
        return finding(settings, subject)

    free = judged(free_port())
    pid, port = listener()
    taken = judged(port)

    assert free.healthy
    assert not taken.healthy
    assert taken.needed is needed
    assert f"port {port} is taken by process {pid} (" in taken.found
    assert variable in taken.remedy


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        pytest.param("MQTT broker", "cloud", id="broker"),
        pytest.param("Prefect's port", "prefect-server", id="prefect"),
    ],
)
def test_our_own_process_does_not_take_its_own_port(
    tmp_path: Path, subject: str, name: str
) -> None:
    port = free_port()
    processes, log = Processes(tmp_path / "processes"), tmp_path / "log"
    processes.start(name, [sys.executable, "-c", LISTEN, str(port)], os.environ, log)
    try:
        deadline = time.monotonic() + 30
        while not log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        settings = Settings(
            home=tmp_path, mqtt=MqttSettings(port=port), prefect=PrefectSettings(port=port)
        )

        assert finding(settings, subject).healthy
    finally:
        processes.stop(name)


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


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        pytest.param(
            lambda python: python.symlink_to("/no/such/python3"),
            "leads to /no/such/python3, which is not there any more",
            id="its-python-was-removed",
        ),
        pytest.param(
            lambda python: python.write_text("#!/bin/sh\nexit 127\n"),
            "does not start: it ended with 127",
            id="it-does-not-start",
        ),
        pytest.param(
            lambda python: python.symlink_to(os.path.realpath(sys.executable)),
            "is Python 3.12.",
            id="another-version",
        ),
    ],
)
def test_an_interpreter_that_is_broken_or_another_is_named(
    tmp_path: Path, make: Callable[[Path], object], complaint: str
) -> None:
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    make(python)
    if not python.is_symlink():
        python.chmod(0o755)

    found = finding(
        Settings(home=tmp_path, backend=BackendSettings(jobs_python=python)), "jobs environment"
    )

    assert not found.healthy
    assert complaint in found.found
    assert str(python) in found.found
    assert "make setup" in found.remedy


def test_an_environment_that_is_not_as_its_lock_says_is_stale(
    tmp_path: Path, device_python: Path
) -> None:
    stale = environment(tmp_path / "stale", DEVICE, device_python)
    packages = tmp_path / "stale/lib/python3.10/site-packages"
    for installed in device_python.parents[1].glob("lib/python*/site-packages/*.dist-info"):
        name = installed.name.replace("numpy-", "numpy-0.")
        (packages / name).mkdir()
    shutil.copy(device_python.parents[1] / "pyvenv.cfg", tmp_path / "stale")

    fresh = finding(Settings(home=tmp_path), "device packages")
    found = finding(
        Settings(home=tmp_path, backend=BackendSettings(device_python=stale)), "device packages"
    )

    assert fresh.healthy, fresh
    assert not found.healthy
    assert not found.needed
    assert found.found.startswith("not as in requirements/device.txt: numpy 0.")
    assert "(locked " in found.found
    assert "make setup" in found.remedy


@pytest.mark.parametrize(
    ("script", "healthy", "said"),
    [
        pytest.param("echo 'uv 0.8.2'", True, "0.8.2", id="new-enough"),
        pytest.param("echo 'uv 0.4.30 (61ed2a236 2024-11-04)'", False, "0.8 or newer", id="old"),
        pytest.param("exit 3", False, "does not work", id="broken"),
        pytest.param("", False, "not found", id="missing"),
    ],
)
def test_uv_must_be_there_work_and_be_new_enough(
    tmp_path: Path, script: str, healthy: bool, said: str
) -> None:
    """In a process of its own, whose project has no uv of its own."""
    if script:
        (tmp_path / "uv").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "uv").chmod(0o755)
    ask = (
        "import sys; from pathlib import Path; from backends.doctor import environments as e\n"
        f"found = e.uv(Path({str(tmp_path / 'no-project')!r}))\n"
        "print(found.healthy, found.needed, found.found, found.remedy)"
    )

    done = subprocess.run(
        [sys.executable, "-c", ask],
        env=os.environ | {"PATH": str(tmp_path), "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith(f"{healthy} False")
    assert said in done.stdout
    assert "Install it" in done.stdout


def test_a_disk_that_is_really_small_is_named_with_the_limit_and_why(tmp_path: Path) -> None:
    """On a file system of 1 MiB, where this machine lets us mount one."""
    ask = (
        f"mount -t tmpfs -o size=1m tmpfs {tmp_path} || exit 77\n"
        f"EDGEWARD_HOME={tmp_path}/home exec {sys.executable} -m flows doctor"
    )

    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", ask],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no file system may be mounted here")
    assert done.returncode == 4, done.stderr
    assert f"TROUBLE  disk: 0.0 GiB free at {tmp_path}" in done.stdout
    assert "Free 2 GiB, or set EDGEWARD_HOME to a larger disk." in done.stdout


@pytest.mark.parametrize(("least", "healthy"), [(1, True), (1 << 60, False)])
def test_memory_that_is_short_is_a_warning(tmp_path: Path, least: int, healthy: bool) -> None:
    (found,) = (
        one
        for one in diagnose(Settings(home=tmp_path), least_memory=least)
        if one.subject == "memory"
    )

    assert found.healthy is healthy
    assert not found.needed
    assert "GiB free" in found.found


@pytest.mark.parametrize(("ahead", "healthy"), [(-60, True), (3600, False)])
def test_a_clock_that_is_behind_what_was_written_is_wrong(
    tmp_path: Path, ahead: float, healthy: bool
) -> None:
    record = tmp_path / "runs/one/run.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    when = time.time() + ahead
    os.utime(record, (when, when))

    found = finding(Settings(home=tmp_path), "clock")

    assert found.healthy is healthy
    assert healthy or "60 minutes later" in found.found


def test_docker_and_chromium_are_never_in_the_way(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows", "doctor", "--json"],
        env=os.environ | {"PATH": str(tmp_path), "EDGEWARD_HOME": str(tmp_path / "home")},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    (tools,) = (one for one in json.loads(done.stdout) if one["subject"] == "optional tools")
    assert done.returncode == 0, done.stdout
    assert tools["healthy"]
    assert tools["found"] == "no Chromium: tests of the UI are skipped; Docker is not needed"
