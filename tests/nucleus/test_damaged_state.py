"""A device whose state cannot be read says so, keeps the file, and can be deployed to again."""

import json
from pathlib import Path

import pytest

from backends.local.nucleus.kind import CLASSIC
from backends.local.nucleus.layout import Layout
from backends.local.nucleus.state import State, load_state
from tests.nucleus.test_deployments import SLEEP, Device, played

DAMAGED = {
    "cut off": '{"components": {"app": "1.0',
    "no object": "[1]",
    "bottomless": "[" * 100_000,
    "no text": "\udcff",
    "components of a wrong type": '{"components": ["app"]}',
    "a leaf that is none": '{"configuration": {"app": {"a": 5}}}',
    "a leaf without a time": '{"configuration": {"app": {"a": [1]}}}',
    "a target of another form": '{"targets": {"thing/hub-1": {"x": 1}}}',
    "a last deployment that is none": '{"deployment": 5}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_state_is_kept_aside_and_named(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    layout = Layout(tmp_path)
    layout.create()
    layout.state.write_bytes(content.encode("utf-8", "surrogateescape"))

    state = load_state(layout, "hub-1", CLASSIC)

    assert (state.components, state.targets, state.last) == ({}, {}, None)
    assert not layout.state.exists()
    kept = layout.damaged_state.read_bytes()
    assert kept == content.encode("utf-8", "surrogateescape")
    assert str(layout.damaged_state) in caplog.text


def test_a_device_that_has_no_state_yet_has_nothing_damaged(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create()

    assert load_state(layout, "hub-1", CLASSIC).components == State().components
    assert not layout.damaged_state.exists()


@pytest.mark.slow
def test_a_device_with_a_damaged_state_tells_its_status_and_is_deployed_to_again(
    tmp_path: Path,
) -> None:
    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", SLEEP)
        await device.deploy_locally({"app": "1.0.0"})
        assert device.status["damaged"] == ""
        await device.stop()
        device.layout.state.write_text(json.dumps(device.state)[:50])

        await device.start()

        assert device.status["components"] == {}
        assert device.status["damaged"] == str(device.layout.damaged_state)
        assert (await device.deploy_locally({"app": "1.0.0"}))["status"] == "SUCCEEDED"
        assert device.versions == {"app": "1.0.0"}
        device.layout.damaged_state.unlink()
        await device.stop()
        await device.start()
        assert device.status["damaged"] == ""

    played(tmp_path, act)
