"""Deployments reach their things in turn, and their records tell the truth; the time is given.

The devices' side is played by the test, in the devices' own files: a document comes, an answer is
written. What would break for a user: a rollout that stalls, doubles, or hides a failure.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends.errors import InvalidInputError
from backends.local.cloud.driver import RolloutDriver
from backends.local.deployment_request import DeploymentRequest, new_request, read_request
from backends.local.deployments import KEPT, Deployments, describe
from backends.local.files import read_json, write_json
from backends.local.groups import Groups
from backends.local.targets import parse_target


class Cloud:
    """The cloud side's folder, with the driver stepped by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.deployments = Deployments(folder / "fleet", folder / "deployments")
        self.groups = Groups(folder / "groups.json")
        self.now = 1_000_000.0
        self.restart()

    def restart(self) -> None:
        self.driver = RolloutDriver(self.folder)

    def step(self, seconds: float = 0.1) -> None:
        self.now += seconds
        self.driver.step(self.now)

    def begin(self, request: DeploymentRequest) -> str:
        identifier = self.deployments.create(request).id
        self.step()
        return identifier

    def document(self, thing: str, name: str) -> dict[str, Any] | None:
        return read_json(self.deployments.document(thing, name))

    def has(self, name: str) -> list[str]:
        return sorted(path.parent.name for path in self.folder.glob(f"deployments/*/{name}.json"))

    def answer(self, thing: str, name: str, status: str, reason: str = "") -> None:
        """As the device writes it."""
        path = self.deployments.document(thing, name)
        assert path.exists()
        answer = {"status": status, "detailedStatus": f"DETAIL_{status}", "reason": reason}
        write_json(path.with_name(f"{name}.status.json"), answer)
        self.step()

    def statuses(self, identifier: str) -> dict[str, str]:
        progress = self.deployments.progress(identifier)
        return {thing: status.value for thing, status in progress.statuses().items()}

    def status(self, identifier: str) -> str:
        return self.deployments.progress(identifier).status.value


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path / "cloud")


def asked(target: str, version: str = "1.0.0", **job: Any) -> DeploymentRequest:
    return new_request(parse_target(target), {"app": version}, {}, {}, iotJobConfiguration=job)


def rate(number: int) -> dict[str, Any]:
    return {"jobExecutionsRolloutConfig": {"maximumPerMinute": number}}


ABORT = {
    "abortConfig": {
        "criteriaList": [
            {
                "failureType": "FAILED",
                "action": "CANCEL",
                "thresholdPercentage": 50,
                "minNumberOfExecutedThings": 2,
            }
        ]
    }
}


def test_a_thing_gets_the_document_that_greengrass_devices_take(cloud: Cloud) -> None:
    request = new_request(
        parse_target("group/porch"),
        {"app": ">=1.0.0 <2.0.0"},
        {"app": {"Level": {"a": 1}}},
        {"app": ["/Old"]},
        deploymentPolicies={"failureHandlingPolicy": "DO_NOTHING"},
    )
    cloud.groups.add("porch", ["hub-1"])

    identifier = cloud.begin(request)

    document = cloud.document("hub-1", identifier)
    created = document.pop("creationTimestamp") if document else 0
    assert created == cloud.deployments.record(identifier).created
    assert document == {
        "deploymentId": identifier,
        "configurationArn": (
            "arn:aws:greengrass:local:000000000000:configuration:thinggroup/porch:1"
        ),
        "components": {
            "app": {
                "version": ">=1.0.0 <2.0.0",
                "runWith": {},
                "configurationUpdate": {"merge": {"Level": {"a": 1}}, "reset": ["/Old"]},
            }
        },
        "failureHandlingPolicy": "DO_NOTHING",
        "componentUpdatePolicy": {"timeout": 60, "action": "NOTIFY_COMPONENTS"},
        "configurationValidationPolicy": {"timeout": 30},
        "requiredCapabilities": [],
    }


