"""Deployments through Greengrass v2: to a thing or a group, followed, cancelled, rolled back.

What would break for a user: other people's components would vanish from their devices, a failed
deployment would pass for a good one, or a device would be left with what was refused.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from backends.aws.account import Account, Call
from backends.aws.components import GreengrassComponents
from backends.aws.fleet import GreengrassFleet
from backends.aws.known_pictures import KNOWN_PICTURES, known_pictures_recipe
from backends.aws.live_results import LiveResults
from backends.aws.objects import S3Objects
from backends.component_versions import with_version
from backends.errors import (
    BackendBlockedError,
    BackendUnavailableError,
    DeploymentError,
    InvalidInputError,
)
from backends.recipe_rules import check_recipe
from backends.settings import AwsSettings
from edge.contract import INFERENCE_COMPONENT, MODEL_COMPONENT
from tests.fakes.greengrass_components import Component
from tests.fakes.greengrass_deployments import Deployed
from tests.fakes.greengrass_server import GreengrassServer
from tests.fakes.iot_broker import IotBroker

THING_ARN = "arn:aws:iot:eu-west-1:123456789012:thing/hub-1"
GROUP_ARN = "arn:aws:iot:eu-west-1:123456789012:thinggroup/porch"
THEIRS = {
    "com.example.Doorbell": {
        "componentVersion": "2.0.0",
        "configurationUpdate": {"merge": '{"Volume": 11}'},
        "runWith": {"posixUser": "bell"},
    }
}
MERGE = {INFERENCE_COMPONENT: {"InferenceInterval": "1"}}

Outcome = tuple[str, ...]
NewFleet = Callable[..., GreengrassFleet]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IotBroker]:
    with IotBroker(tmp_path_factory.mktemp("certificates")) as running:
        yield running


@pytest.fixture
def new_fleet(fleet_account: Account, broker: IotBroker, tmp_path: Path) -> Iterator[NewFleet]:
    """A fleet as another run would have it: `seconds` for a device, and settings."""
    made: list[GreengrassFleet] = []
    certificate, key = map(str, broker.authority.client)
    heard = {
        "iot_endpoint": f"localhost:{broker.tls_port}",
        "certificate": certificate,
        "private_key": key,
        "ca_file": str(broker.authority.certificate),
    }

    def new(seconds: float = 30, **settings: object) -> GreengrassFleet:
        account = Account(
            fleet_account.settings.model_copy(update={**heard, **settings}), fleet_account._on_call
        )
        components = GreengrassComponents(account, S3Objects(account), tmp_path / "recipes")
        made.append(GreengrassFleet(account, components, LiveResults(account), seconds))
        return made[-1]

    yield new
    for fleet in made:
        fleet.stop_started()


@pytest.fixture
def fleet(new_fleet: NewFleet) -> GreengrassFleet:
    return new_fleet()


class Devices:
    """Core devices that take up what they are given at once, with an outcome for each."""

    def __init__(self, greengrass: GreengrassServer) -> None:
        self.cloud = greengrass.cloud
        self.outcomes: dict[str, Outcome] = {"hub-1": ("SUCCEEDED",)}
        greengrass.on_request = self._play

    def _play(self, operation: str) -> None:
        if operation != "ListEffectiveDeployments":
            return
        for thing, outcome in self.outcomes.items():
            for deployed in self.cloud.waiting_for(thing):
                self.cloud.report(thing, deployed.id, *outcome)

    @property
    def last(self) -> Deployed:
        return list(self.cloud.deployments.values())[-1]

    def asked(self) -> dict[str, Any]:
        """The components of the last deployment, with merges read."""
        components = json.loads(json.dumps(self.last.asked["components"]))
        for one in components.values():
            update = one.get("configurationUpdate", {})
            if "merge" in update:
                update["merge"] = json.loads(update["merge"])
        return dict(components)


@pytest.fixture
def devices(greengrass: GreengrassServer) -> Devices:
    for version in ("1.0.0", "1.0.1", "1.0.2", "2.0.0"):
        for name in (MODEL_COMPONENT, INFERENCE_COMPONENT, "com.example.Doorbell"):
            known_component(greengrass, name, version)
    return Devices(greengrass)


def known_component(greengrass: GreengrassServer, name: str, version: str) -> None:
    """A component version in the account, as somebody else may have made it."""
    greengrass.cloud.components[name, version] = Component(
        name, version, {"ComponentPublisher": "x", "Manifests": [{}]}, {}, datetime.now(UTC), 0
    )


def others_deploy(
    account: Account, target: str, components: dict[str, Any], devices: Devices
) -> None:
    account.client("greengrassv2").create_deployment(targetArn=target, components=components)
    for thing, outcome in devices.outcomes.items():
        if thing in devices.last.executions:
            devices.cloud.report(thing, devices.last.id, *outcome)


def now() -> str:
    return datetime.now(UTC).isoformat()


def test_a_thing_is_deployed_to_with_merges_as_json_and_greengrass_s_own_policies(
    fleet: GreengrassFleet, devices: Devices
) -> None:
    versions = {MODEL_COMPONENT: "1.0.0", INFERENCE_COMPONENT: "1.0.1"}

    deployment = fleet.deploy("hub-1", versions, MERGE)

    asked = devices.last.asked
    assert (deployment.status, deployment.id) == ("SUCCEEDED", devices.last.id)
    assert deployment.components == versions
    assert asked["targetArn"] == THING_ARN
    assert devices.asked() == {
        MODEL_COMPONENT: {"componentVersion": "1.0.0"},
        INFERENCE_COMPONENT: {
            "componentVersion": "1.0.1",
            "configurationUpdate": {"merge": {"InferenceInterval": "1"}},
        },
    }
    assert asked["deploymentPolicies"] == {
        "failureHandlingPolicy": "ROLLBACK",
        "componentUpdatePolicy": {"action": "NOTIFY_COMPONENTS", "timeoutInSeconds": 60},
        "configurationValidationPolicy": {"timeoutInSeconds": 30},
    }
    assert "iotJobConfiguration" not in asked
    assert devices.last.tags["edgeward"] == "edgeward"


def test_what_others_deploy_to_the_target_stays_and_what_was_ours_is_replaced(
    fleet: GreengrassFleet, fleet_account: Account, devices: Devices
) -> None:
    ours = {"edgeward.Old": {"componentVersion": "1.0.0"}}
    known = devices.cloud.components[MODEL_COMPONENT, "1.0.0"]
    devices.cloud.components["edgeward.Old", "1.0.0"] = known
    others_deploy(fleet_account, THING_ARN, {**THEIRS, **ours}, devices)

    fleet.deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})

    assert devices.last.asked["components"] == {
        **THEIRS,
        MODEL_COMPONENT: {"componentVersion": "1.0.0"},
    }


def test_a_group_is_deployed_to_ever_faster_and_its_other_members_are_told_of(
    new_fleet: NewFleet, greengrass: GreengrassServer, devices: Devices
) -> None:
    greengrass.cloud.register_device("hub-1", "amd64", "porch")
    for thing in ("hub-2", "hub-3", "hub-4"):
        greengrass.cloud.register_device(thing, "aarch64", "porch")
    devices.outcomes = {
        "hub-2": ("SUCCEEDED",),
        "hub-3": ("FAILED", "FAILED_NO_STATE_CHANGE: no disk left"),
        "hub-1": ("SUCCEEDED",),
    }

    deployment = new_fleet(thing_group="porch").deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})

    job = devices.last.asked["iotJobConfiguration"]
    assert devices.last.asked["targetArn"] == GROUP_ARN
    assert job["jobExecutionsRolloutConfig"]["exponentialRate"]["incrementFactor"] == 2.0
    assert job["abortConfig"]["criteriaList"][0]["action"] == "CANCEL"
    assert deployment.status == "SUCCEEDED"
    assert deployment.reason == (
        "1 others succeeded, 1 failed (hub-3 FAILED: FAILED_NO_STATE_CHANGE: no disk left), "
        "1 pending (hub-4)"
    )


def test_rollout_and_abort_of_the_settings_are_passed_on(
    new_fleet: NewFleet, greengrass: GreengrassServer, devices: Devices
) -> None:
    greengrass.cloud.register_device("hub-1", "amd64", "porch")
    rollout = {
        "jobExecutionsRolloutConfig": {"maximumPerMinute": 7},
        "timeoutConfig": {"inProgressTimeoutInMinutes": 5},
    }

    new_fleet(thing_group="porch", rollout=rollout).deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})

    assert devices.last.asked["iotJobConfiguration"] == rollout


def test_a_rollout_that_greengrass_would_refuse_is_refused_with_its_field() -> None:
    rate = {
        "baseRatePerMinute": 1,
        "incrementFactor": 6,
        "rateIncreaseCriteria": {"numberOfNotifiedThings": 1},
    }

    with pytest.raises(ValidationError, match=r"exponentialRate\.incrementFactor: .*equal to 5"):
        AwsSettings(rollout={"jobExecutionsRolloutConfig": {"exponentialRate": rate}})


def test_a_thing_that_is_not_in_the_group_is_not_waited_for(
    new_fleet: NewFleet, devices: Devices
) -> None:
    with pytest.raises(InvalidInputError, match="add-thing-to-thing-group"):
        new_fleet(thing_group="porch").deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})

    assert devices.cloud.deployments == {}


def test_a_rollout_that_was_stopped_says_which_devices_failed(
    new_fleet: NewFleet, greengrass: GreengrassServer, devices: Devices
) -> None:
    for thing in ("hub-1", "hub-2", "hub-3"):
        greengrass.cloud.register_device(thing, "amd64", "porch")
    devices.outcomes = {"hub-2": ("FAILED", "no disk"), "hub-3": ("FAILED", "no disk")}
    criterion = {
        "failureType": "FAILED", "action": "CANCEL",
        "thresholdPercentage": 50.0, "minNumberOfExecutedThings": 2,
    }  # fmt: skip
    rollout = {"abortConfig": {"criteriaList": [criterion]}}

    with pytest.raises(
        DeploymentError, match=r"too many devices failed.*hub-2 FAILED: no disk"
    ) as e:
        new_fleet(thing_group="porch", rollout=rollout).deploy(
            "hub-1", {MODEL_COMPONENT: "1.0.0"}, {}
        )

    assert e.value.status == "CANCELED"


def test_a_device_that_fails_is_told_with_its_reason_and_what_is_broken_on_it(
    fleet: GreengrassFleet, devices: Devices
) -> None:
    devices.outcomes["hub-1"] = (
        "FAILED", "FAILED_ROLLBACK_COMPLETE: Model is BROKEN", "COMPONENT_BROKEN",
    )  # fmt: skip
    device = devices.cloud.devices["hub-1"]
    device.status = "UNHEALTHY"
    device.installed = [
        {"componentName": MODEL_COMPONENT, "lifecycleState": "BROKEN", "isRoot": True},
        {"componentName": "fine", "lifecycleState": "RUNNING", "isRoot": True},
    ]

    with pytest.raises(DeploymentError) as failed:
        fleet.deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})

    assert (failed.value.status, failed.value.deployment) == ("FAILED", devices.last.id)
    for part in (
        "FAILED_ROLLBACK_COMPLETE: Model is BROKEN (COMPONENT_BROKEN)",
        f"hub-1 is UNHEALTHY, last heard of {device.heard.year}",
        f"{MODEL_COMPONENT} BROKEN",
        "See the components' logs",
    ):
        assert part in failed.value.reason
    assert "fine" not in failed.value.reason


def test_a_device_that_is_offline_is_said_to_be_pending_not_failed(
    new_fleet: NewFleet, devices: Devices
) -> None:
    devices.outcomes.clear()

    with pytest.raises(DeploymentError, match="probably offline; it does so when it returns") as e:
        new_fleet(seconds=0.5).deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})

    assert e.value.status == "QUEUED"
    assert devices.last.status == "ACTIVE"  # it is not withdrawn


def test_a_member_that_is_offline_does_not_fail_a_group_where_others_succeed(
    new_fleet: NewFleet, greengrass: GreengrassServer, devices: Devices
) -> None:
    for thing in ("hub-1", "hub-2"):
        greengrass.cloud.register_device(thing, "amd64", "porch")
    devices.outcomes = {"hub-2": ("SUCCEEDED",)}

    deployment = new_fleet(seconds=0.5, thing_group="porch").deploy(
        "hub-1", {MODEL_COMPONENT: "1.0.0"}, {}
    )

    assert deployment.status == "QUEUED"
    assert "probably offline" in deployment.reason
    assert "1 others succeeded" in deployment.reason


def test_a_deployment_that_never_finishes_ends_the_wait_with_a_remedy(
    new_fleet: NewFleet, devices: Devices
) -> None:
    devices.outcomes["hub-1"] = ("IN_PROGRESS",)

    with pytest.raises(DeploymentError, match=r"IN_PROGRESS for more.*DEPLOY_SECONDS") as failed:
        new_fleet(seconds=0.5).deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})

    assert failed.value.status == "TIMED_OUT"


def test_the_settings_say_how_long_a_device_may_take(new_fleet: NewFleet, devices: Devices) -> None:
    devices.outcomes.clear()

    with pytest.raises(DeploymentError, match=r"within 0\.3 s"):
        new_fleet(seconds=0, deploy_seconds=0.3).deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})


def test_a_deployment_that_another_one_replaces_is_not_waited_for(
    fleet: GreengrassFleet, fleet_account: Account, devices: Devices, greengrass: GreengrassServer
) -> None:
    devices.outcomes.clear()

    def replace(operation: str) -> None:
        if operation == "ListEffectiveDeployments":
            greengrass.on_request = lambda _operation: None
            others_deploy(fleet_account, THING_ARN, THEIRS, devices)

    greengrass.on_request = replace

    with pytest.raises(DeploymentError, match="another deployment to the same target"):
        fleet.deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})


def test_ctrl_c_cancels_the_deployment(
    fleet: GreengrassFleet, devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices.outcomes.clear()

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("backends.aws.waiting.time.sleep", interrupted)

    with pytest.raises(KeyboardInterrupt):
        fleet.deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})

    assert devices.last.status == "CANCELED"


def test_a_run_that_is_repeated_joins_the_deployment_that_is_in_force(
    new_fleet: NewFleet, devices: Devices
) -> None:
    """A retried task must not send a device the same thing twice."""
    devices.outcomes.clear()
    with pytest.raises(DeploymentError):
        new_fleet(seconds=0.3).deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})
    devices.outcomes["hub-1"] = ("SUCCEEDED",)

    first = new_fleet().deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})
    again = new_fleet().deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})
    other = new_fleet().deploy("hub-1", {MODEL_COMPONENT: "1.0.1"}, {})

    assert first.id == again.id != other.id
    assert len(devices.cloud.deployments) == 2


def test_what_failed_on_the_device_is_tried_anew(fleet: GreengrassFleet, devices: Devices) -> None:
    devices.outcomes["hub-1"] = ("FAILED", "no disk left")
    with pytest.raises(DeploymentError):
        fleet.deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})
    devices.outcomes["hub-1"] = ("SUCCEEDED",)

    assert fleet.deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {}).status == "SUCCEEDED"
    assert len(devices.cloud.deployments) == 2


def test_a_device_gets_back_what_it_had_before_a_moment(
    fleet: GreengrassFleet, fleet_account: Account, devices: Devices
) -> None:
    """The last good one: neither the refused one nor one that failed before it."""
    versions = {MODEL_COMPONENT: "1.0.0", INFERENCE_COMPONENT: "1.0.0"}
    others_deploy(fleet_account, THING_ARN, THEIRS, devices)
    fleet.deploy("hub-1", versions, {INFERENCE_COMPONENT: {"MaxResults": "3"}})
    devices.outcomes["hub-1"] = ("FAILED", "broken")
    with pytest.raises(DeploymentError):
        fleet.deploy("hub-1", {**versions, MODEL_COMPONENT: "1.0.1"}, {})
    devices.outcomes["hub-1"] = ("SUCCEEDED",)
    before = now()
    merge = {INFERENCE_COMPONENT: {"MaxResults": "5", "a/b": "1"}}
    fleet.deploy("hub-1", {**versions, MODEL_COMPONENT: "1.0.2"}, merge)

    fleet.roll_back("hub-1", before)

    assert devices.asked() == {
        "com.example.Doorbell": {
            **THEIRS["com.example.Doorbell"],
            "configurationUpdate": {"merge": {"Volume": 11}},
        },
        MODEL_COMPONENT: {"componentVersion": "1.0.0"},
        INFERENCE_COMPONENT: {
            "componentVersion": "1.0.0",
            "configurationUpdate": {
                "merge": {"MaxResults": "3"},
                "reset": ["/MaxResults", "/a~1b"],
            },
        },
    }
    deployed, merges = fleet.deployed("hub-1")
    assert deployed == versions
    assert merges == {INFERENCE_COMPONENT: {"MaxResults": "3"}}
    newest, *earlier = fleet.history("hub-1")
    assert (newest.components, newest.merge) == (versions, merges)
    assert newest.at > before > earlier[-1].at
    assert [one.components.get(MODEL_COMPONENT) for one in earlier] == ["1.0.2", "1.0.0", None]


def test_with_nothing_good_before_ours_is_taken_away_and_others_components_stay(
    fleet: GreengrassFleet, fleet_account: Account, devices: Devices
) -> None:
    others_deploy(fleet_account, THING_ARN, THEIRS, devices)
    before = now()
    fleet.deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})

    fleet.roll_back("hub-1", before)

    assert devices.last.asked["components"] == THEIRS
    assert fleet.deployed("hub-1") == ({}, {})


def test_where_nothing_was_deployed_since_nothing_is_rolled_back(
    fleet: GreengrassFleet, devices: Devices
) -> None:
    fleet.deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})

    fleet.roll_back("hub-1", now())

    assert len(devices.cloud.deployments) == 1


def pictures(folder: Path) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (8, 8), (80 * number, 9, 9)).save(path)
    return paths


def test_known_pictures_are_deployed_along_and_the_camera_is_given_back_afterwards(
    fleet: GreengrassFleet, fleet_account: Account, devices: Devices, tmp_path: Path
) -> None:
    """The owner's camera is the owner's: a run borrows the device for a moment only."""
    camera = {"UseCamera": "true", "CameraCommand": "snap", "MaxResults": "4"}
    owners = {
        INFERENCE_COMPONENT: {
            "componentVersion": "1.0.0",
            "configurationUpdate": {"merge": json.dumps(camera)},
        }
    }
    others_deploy(fleet_account, THING_ARN, owners, devices)

    folder = fleet.place_pictures("hub-1", pictures(tmp_path))
    merge = {INFERENCE_COMPONENT: {"ImageDirectory": str(folder), "MaxResults": "5"}}
    fleet.deploy("hub-1", {INFERENCE_COMPONENT: "1.0.1"}, merge)

    during = devices.asked()
    assert during[KNOWN_PICTURES] == {"componentVersion": "1.0.0"}
    assert during[INFERENCE_COMPONENT]["configurationUpdate"]["merge"] == {
        "ImageDirectory": "../edgeward.KnownPictures/pictures",
        "ImageName": "",
        "UseCamera": "false",
        "MaxResults": "5",
    }

    fleet.give_camera_back("hub-1")
    fleet.give_camera_back("hub-1")

    assert devices.asked() == {
        INFERENCE_COMPONENT: {
            "componentVersion": "1.0.1",
            "configurationUpdate": {
                "merge": {"MaxResults": "5", "UseCamera": "true"},
                "reset": ["/ImageDirectory", "/ImageName", "/UseCamera"],
            },
        }
    }
    assert len(devices.cloud.deployments) == 3
    assert fleet.deployed("hub-1")[0] == {INFERENCE_COMPONENT: "1.0.1"}


def test_a_run_that_was_cut_off_does_not_leave_its_pictures_as_the_camera(
    new_fleet: NewFleet, fleet_account: Account, devices: Devices, tmp_path: Path
) -> None:
    owners = {
        INFERENCE_COMPONENT: {
            "componentVersion": "1.0.0",
            "configurationUpdate": {"merge": '{"ImageDirectory": "/camera"}'},
        }
    }
    others_deploy(fleet_account, THING_ARN, owners, devices)
    for version in ("1.0.1", "1.0.2"):
        cut_off = new_fleet()
        folder = cut_off.place_pictures("hub-1", pictures(tmp_path))
        merge = {INFERENCE_COMPONENT: {"ImageDirectory": str(folder)}}
        cut_off.deploy("hub-1", {INFERENCE_COMPONENT: version}, merge)

    new_fleet().give_camera_back("hub-1")

    update = devices.asked()[INFERENCE_COMPONENT]["configurationUpdate"]
    assert update["merge"] == {"ImageDirectory": "/camera"}


def test_what_a_run_that_was_cut_off_had_begun_is_rolled_back_by_the_one_that_joins_it(
    new_fleet: NewFleet, devices: Devices, tmp_path: Path
) -> None:
    """The device took it, but nobody has seen it answer rightly."""
    new_fleet().deploy("hub-1", {INFERENCE_COMPONENT: "1.0.0"}, {})
    fleets = [new_fleet(), new_fleet()]
    for fleet in fleets:
        before = now()
        folder = fleet.place_pictures("hub-1", pictures(tmp_path))
        merge = {INFERENCE_COMPONENT: {"ImageDirectory": str(folder)}}
        deployment = fleet.deploy("hub-1", {INFERENCE_COMPONENT: "1.0.1"}, merge)
    assert len(devices.cloud.deployments) == 2
    assert deployment.id == devices.last.id

    fleets[1].roll_back("hub-1", before)

    assert devices.asked() == {
        INFERENCE_COMPONENT: {
            "componentVersion": "1.0.0",
            "configurationUpdate": {"reset": ["/ImageDirectory", "/ImageName", "/UseCamera"]},
        }
    }


def test_what_was_proven_before_a_run_that_joins_it_stays(
    new_fleet: NewFleet, devices: Devices
) -> None:
    new_fleet().deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})
    before, again = now(), new_fleet()
    again.deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})

    again.roll_back("hub-1", before)

    assert devices.asked() == {MODEL_COMPONENT: {"componentVersion": "1.0.0"}}
    assert len(devices.cloud.deployments) == 1


def test_the_recipe_of_the_pictures_runs_on_both_kinds_of_nucleus() -> None:
    check_recipe(with_version(known_pictures_recipe(), "1.0.0", lambda uri: uri))


@pytest.mark.parametrize(
    ("architecture", "platform"),
    [("amd64", "linux-x86_64"), ("aarch64", "linux-aarch64"), ("arm", "linux-armv7l")],
)
def test_a_core_device_says_what_it_can_run(
    fleet: GreengrassFleet, greengrass: GreengrassServer, architecture: str, platform: str
) -> None:
    greengrass.cloud.register_device("hub-1", architecture)

    assert fleet.platform_of("hub-1") == platform


def test_a_device_that_cannot_be_built_for_is_refused(
    fleet: GreengrassFleet, greengrass: GreengrassServer
) -> None:
    with pytest.raises(InvalidInputError, match="no such Greengrass core device in eu-west-1"):
        fleet.platform_of("nobody")
    with pytest.raises(InvalidInputError, match="no thing's name"):
        fleet.platform_of("../hub")
    greengrass.cloud.register_device("hub-1", "riscv64")
    with pytest.raises(InvalidInputError, match=r"linux/riscv64 .last heard of"):
        fleet.platform_of("hub-1")


def test_an_unhealthy_device_is_told_of_and_still_deployed_to(
    fleet: GreengrassFleet, devices: Devices, caplog: pytest.LogCaptureFixture
) -> None:
    """What is deployed may be the cure."""
    devices.cloud.devices["hub-1"].status = "UNHEALTHY"

    assert fleet.platform_of("hub-1") == "linux-x86_64"

    assert "hub-1 is UNHEALTHY, last heard of" in caplog.text


@pytest.mark.slow
def test_throttling_while_a_deployment_is_followed_is_endured(
    fleet: GreengrassFleet, devices: Devices, greengrass: GreengrassServer
) -> None:
    """More of it than boto3 repeats by itself."""
    greengrass.refuse("ListEffectiveDeployments", "ThrottlingException", times=6)

    assert fleet.deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {}).status == "SUCCEEDED"
    assert len(devices.cloud.deployments) == 1


@pytest.mark.parametrize(
    ("operation", "code", "said"),
    [
        pytest.param("CreateDeployment", "AccessDeniedException",
                     "Allow greengrass:CreateDeployment", id="denied"),
        pytest.param("ListEffectiveDeployments", "ExpiredTokenException",
                     "login has expired", id="expired-meanwhile"),
    ],
)  # fmt: skip
def test_what_only_a_person_can_mend_ends_the_wait(
    fleet: GreengrassFleet, devices: Devices, greengrass: GreengrassServer,
    operation: str, code: str, said: str,
) -> None:  # fmt: skip
    greengrass.refuse(operation, code)

    with pytest.raises(BackendBlockedError, match=said):
        fleet.deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})


def test_a_version_that_greengrass_does_not_know_is_refused(
    fleet: GreengrassFleet, devices: Devices
) -> None:
    with pytest.raises(InvalidInputError, match=r"9\.9\.9 is not deployable"):
        fleet.deploy("hub-1", {MODEL_COMPONENT: "9.9.9"}, {})
    with pytest.raises(InvalidInputError, match="is configured, and not deployed"):
        fleet.deploy("hub-1", {}, MERGE)


def test_results_are_heard_before_a_device_is_deployed_to(
    new_fleet: NewFleet, devices: Devices, calls: list[Call]
) -> None:
    """Otherwise its first answers would be lost."""
    with pytest.raises(BackendUnavailableError):
        new_fleet(iot_endpoint="localhost:9").deploy("hub-1", {MODEL_COMPONENT: "1.0.0"}, {})

    assert "CreateDeployment" not in {call.operation for call in calls}
