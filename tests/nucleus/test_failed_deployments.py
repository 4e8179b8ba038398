"""A deployment that cannot be carried out says why, and leaves the device as it was, on disk too.

What would break for a user: a device that comes back with what a failed deployment has left there.
"""

import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from backends.local.nucleus.download import digest_of
from backends.local.nucleus.packages import Packages
from tests.nucleus.test_deployments import SLEEP, Device, played, until

pytestmark = pytest.mark.slow


def on_disk(device: Device) -> dict[str, bytes]:
    """All recipes and artifacts, by their paths."""
    packages = device.layout.root / "packages"
    return {
        str(path.relative_to(packages)): path.read_bytes()
        for path in packages.rglob("*")
        if path.is_file()
    }


def test_a_version_that_runs_is_never_replaced_by_another_content(tmp_path: Path) -> None:
    """Also when another component of the deployment is at fault."""

    async def act(device: Device) -> None:
        store = device.cloud.store
        store.add("app", "1.0.0", SLEEP, files={"a.txt": "former"})
        await device.deploy("thing/hub-1", {"app": "1.0.0"})
        before = on_disk(device)

        store.add("app", "1.0.0", {"Startup": "exit 7"}, files={"a.txt": "changed"})
        store.add("other", "1.0.0", SLEEP)
        refused = await device.deploy("thing/hub-1", {"app": "1.0.0", "other": "1.0.0"})

        assert refused["detailedStatus"] == "FAILED_NO_STATE_CHANGE"
        assert "app 1.0.0 is on the device with another content" in refused["reason"]
        assert "publish it as another version" in refused["reason"]
        assert on_disk(device) == before

        await device.stop()
        await device.start()
        await until(lambda: device.status["components"]["app"]["state"] == "RUNNING")

    played(tmp_path, act)


def test_a_version_that_never_ran_may_be_mended(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", {"Startup": "exit 7"})
        broken = await device.deploy("thing/hub-1", {"app": "1.0.0"})
        device.cloud.store.add("app", "1.0.0", SLEEP)

        mended = await device.deploy("thing/hub-1", {"app": "1.0.0"})

        assert broken["detailedStatus"] == "FAILED_ROLLBACK_COMPLETE"
        assert mended["status"] == "SUCCEEDED"

    played(tmp_path, act)


@pytest.mark.parametrize(
    "merge", [{}, {"logging": {"level": "DEBUG"}}], ids=["plain", "configured"]
)
def test_a_deployment_may_list_the_nucleus(tmp_path: Path, merge: dict[str, Any]) -> None:
    """As most of a fleet's deployments do."""

    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", SLEEP)
        components = {"aws.greengrass.Nucleus": "2.12.0", "app": "1.0.0"}
        configuration = {"aws.greengrass.Nucleus": merge} if merge else {}

        ended = await device.deploy("thing/hub-1", components, configuration)
        locally = await device.deploy_locally(components, merge=configuration)
        other = await device.deploy("thinggroup/porch", {"aws.greengrass.Nucleus": "^3.0.0"})

        assert (ended["status"], locally["status"]) == ("SUCCEEDED", "SUCCEEDED")
        assert device.versions == {"app": "1.0.0"}
        assert other["detailedStatus"] == "FAILED_NO_STATE_CHANGE"
        assert "there is 2.12.0" in other["reason"]

    played(tmp_path, act)


def test_an_archive_that_is_damaged_changes_nothing_and_is_named(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        store = device.cloud.store
        recipe = store.add("app", "1.0.0", SLEEP, files={"a.txt": "x"})
        archive = store.objects / "edgeward/components/app/1.0.0/code.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
            content.writestr("a.txt", "hello" * 1000)
        damaged = bytearray(archive.read_bytes())
        damaged[35:40] = b"\xff" * 5
        archive.write_bytes(damaged)
        recipe["Manifests"][0]["Artifacts"][0]["Digest"] = digest_of(archive)
        store.write(recipe)

        refused = await device.deploy("thing/hub-1", {"app": "1.0.0"})

        assert refused["detailedStatus"] == "FAILED_NO_STATE_CHANGE"
        assert "s3://edgeward/components/app/1.0.0/code.zip" in refused["reason"]
        assert "'a.txt'" in refused["reason"]
        assert device.versions == {}

    played(tmp_path, act)


def test_a_fault_before_anything_has_changed_is_reported_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("nobody thought of it")

    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", SLEEP)
        monkeypatch.setattr(Packages, "fetch", fetch)

        refused = await device.deploy("thing/hub-1", {"app": "1.0.0"})
        long = await device.deploy("thing/hub-1", {"app": "9" * 5000 + ".0.0"})

        assert refused["detailedStatus"] == "FAILED_NO_STATE_CHANGE"
        assert "a fault of the device: nobody thought of it" in refused["reason"]
        assert long["detailedStatus"] == "FAILED_NO_STATE_CHANGE"
        assert "thing/hub-1 wants app" in long["reason"]
        assert "it has 5004 characters, and 256 are allowed" in long["reason"]

    played(tmp_path, act)


def test_a_clock_that_is_set_back_hides_no_broken_component(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, back = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() - back[0])

    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", {"Startup": "touch began; sleep 0.2; exit 7"})
        path = device.send("thing/hub-1", {"app": "1.0.0"})
        await until((device.layout.work("app") / "began").exists)
        back[0] = 3600

        await until(lambda: (device.state.get("deployment") or {}).get("id") == path.stem)

        assert device.state["deployment"]["detailedStatus"] == "FAILED_ROLLBACK_COMPLETE"
        assert "app is BROKEN" in device.state["deployment"]["reason"]

    played(tmp_path, act)


def test_a_step_has_the_time_that_its_recipe_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a deployment takes otherwise; and what needs it waits as long."""
    monkeypatch.setattr("backends.local.nucleus.deployment.START_SECONDS", 0.2)
    slow = {"Script": "sleep 1", "Timeout": "20"}

    async def act(device: Device) -> None:
        device.cloud.store.add("base", "1.0.0", {"Install": slow, "Startup": slow})
        device.cloud.store.add(
            "app", "1.0.0", SLEEP, needs={"base": {"VersionRequirement": "1.0.0"}}
        )

        assert (await device.deploy("thing/hub-1", {"app": "1.0.0"}))["status"] == "SUCCEEDED"

    played(tmp_path, act)