def test_a_device_that_is_away_is_pending_until_it_answers(cloud: Cloud) -> None:
    identifier = cloud.begin(asked("thing/hub-1"))
    cloud.step(7 * 24 * 3600)
    assert (cloud.status(identifier), cloud.statuses(identifier)) == ("ACTIVE", {"hub-1": "QUEUED"})

    cloud.answer("hub-1", identifier, "IN_PROGRESS")
    assert cloud.statuses(identifier) == {"hub-1": "IN_PROGRESS"}
    cloud.answer("hub-1", identifier, "SUCCEEDED")
    assert (cloud.status(identifier), cloud.statuses(identifier)) == (
        "COMPLETED", {"hub-1": "SUCCEEDED"},
    )  # fmt: skip


def test_things_are_notified_at_the_rate_also_across_a_restart_of_the_cloud_side(
    cloud: Cloud,
) -> None:
    cloud.groups.add("all", [f"hub-{n}" for n in range(6)])
    identifier = cloud.begin(asked("group/all", **rate(2)))
    assert len(cloud.has(identifier)) == 1

    cloud.step(29)
    assert len(cloud.has(identifier)) == 1
    cloud.restart()
    cloud.step(1)
    assert len(cloud.has(identifier)) == 2
    cloud.restart()
    cloud.step(29)
    assert len(cloud.has(identifier)) == 2
    cloud.step(1)
    assert len(cloud.has(identifier)) == 3


def test_a_bad_version_stops_at_the_threshold_and_the_rest_never_sees_it(cloud: Cloud) -> None:
    cloud.groups.add("all", [f"hub-{n}" for n in range(6)])
    identifier = cloud.begin(asked("group/all", **{**rate(60), **ABORT}))
    cloud.step(1)
    cloud.step(1)
    first, second, third = cloud.has(identifier)

    cloud.answer(third, identifier, "IN_PROGRESS")
    cloud.answer(first, identifier, "FAILED", "it crashed")
    assert cloud.status(identifier) == "ACTIVE"
    cloud.answer(second, identifier, "FAILED", "it crashed")

    assert cloud.status(identifier) == "CANCELED"
    assert "2 of 2 executed things FAILED" in cloud.deployments.progress(identifier).reason
    assert sorted(cloud.statuses(identifier).values()) == [
        "CANCELED", "CANCELED", "CANCELED", "FAILED", "FAILED", "IN_PROGRESS",
    ]  # fmt: skip
    cloud.step(600)
    assert len(cloud.has(identifier)) == 3
    cloud.answer(third, identifier, "SUCCEEDED")
    assert cloud.statuses(identifier)[third] == "SUCCEEDED"
    assert cloud.status(identifier) == "CANCELED"


def test_cancelling_takes_back_what_no_device_has_begun(cloud: Cloud) -> None:
    cloud.groups.add("all", ["away", "busy", "late"])
    identifier = cloud.begin(asked("group/all", **rate(60)))
    cloud.step(1)
    cloud.answer("busy", identifier, "IN_PROGRESS")
    if cloud.has(identifier) != ["away", "busy"]:
        pytest.fail("the rate let a third one through")

    cloud.deployments.cancel(identifier)
    cloud.step()

    assert cloud.statuses(identifier) == {
        "away": "CANCELED", "busy": "IN_PROGRESS", "late": "CANCELED",
    }  # fmt: skip
    answer = read_json(
        cloud.deployments.document("away", identifier).with_name(f"{identifier}.status.json")
    )
    assert answer is not None
    assert (answer["status"], answer["reason"]) == ("CANCELED", "it was cancelled")
    cloud.groups.add("all", ["new"])
    cloud.step()
    assert "new" not in cloud.statuses(identifier)


