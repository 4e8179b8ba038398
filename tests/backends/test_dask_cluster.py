"""On a Dask cluster the same work gives the same answers, and the cluster's workers do it."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from backends.errors import BackendUnavailableError, JobError
from backends.sources.driveway import DrivewaySource
from backends.sources.plan import DrivewayPlan
from backends.workers import Cluster, map_in_order
from flows.keep_telemetry import keep_telemetry
from tasks.data_preparation import prepare_lists
from tasks.data_understanding import build_manifest
from tasks.splitting import SplitPlan, split_pictures
from tasks.telemetry.fleet import read_fleet
from tests.dask_cluster import Running, dask_cluster
from tests.tasks.windows import seen, store, stored

pytestmark = pytest.mark.slow
PICTURES = 100


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with dask_cluster(tmp_path_factory.mktemp("dask")) as started:
        yield started


def pid_of(_number: int) -> int:
    return os.getpid()


def square(number: int) -> int:
    return number * number


def fail_at_seven(number: int) -> int:
    if number == 7:
        raise ValueError("seven")
    return number


def die(_number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def silent(_done: int, _total: int) -> None:
    """Progress that nobody watches."""


def test_results_come_in_order_from_the_workers_of_the_cluster(running: Running) -> None:
    found = list(map_in_order(square, range(100), running.cluster, what="squares", chunk=3))
    pids = set(map_in_order(pid_of, range(100), running.cluster, what="pids", chunk=1))

    assert found == [number * number for number in range(100)]
    assert pids == set(running.workers)


def test_what_the_function_raises_reaches_the_caller(running: Running) -> None:
    with pytest.raises(ValueError, match="seven"):
        list(map_in_order(fail_at_seven, range(40), running.cluster, what="numbers", chunk=2))


def test_pictures_are_drawn_looked_at_and_prepared_there_as_they_are_here(
    running: Running, tmp_path: Path
) -> None:
    made = {}
    for name, workers in (("here", 1), ("there", running.cluster)):
        home = tmp_path / name
        began = busy(running)
        source = DrivewaySource(home, DrivewayPlan(images=PICTURES), workers)
        dataset = build_manifest(source.fetch(silent), home / "cache", home, workers, silent)
        split = split_pictures(dataset, SplitPlan(), home)
        prepare_lists(dataset, split, 16, 16, home / "cache", home / "lists", workers, silent)
        made[name] = files_of(home / "sources") | files_of(home / "cache" / "prepared")
        made[name] |= {"manifest": (home / "manifest.parquet").read_bytes()}
        worked = busy(running) - began
        assert (worked > 1) == (name == "there")

    assert len(made["here"]) > 2 * PICTURES
    assert made["there"] == made["here"]


def test_a_fleets_windows_are_added_up_there_as_they_are_here(
    running: Running, tmp_path: Path
) -> None:
    things = [f"hub-{number}" for number in range(9)]
    for number, thing in enumerate(things):
        store(tmp_path, seen(5, number), seen(5, number + 9, hour=1), thing=thing)
    here = read_fleet(stored(tmp_path), tmp_path, things, 1)
    began = busy(running)

    there = read_fleet(stored(tmp_path), tmp_path, things, running.cluster)

    assert busy(running) > began
    assert there.things == here.things
    assert there.together() == here.together()
    assert there.windows == 18


@pytest.mark.usefixtures("prefect_server")
def test_the_tasks_of_keep_telemetry_run_there(
    running: Running, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEWARD_DASK__ADDRESS", running.cluster.address)
    for number in range(2):
        store(home, seen(5, number, hour=number), name=str(number))
    began = busy(running)

    done = keep_telemetry()

    assert (done.folders, done.files) == (1, 2)
    assert busy(running) > began


def test_a_cluster_whose_workers_are_killed_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    with (
        dask_cluster(tmp_path) as started,
        pytest.raises((BackendUnavailableError, JobError), match="worker"),
    ):
        list(map_in_order(die, range(4), started.cluster, what="ingest", chunk=1))


def test_an_address_where_nobody_listens_is_an_error_with_a_next_step() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    with pytest.raises(BackendUnavailableError, match="EDGEWARD_DASK__ADDRESS"):
        list(map_in_order(square, range(4), Cluster(f"tcp://127.0.0.1:{port}"), what="squares"))


def busy(running: Running) -> float:
    """CPU seconds that the workers have used."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in running.workers)


def files_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
