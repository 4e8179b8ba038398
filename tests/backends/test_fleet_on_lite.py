"""The components as they ship, on a device that behaves like nucleus lite."""

import os
import re
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from backends.errors import DeploymentError, InvalidInputError
from edge.contract import INFERENCE_COMPONENT
from tasks.packaging import package_model
from tests.site import THING, Site, now
from tests.tiny_model import Compile, TinyModel

pytestmark = [pytest.mark.slow, pytest.mark.jobs, pytest.mark.device]


@pytest.fixture
def site(tmp_path: Path, device_python: Path) -> Iterator[Site]:
    made = Site(tmp_path / "home", device_python)
    made.fleet.start_device(THING, "lite")
    yield made
    made.fleet.stop_everything()


@pytest.fixture
def sound(compile_for: Compile, tiny_model: TinyModel, tmp_path: Path) -> Path:
    return package_model(compile_for("linux-x86_64"), tmp_path / "packed", tiny_model.known)


def logged(site: Site) -> list[str]:
    """Ids of the results that the component logged, in its order."""
    text = site.fleet.logs(THING)[INFERENCE_COMPONENT].read_text()
    return re.findall(r'"inference-results".*"message_id": "([0-9a-f]{32})"', text)


def without_library(package: Path, folder: Path) -> Path:
    """The same package, its library replaced by noise."""
    folder.mkdir()
    with (
        zipfile.ZipFile(package) as source,
        zipfile.ZipFile(folder / package.name, "w") as target,
    ):
        for entry in source.infolist():
            noise = entry.filename == "compiled.so"
            target.writestr(entry, b"no library" if noise else source.read(entry))
    return folder / package.name


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_results_that_lite_cannot_send_arrive_once_and_in_order_when_the_broker_is_back(
    site: Site, sound: Path
) -> None:
    """Lite stores nothing: without the component's own queue an outage would be a hole."""
    began = now()
    site.deploy(sound, InferenceInterval="0.1")
    site.results(began)

    assert site.fleet.stop_cloud()
    before = len(logged(site))
    until(lambda: len(logged(site)) >= before + 20)
    os.kill(site.serving(), signal.SIGKILL)
    until(lambda: len(logged(site)) >= before + 40)
    waiting = logged(site)
    site.fleet.ensure_cloud()

    def arrived() -> list[str]:
        results = site.fleet.results(THING, began, 10_000, timeout=0)
        return [str(result.payload["message_id"]) for result in results]

    until(lambda: set(waiting) <= set(arrived()))
    assert len(arrived()) == len(set(arrived()))
    taken = [result.taken_at for result in site.fleet.results(THING, began, 10_000, timeout=0)]
    assert all(earlier <= later for earlier, later in pairwise(taken))


def test_a_broken_model_fails_its_deployment_on_lite_as_well(
    site: Site, sound: Path, tmp_path: Path
) -> None:
    began = now()
    version = site.deploy(sound)
    site.results(began)
    process = site.serving()
    broken = without_library(sound, tmp_path / "broken")

    with pytest.raises(DeploymentError) as failed:
        site.deploy(broken)

    assert "DLR cannot load it" in failed.value.reason
    assert site.serving() == process
    later = now()
    assert site.results(later)[0].model_version == version


def test_a_device_that_runs_keeps_its_kind_and_one_that_is_stopped_can_change_it(
    site: Site,
) -> None:
    with pytest.raises(InvalidInputError, match="Stop it first"):
        site.fleet.start_device(THING, "classic")
    site.fleet.stop_device(THING)

    site.fleet.start_device(THING)
    assert site.fleet.device(THING).nucleus == "lite"
    site.fleet.stop_device(THING)
    site.fleet.start_device(THING, "classic")

    assert site.fleet.device(THING).nucleus == "classic"
