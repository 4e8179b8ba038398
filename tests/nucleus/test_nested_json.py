"""What is nested without measure, or has numbers that JSON has not, is refused before it acts.

What would break for a user: one document, or one component, that ends the device for good.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from backends.errors import InvalidInputError
from backends.json_text import MAX_DEPTH
from backends.local.deployment_request import read_request
from backends.local.files import read_json
from backends.local.nucleus.configuration import Configuration
from backends.local.nucleus.document import Document, DocumentError, read
from backends.local.nucleus.local_document import LocalDocument
from flows.fleet_words import request_of
from tests.fakes.core_device import CoreDevice
from tests.nucleus.test_deployments import SLEEP, Device, answer, ended, played
from tests.nucleus.test_ipc import COMPONENT, CONFIGURATION, RawClient

UPDATE = "aws.greengrass#UpdateConfiguration"
NO_NUMBERS = ("NaN", "-Infinity", "1e999")


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def error_of(raw: RawClient, number: int, operation: str, payload: str) -> str:
    """The error's code; empty for an answer."""
    raw.send(0, 0, number, payload.encode(), operation=operation)
    return str(json.loads(raw.read().payload).get("_errorCode", ""))


@pytest.mark.parametrize(
    ("path", "value"),
    [(0, 900), (0, 200_000), (600, 1), (MAX_DEPTH, 1), (30, 21)],
    ids=["deep value", "very deep value", "long path", "path and leaf", "path and value"],
)
def test_a_configuration_that_would_be_nested_too_deeply_is_refused_and_untouched(
    path: int, value: int, tmp_path: Path
) -> None:
    with CoreDevice(tmp_path, COMPONENT, CONFIGURATION) as device, RawClient(device) as raw:
        raw.connect()
        before = device.configuration.to_json()
        keys = json.dumps(["k"] * path)
        body = f'{{"timestamp": {time.time()}, "keyPath": {keys}, "valueToMerge": {nested(value)}}}'

        assert error_of(raw, 1, UPDATE, body) == "InvalidArgumentsError"
        assert device.configuration.to_json() == before
        assert error_of(raw, 2, UPDATE, body.replace(keys, "[]").replace(nested(value), "{}")) == ""


def test_a_configuration_may_be_as_deep_as_the_limit(tmp_path: Path) -> None:
    with CoreDevice(tmp_path, COMPONENT, CONFIGURATION) as device, RawClient(device) as raw:
        raw.connect()
        body = {"timestamp": time.time(), "keyPath": ["k"] * (MAX_DEPTH - 2)}

        taken = json.dumps({**body, "valueToMerge": {"a": {"b": 1}}})
        refused = json.dumps({**body, "valueToMerge": {"a": {"b": [1]}}})
        assert error_of(raw, 1, UPDATE, taken) == ""
        assert error_of(raw, 2, UPDATE, refused) == "InvalidArgumentsError"


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_a_number_that_json_has_not_is_an_invalid_argument(number: str, tmp_path: Path) -> None:
    with CoreDevice(tmp_path, COMPONENT, CONFIGURATION) as device, RawClient(device) as raw:
        raw.connect()
        body = f'{{"timestamp": {time.time()}, "valueToMerge": {{"n": {number}}}}}'

        assert error_of(raw, 1, UPDATE, body) == "InvalidArgumentsError"


class Poisoned(dict[str, Any]):
    """A value that fails while it is merged."""

    def items(self) -> Any:
        raise RecursionError


def test_a_merge_that_fails_on_its_way_leaves_the_configuration_as_it_was() -> None:
    configuration = Configuration()
    configuration.merge("app", {"a": {"b": 1}}, 1)

    with pytest.raises(RecursionError):
        configuration.merge("app", {"a": {"b": 2}, "c": Poisoned(d=1)}, 2)

    assert configuration.value("app") == {"a": {"b": 1}}