def test_a_thing_that_joins_later_gets_the_latest_deployment_and_no_older_one(
    cloud: Cloud,
) -> None:
    cloud.groups.add("porch", ["hub-1"])
    old = cloud.begin(asked("group/porch", "1.0.0"))
    new = cloud.begin(asked("group/porch", "1.1.0"))
    cloud.answer("hub-1", new, "SUCCEEDED")
    assert cloud.status(new) == "COMPLETED"

    cloud.restart()
    cloud.groups.add("porch", ["hub-2"])
    cloud.step()

    assert cloud.status(new) == "ACTIVE"
    assert cloud.has(old) == ["hub-1"]
    cloud.answer("hub-2", new, "SUCCEEDED")
    assert cloud.status(new) == "COMPLETED"


def test_a_thing_that_left_before_its_turn_is_let_go_and_gets_it_again_when_it_returns(
    cloud: Cloud,
) -> None:
    cloud.groups.add("porch", ["hub-1", "hub-2"])
    identifier = cloud.begin(asked("group/porch"))
    cloud.answer("hub-1", identifier, "SUCCEEDED")
    cloud.groups.remove("porch", ["hub-1", "hub-2"])
    cloud.step()
    assert cloud.statuses(identifier)["hub-2"] == "CANCELED"
    assert cloud.status(identifier) == "COMPLETED"

    cloud.groups.add("porch", ["hub-1"])
    cloud.step()

    again = cloud.document("hub-1", f"{identifier}-2")
    assert again is not None
    assert again["deploymentId"] == f"{identifier}-2"
    cloud.answer("hub-1", f"{identifier}-2", "SUCCEEDED")
    assert cloud.status(identifier) == "COMPLETED"


def test_a_new_deployment_to_the_same_target_replaces_the_one_before(cloud: Cloud) -> None:
    cloud.groups.add("porch", ["away", "busy"])
    old = cloud.begin(asked("group/porch", "1.0.0"))
    cloud.answer("busy", old, "IN_PROGRESS")

    new = cloud.begin(asked("group/porch", "1.1.0"))

    assert cloud.status(old) == "INACTIVE"
    assert cloud.statuses(old) == {"away": "CANCELED", "busy": "IN_PROGRESS"}
    assert cloud.deployments.record(new).revision == 2
    assert cloud.deployments.record(new).created > cloud.deployments.record(old).created
    cloud.answer("busy", old, "FAILED", "too late")
    assert cloud.statuses(old)["busy"] == "FAILED"
    assert cloud.status(old) == "INACTIVE"


def test_another_target_keeps_its_own_revisions(cloud: Cloud) -> None:
    cloud.groups.add("porch", ["hub-1"])
    group = cloud.begin(asked("group/porch"))
    thing = cloud.begin(asked("thing/hub-1"))

    assert cloud.deployments.record(thing).revision == 1
    assert cloud.status(group) == "ACTIVE"
    (first, second) = cloud.deployments.last_of("hub-1", ["thing/hub-1", "group/porch"])
    assert (first["deploymentId"], second["deploymentId"]) == (thing, group)


def test_what_takes_too_long_has_timed_out_whatever_comes_later(cloud: Cloud) -> None:
    limit = {"inProgressTimeoutInMinutes": 5}
    identifier = cloud.begin(asked("thing/hub-1", timeoutConfig=limit))
    cloud.step(3600)  # being away is not being in progress
    cloud.answer("hub-1", identifier, "IN_PROGRESS")
    cloud.step(299)
    assert cloud.statuses(identifier) == {"hub-1": "IN_PROGRESS"}

    cloud.step(2)

    assert cloud.statuses(identifier) == {"hub-1": "TIMED_OUT"}
    cloud.answer("hub-1", identifier, "SUCCEEDED")
    assert cloud.statuses(identifier) == {"hub-1": "TIMED_OUT"}
    assert cloud.status(identifier) == "FAILED"


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        pytest.param({"a": "SUCCEEDED", "b": "FAILED"}, "COMPLETED", id="some-failed"),
        pytest.param({"a": "REJECTED", "b": "FAILED"}, "FAILED", id="it-failed-everywhere"),
    ],
)
def test_failures_are_named_in_the_record(
    cloud: Cloud, answers: dict[str, str], status: str
) -> None:
    cloud.groups.add("all", list(answers))
    identifier = cloud.begin(asked("group/all"))

    for thing, answer in answers.items():
        cloud.answer(thing, identifier, answer, f"{thing} is broken")

    shown = describe(cloud.deployments.record(identifier), cloud.deployments.progress(identifier))
    assert shown["deploymentStatus"] == status
    assert "is broken" in shown["reason"]
    assert shown["executions"]["b"]["detailedStatus"] == "DETAIL_FAILED"
    assert shown["executions"]["b"]["reason"] == "b is broken"


