"""What a device runs is what its thing, its groups and its own local deployments want together."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from backends.local.nucleus.document import Document, DocumentError, read
from backends.local.nucleus.inbox import Inbox
from backends.local.nucleus.local_document import LocalDocument
from backends.local.nucleus.targets import (
    Target,
    groups_of,
    targets_from,
    to_json,
    without_left_groups,
)

THING = "hub-1"


class Folders:
    """A device's two folders of documents."""

    def __init__(self, root: Path) -> None:
        self.cloud, self.local = root / "cloud", root / "local"
        self.cloud.mkdir()
        self.local.mkdir()
        self.inbox = Inbox(THING, self.cloud, self.local, dict)

    def put(self, identifier: str, made: int, target: str = "", revision: int = 1) -> None:
        arn = f"arn:aws:greengrass:local:0:configuration:{target}:{revision}" if target else ""
        document = {"configurationArn": arn, "components": {}, "creationTimestamp": made}
        path = self.cloud / f"{identifier}.json"
        path.write_text(json.dumps({"deploymentId": identifier, **document}))

    def put_local(self, identifier: str, made: int) -> None:
        path = self.local / f"{identifier}.json"
        path.write_text(json.dumps({"deploymentId": identifier, "creationTimestamp": made}))

    def status(self, identifier: str) -> Mapping[str, str]:
        path = self.cloud / f"{identifier}.status.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def next(self, applied: Mapping[str, Target] | None = None, connected: bool = True) -> str:
        entry = self.inbox.next(connected, applied or {})
        return entry[1].deploymentId if entry else ""


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_deployments_are_taken_in_the_order_of_their_making(folders: Folders) -> None:
    folders.put("second", 20, "thing/hub-1")
    folders.put("first", 10, "thinggroup/porch")
    folders.put_local("third", 30)

    assert folders.next() == "first"
    (folders.cloud / "first.status.json").write_text('{"status": "CANCELED"}')
    assert folders.next() == "second"
    (folders.cloud / "second.status.json").write_text('{"status": "SUCCEEDED"}')
    assert folders.next() == "third"


def test_without_a_network_only_local_deployments_arrive(folders: Folders) -> None:
    folders.put("cloud", 10, "thing/hub-1")

    assert folders.next(connected=False) == ""
    folders.put_local("local", 20)
    assert folders.next(connected=False) == "local"
    assert folders.status("cloud") == {}
    assert folders.next() == "cloud"


def test_a_newer_deployment_of_the_same_target_cancels_the_one_that_waits(
    folders: Folders,
) -> None:
    folders.put("old", 10, "thinggroup/porch", 1)
    folders.put("new", 20, "thinggroup/porch", 2)
    folders.put("other", 5, "thinggroup/garden", 1)

    assert folders.next() == "other"

    assert folders.status("old")["status"] == "CANCELED"
    assert folders.status("old")["reason"] == "superseded by new"
    assert folders.status("new") == {}


@pytest.mark.parametrize(
    ("applied", "carried_out"),
    [
        (Target({}, revision=3, created=10), True),
        (Target({}, revision=4, created=10), False),
        (Target({}, revision=3, created=11), False),
        (Target({}, revision=2, created=9), True),
    ],
    ids=["the same", "newer revision", "made later", "older"],
)
def test_what_is_applied_already_in_a_newer_revision_is_not_carried_out(
    folders: Folders, applied: Target, carried_out: bool
) -> None:
    folders.put("d", 10, "thinggroup/porch", 3)

    assert folders.next({"thinggroup/porch": applied}) == ("d" if carried_out else "")

    assert folders.status("d").get("status") == (None if carried_out else "CANCELED")


def test_local_deployments_build_on_each_other_and_never_cancel_one_another(
    folders: Folders,
) -> None:
    folders.put_local("a", 10)
    folders.put_local("b", 20)

    assert folders.next() == "a"


@pytest.mark.parametrize(
    ("arn", "target", "revision"),
    [
        ("arn:aws:greengrass:r:1:configuration:thinggroup/porch:12", "thinggroup/porch", 12),
        ("arn:aws:greengrass:r:1:configuration:thing/a:b:2", "thing/a:b", 2),
        ("", "", 0),
    ],
    ids=["group", "colon in a name", "none"],
)  # fmt: skip
def test_a_document_names_its_target_in_its_arn(arn: str, target: str, revision: int) -> None:
    document = Document(deploymentId="d", configurationArn=arn, creationTimestamp=1, components={})

    assert (document.target, document.revision) == (target, revision)


def test_an_arn_that_names_no_target_is_refused_by_its_field(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    document = {"deploymentId": "d", "creationTimestamp": 1, "components": {}}
    path.write_text(json.dumps({**document, "configurationArn": "arn:aws:greengrass:porch"}))

    with pytest.raises(DocumentError, match=r"d\.json: configurationArn"):
        read(path, Document)


def test_targets_outlast_a_restart_and_older_states_are_the_things_own() -> None:
    targets = {"thinggroup/porch": Target({"app": "^1.0.0"}, 3, 17)}

    assert targets_from({"targets": json.loads(json.dumps(to_json(targets)))}, THING) == targets
    assert targets_from({"components": {"app": "1.2.0"}}, THING) == {
        "thing/hub-1": Target({"app": "1.2.0"})
    }
    assert targets_from({}, THING) == {}


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ({"groups": {"porch": [THING], "garden": ["hub-2"]}}, {"thinggroup/porch"}),
        ({"groups": {}}, set()),
        ("no JSON", {"thinggroup/porch", "thinggroup/garden"}),
        (None, {"thinggroup/porch", "thinggroup/garden"}),
    ],
    ids=["left one", "left all", "unreadable", "no file"],
)
def test_groups_that_the_device_has_left_want_nothing_of_it_any_more(
    tmp_path: Path, content: object, kept: set[str]
) -> None:
    file = tmp_path / "groups.json"
    if content is not None:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    names = ("thinggroup/porch", "thinggroup/garden", "thing/hub-1", "LOCAL_DEPLOYMENT")

    left = without_left_groups(dict.fromkeys(names, Target({})), groups_of(THING, file))

    assert set(left) == kept | {"thing/hub-1", "LOCAL_DEPLOYMENT"}


def test_a_local_deployment_starts_from_what_runs_then_removes_then_adds() -> None:
    former = Target({"app": "^1.0.0", "model": "*", "old": "1.0.0"})
    document = LocalDocument(
        deploymentId="d",
        creationTimestamp=5,
        componentsToMerge={"model": "2.0.0", "new": "1.0.0"},
        componentsToRemove=("old", "new"),
        configurationUpdate={"cloud-app": {"MERGE": {"A": 1}, "RESET": ["/B"]}},
    )

    wanted = document.wanted(former, {"app": "1.3.0", "model": "1.0.0", "old": "1.0.0"})
    converted = document.as_document(wanted.roots)

    assert wanted.roots == {"app": "1.3.0", "model": "2.0.0", "new": "1.0.0"}
    assert converted.componentUpdatePolicy.action == "SKIP_NOTIFY_COMPONENTS"
    update = converted.components["cloud-app"].configurationUpdate
    assert (update.merge, update.reset) == ({"A": 1}, ("/B",))
