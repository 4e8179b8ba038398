"""The components as they ship, through Greengrass and S3, on a real core device: seen to answer."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backends.aws.account import Account
from backends.aws.components import GreengrassComponents
from backends.aws.fleet import GreengrassFleet
from backends.aws.known_pictures import KNOWN_PICTURES
from backends.aws.live_results import LiveResults
from backends.aws.objects import S3Objects
from backends.errors import DeploymentError
from edge.contract import INFERENCE_COMPONENT, MODEL_COMPONENT, RUNTIME_COMPONENT
from tasks.packaging import package_inference, package_model, package_runtime
from tasks.recipes import inference_recipe, model_recipe, runtime_recipe
from tests.fakes.greengrass_player import CoreDevicePlayer
from tests.fakes.greengrass_server import GreengrassServer
from tests.fakes.iot_broker import IotBroker
from tests.tiny_model import Compile, TinyModel

pytestmark = [pytest.mark.slow, pytest.mark.jobs, pytest.mark.device]

THING = "hub-1"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[IotBroker]:
    with IotBroker(tmp_path / "certificates") as running:
        yield running


@pytest.fixture
def site(fleet_account: Account, broker: IotBroker) -> Account:
    """The account, with a certificate to hear results."""
    certificate, key = map(str, broker.authority.client)
    heard = {
        "iot_endpoint": f"localhost:{broker.tls_port}",
        "certificate": certificate,
        "private_key": key,
        "ca_file": str(broker.authority.certificate),
    }
    return Account(fleet_account.settings.model_copy(update=heard))


@pytest.fixture
def device(
    greengrass: GreengrassServer, site: Account, broker: IotBroker, tmp_path: Path
) -> Iterator[CoreDevicePlayer]:
    with CoreDevicePlayer(greengrass, site, tmp_path / "hub", THING, broker.plain_port) as played:
        yield played


def now() -> str:
    return datetime.now(UTC).isoformat()


def test_a_model_is_published_deployed_and_seen_to_answer_and_a_broken_one_is_refused(
    site: Account,
    device: CoreDevicePlayer,
    compile_for: Compile,
    tiny_model: TinyModel,
    device_python: Path,
    tmp_path: Path,
) -> None:
    components = GreengrassComponents(site, S3Objects(site), tmp_path / "recipes")
    fleet = GreengrassFleet(site, components, LiveResults(site), deploy_seconds=120)
    compiled = compile_for("linux-x86_64")
    packed = tmp_path / "packed"
    recipes = {
        MODEL_COMPONENT: (
            model_recipe(["linux-x86_64"]), package_model(compiled, packed, tiny_model.known)
        ),
        RUNTIME_COMPONENT: (runtime_recipe(), package_runtime(packed)),
        INFERENCE_COMPONENT: (inference_recipe(), package_inference(packed)),
    }  # fmt: skip
    versions = {
        name: components.publish(recipe, [archive]).version
        for name, (recipe, archive) in recipes.items()
    }
    listed = [json.loads(line) for line in tiny_model.pictures.read_text().splitlines()]
    shown = [Path(picture["path"]) for picture in listed][:4]

    since = now()
    folder = fleet.place_pictures(THING, shown)
    merge: dict[str, dict[str, object]] = {
        RUNTIME_COMPONENT: {"Python": str(device_python)},
        INFERENCE_COMPONENT: {"ImageDirectory": str(folder), "InferenceInterval": "0.5"},
    }
    deployment = fleet.deploy(THING, versions, merge)
    results = fleet.results(THING, since, len(shown), timeout=60)

    assert deployment.status == "SUCCEEDED"
    assert {result.model_version for result in results} == {versions[MODEL_COMPONENT]}
    assert len({result.image_id for result in results}) == len(shown)
    assert "model" in device.local.logs(THING)[INFERENCE_COMPONENT].read_text()

    fleet.give_camera_back(THING)

    assert KNOWN_PICTURES not in device.local.device(THING).components
    assert device.configuration(INFERENCE_COMPONENT)["ImageDirectory"] == ""
    assert device.configuration(INFERENCE_COMPONENT)["InferenceInterval"] == "0.5"

    broken = tmp_path / "broken"
    shutil.copytree(compiled.folder, broken)
    (broken / "compiled.so").write_text("not a library")
    shutil.make_archive(str(packed / "edgeward-model-linux-x86_64"), "zip", broken)
    archive = packed / "edgeward-model-linux-x86_64.zip"
    newer = components.publish(model_recipe(["linux-x86_64"]), [archive]).version
    with pytest.raises(DeploymentError) as failed:
        fleet.deploy(THING, {**versions, MODEL_COMPONENT: newer}, {})
    fleet.stop_started()

    assert failed.value.status == "FAILED"
    assert "FAILED_ROLLBACK_COMPLETE" in failed.value.reason
    running = device.local.device(THING).components[MODEL_COMPONENT]
    assert running.version == versions[MODEL_COMPONENT]


def test_a_device_that_was_offline_takes_the_deployment_up_when_it_returns(
    site: Account, device: CoreDevicePlayer, device_python: Path, tmp_path: Path
) -> None:
    components = GreengrassComponents(site, S3Objects(site), tmp_path / "recipes")
    published = components.publish(runtime_recipe(), [package_runtime(tmp_path)])
    wanted = {RUNTIME_COMPONENT: published.version}
    merge = {RUNTIME_COMPONENT: {"Python": str(device_python)}}
    device.go(online=False)
    impatient = GreengrassFleet(site, components, LiveResults(site), deploy_seconds=1)
    with pytest.raises(DeploymentError, match="probably offline"):
        impatient.deploy(THING, wanted, merge)
    impatient.stop_started()

    device.go(online=True)
    fleet = GreengrassFleet(site, components, LiveResults(site), deploy_seconds=60)
    deployment = fleet.deploy(THING, wanted, merge)
    fleet.stop_started()

    assert deployment.status == "SUCCEEDED"
    assert len(device.local.device(THING).components) == 1