@pytest.mark.parametrize("inner", [nested(100_000), nested(100), *(f"[{n}]" for n in NO_NUMBERS)])
def test_a_document_that_no_device_can_hold_is_refused(inner: str, tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_text(
        '{"deploymentId": "d", "creationTimestamp": 1, "configurationUpdate": {"c": {"MERGE":'
        f' {{"x": {inner}}}}}}}}}'
    )

    with pytest.raises(DocumentError, match=r"d\.json"):
        read(path, LocalDocument)


def test_a_merge_as_deep_as_a_configuration_may_be_is_taken_on_every_way(tmp_path: Path) -> None:
    merge = json.loads(nested(MAX_DEPTH))
    local = {
        "deploymentId": "d",
        "creationTimestamp": 1,
        "configurationUpdate": {"c": {"MERGE": merge}},
    }
    (tmp_path / "local.json").write_text(json.dumps(local))
    request = asked(json.dumps({"c": merge}))
    (tmp_path / "cloud.json").write_text(json.dumps(request.document("d", 1, 1)))

    document = read(tmp_path / "cloud.json", Document)

    taken = read(tmp_path / "local.json", LocalDocument).configurationUpdate["c"]
    assert merge == taken.MERGE
    assert document.components["c"].configurationUpdate.merge == merge
    local["configurationUpdate"] = {"c": {"MERGE": {"a": merge}}}
    (tmp_path / "local.json").write_text(json.dumps(local))
    with pytest.raises(DocumentError, match=r"configurationUpdate\.c\.MERGE"):
        read(tmp_path / "local.json", LocalDocument)


def asked(merge: str) -> Any:
    return request_of(
        "thing/hub-1",
        ["c=1.0.0"],
        merge,
        [],
        name="",
        rate=None,
        exponential="",
        abort="",
        timeout=None,
        rollback=True,
    )


@pytest.mark.parametrize(
    "inner", [nested(100_000), nested(MAX_DEPTH + 1), *(f'{{"n": {n}}}' for n in NO_NUMBERS)]
)
def test_a_deployment_that_no_device_can_hold_is_refused_when_it_is_asked_for(inner: str) -> None:
    with pytest.raises(InvalidInputError):
        asked(f'{{"c": {inner}}}')
    with pytest.raises(InvalidInputError, match="merge"):
        read_request(
            {
                "targetArn": "thing/hub-1",
                "components": {
                    "c": {"componentVersion": "1.0.0", "configurationUpdate": {"merge": inner}}
                },
            }
        )


def test_a_file_that_is_nested_too_deeply_is_no_json_object(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text(nested(100_000))

    assert read_json(tmp_path / "deep.json") is None


@pytest.mark.slow
def test_a_device_answers_a_bottomless_document_and_goes_on(tmp_path: Path) -> None:
    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", SLEEP)
        await device.deploy_locally({"app": "1.0.0"})
        local = device.layout.deployments / "deep.json"
        local.write_text(
            f'{{"deploymentId": "deep", "creationTimestamp": 1, "x": {nested(100_000)}}}'
        )
        assert (await ended(local))["status"] == "FAILED"
        device.cloud.folder.joinpath("deep.json").write_text(nested(100_000))
        assert (await ended(device.cloud.folder / "deep.json"))["status"] == "FAILED"

        await device.stop()
        await device.start()

        assert (await device.deploy_locally({"app": "1.0.0"}))["status"] == "SUCCEEDED"
        assert answer(local)["status"] == "FAILED"

    played(tmp_path, act)


@pytest.mark.slow
def test_a_document_that_the_device_fails_on_is_answered_and_the_next_one_taken(
    tmp_path: Path,
) -> None:
    async def act(device: Device) -> None:
        device.cloud.store.add("app", "1.0.0", SLEEP)
        device.cloud.groups.write_text(json.dumps({"groups": {"porch": 5}}))
        await device.deploy("thinggroup/porch", {"app": "1.0.0"})

        odd = device.layout.deployments / "odd.json"
        odd.write_text(
            '{"deploymentId": "odd", "creationTimestamp": 1, '
            '"componentsToMerge": {"\\ud800": "1.0.0"}}'
        )

        assert (await ended(odd))["status"] == "FAILED"
        assert (await device.deploy_locally({"app": "1.0.0"}))["status"] == "SUCCEEDED"

    played(tmp_path, act)