def test_records_of_a_target_are_kept_within_bounds_and_so_are_its_documents(cloud: Cloud) -> None:
    ids = [cloud.begin(asked("thing/hub-1", f"1.0.{n}")) for n in range(KEPT + 3)]

    assert cloud.deployments.index() == {"thing/hub-1": ids[3:]}
    assert [identifier for identifier in ids if cloud.has(identifier)] == ids[3:]
    with pytest.raises(InvalidInputError, match="no such deployment"):
        cloud.deployments.record(ids[0])
    assert cloud.deployments.record(ids[-1]).revision == KEPT + 3
    assert len(list(cloud.folder.rglob("*.json"))) <= 4 * KEPT + 1


def test_an_idle_cloud_side_writes_nothing(cloud: Cloud) -> None:
    cloud.groups.add("all", ["done", "away"])
    identifier = cloud.begin(asked("group/all"))
    cloud.answer("done", identifier, "SUCCEEDED")
    before = {path: path.stat().st_mtime_ns for path in cloud.folder.rglob("*")}

    for _ in range(10):
        cloud.step(60)

    assert {path: path.stat().st_mtime_ns for path in cloud.folder.rglob("*")} == before


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param(lambda r: r.update(targetArn="hub"), "targetArn", id="target"),
        pytest.param(lambda r: r["components"]["a"].pop("componentVersion"),
                     "components.a.componentVersion", id="version"),
        pytest.param(lambda r: r["components"]["a"].update(configurationUpdate={"merge": "[1]"}),
                     "must be a JSON object", id="merge"),
        pytest.param(lambda r: r["components"]["a"].update(configurationUpdate={"merge": "{"}),
                     "components.a.configurationUpdate.merge", id="merge-that-is-no-json"),
        pytest.param(lambda r: r.update(iotJobConfiguration=rate(1001)),
                     "maximumPerMinute", id="rate"),
        pytest.param(lambda r: r.update(iotJobConfiguration={"jobExecutionsRolloutConfig": {
            "exponentialRate": {"baseRatePerMinute": 1, "incrementFactor": 2}}}),
            "rateIncreaseCriteria", id="criteria-missing"),
        pytest.param(lambda r: r.update(iotJobConfiguration={"jobExecutionsRolloutConfig": {
            "exponentialRate": {"baseRatePerMinute": 1, "incrementFactor": 2,
                                "rateIncreaseCriteria": {}}}}),
            "give numberOfNotifiedThings, numberOfSucceededThings, or both", id="no-criterion"),
        pytest.param(lambda r: r.update(iotJobConfiguration={"abortConfig": {"criteriaList": [
            {"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 101,
             "minNumberOfExecutedThings": 1}]}}), "thresholdPercentage", id="percentage"),
        pytest.param(lambda r: r.update(iotJobConfiguration={
            "timeoutConfig": {"inProgressTimeoutInMinutes": 0}}),
            "inProgressTimeoutInMinutes", id="timeout"),
        pytest.param(lambda r: r.update(componentz={}), "componentz", id="unknown-field"),
        pytest.param(lambda r: r.update(deploymentPolicies={"failureHandlingPolicy": "PRAY"}),
                     "failureHandlingPolicy", id="policy"),
    ],
)  # fmt: skip
def test_a_request_that_greengrass_would_refuse_is_refused_with_the_field(
    change: Change, field: str
) -> None:
    request: dict[str, Any] = {
        "targetArn": parse_target("thing/hub-1").arn,
        "components": {"a": {"componentVersion": "1.0.0"}},
    }
    change(request)

    with pytest.raises(InvalidInputError) as refused:
        read_request(request)

    assert field in str(refused.value)


def reason_of(cloud: Cloud, identifier: str) -> str:
    return cloud.deployments.progress(identifier).reason


def test_one_deployment_that_cannot_go_on_says_why_and_the_others_go_on(cloud: Cloud) -> None:
    in_the_way = cloud.folder / "deployments/hub-1"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("no folder")

    stuck = cloud.begin(asked("thing/hub-1"))
    other = cloud.begin(asked("thing/hub-2"))

    assert cloud.has(other) == ["hub-2"]
    assert cloud.status(stuck) == "ACTIVE"
    assert reason_of(cloud, stuck).startswith("it waits: ")
    assert str(in_the_way) in reason_of(cloud, stuck)
    cloud.restart()
    in_the_way.unlink()
    cloud.step()
    assert cloud.has(stuck) == ["hub-1"]
    assert reason_of(cloud, stuck) == ""
    cloud.answer("hub-1", stuck, "SUCCEEDED")
    assert cloud.status(stuck) == "COMPLETED"


@pytest.mark.parametrize("suffix", [".json", ".state.json"])
@pytest.mark.parametrize("content", ["[", '{"status": "ACTIVE", "request": 5}', "{}"])
def test_a_damaged_record_stops_its_own_deployment_and_is_named(
    suffix: str, content: str, cloud: Cloud
) -> None:
    stuck = cloud.begin(asked("thing/hub-1"))
    path = cloud.folder / "fleet" / f"{stuck}{suffix}"
    sound = path.read_text()
    path.write_text(content)
    cloud.restart()

    other = cloud.begin(asked("thing/hub-2"))

    assert cloud.has(other) == ["hub-2"]
    with pytest.raises(InvalidInputError, match=stuck):
        describe(cloud.deployments.record(stuck), cloud.deployments.progress(stuck))
    path.write_text(sound)
    cloud.answer("hub-1", stuck, "SUCCEEDED")
    assert cloud.status(stuck) == "COMPLETED"


@pytest.mark.parametrize("content", ["[", "[]", '{"groups": []}', '{"groups": {"porch": "hub-1"}}'])
def test_damaged_groups_are_named_and_hold_up_groups_only(content: str, cloud: Cloud) -> None:
    cloud.groups.add("porch", ["hub-1", "hub-2"])
    grouped = cloud.begin(asked("group/porch", **rate(1)))
    (cloud.folder / "groups.json").write_text(content)

    alone = cloud.begin(asked("thing/hub-3"))

    with pytest.raises(InvalidInputError, match=r"groups\.json"):
        cloud.groups.all()
    assert cloud.has(alone) == ["hub-3"]
    assert "groups.json" in reason_of(cloud, grouped)
    assert set(cloud.statuses(grouped).values()) == {"QUEUED"}


@pytest.mark.parametrize("content", ["[", '{"targets": []}', '{"targets": {"thing/hub-1": 5}}'])
def test_a_damaged_list_of_targets_is_named(content: str, cloud: Cloud) -> None:
    cloud.begin(asked("thing/hub-1"))
    (cloud.folder / "fleet/targets.json").write_text(content)

    with pytest.raises(InvalidInputError, match=r"targets\.json"):
        cloud.deployments.create(asked("thing/hub-1"))
    with pytest.raises(InvalidInputError, match=r"targets\.json"):
        cloud.step()
