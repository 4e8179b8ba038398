"""Component versions in the account: numbered, immutable, deployable when publish returns.

What would break for a user: a device trusts a version's digest, and a second run must neither
publish the same content twice nor change what is there.
"""

import base64
import hashlib
import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends.aws.account import Account, Call
from backends.aws.components import GreengrassComponents
from backends.aws.objects import S3Objects
from backends.component_versions import with_version
from backends.errors import (
    BackendBlockedError,
    BackendUnavailableError,
    InvalidInputError,
    PackageError,
)
from tasks.recipes import model_recipe
from tests.backends.aws.conftest import BUCKET
from tests.fakes.greengrass_server import GreengrassServer

NAME = "edgeward.ImageClassification.Model"
FILE = "edgeward-model-linux-x86_64.zip"
PLACE = f"s3://{BUCKET}/edgeward/components/{NAME}/1.0.0/{FILE}"


@pytest.fixture
def store(fleet_account: Account, tmp_path: Path) -> GreengrassComponents:
    return new_store(fleet_account, tmp_path / "recipes")


def new_store(account: Account, recipes: Path, seconds: float = 30) -> GreengrassComponents:
    return GreengrassComponents(account, S3Objects(account), recipes, seconds)


def artifact(folder: Path, content: bytes = b"model") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / FILE, "w") as archive:
        archive.writestr(zipfile.ZipInfo("compiled.so"), content)
    return folder / FILE


def recipe() -> dict[str, Any]:
    return model_recipe(["linux-x86_64"])


def made(calls: list[Call]) -> int:
    return sum(call.operation == "CreateComponentVersion" for call in calls)


def test_a_published_version_is_deployable_tagged_and_names_its_artifact(
    store: GreengrassComponents, greengrass: GreengrassServer, tmp_path: Path
) -> None:
    published = store.publish(recipe(), [artifact(tmp_path)])

    kept = greengrass.cloud.components[NAME, "1.0.0"]
    (listed,) = kept.recipe["Manifests"][0]["Artifacts"]
    assert kept.state == "DEPLOYABLE"
    assert kept.tags == {"edgeward": "edgeward", "edgeward:content": published.sha256}
    assert listed["Uri"] == PLACE
    digest = hashlib.sha256((tmp_path / FILE).read_bytes()).digest()
    assert base64.b64decode(listed["Digest"]) == digest
    assert yaml.safe_load(published.recipe.read_text()) == kept.recipe


def test_a_reader_of_the_calls_sees_what_was_published(
    store: GreengrassComponents, calls: list[Call], tmp_path: Path
) -> None:
    store.publish(recipe(), [artifact(tmp_path)])

    told = {(call.operation, call.target) for call in calls}
    assert ("CreateComponentVersion", f"{NAME} 1.0.0") in told
    assert ("PutObject", PLACE) in told


def test_the_same_content_again_gives_the_same_version_and_uploads_nothing(
    store: GreengrassComponents, fleet_account: Account, calls: list[Call], tmp_path: Path
) -> None:
    first = store.publish(recipe(), [artifact(tmp_path)])
    store.publish(recipe(), [artifact(tmp_path, b"another model")])
    calls.clear()

    elsewhere = new_store(fleet_account, tmp_path / "recipes")
    again = elsewhere.publish(recipe(), [artifact(tmp_path / "elsewhere")])

    assert again == first
    assert store.versions(NAME) == ("1.0.0", "1.0.1")
    assert {call.operation for call in calls}.isdisjoint({"CreateComponentVersion", "PutObject"})


def test_changed_content_gets_the_next_version_and_leaves_the_old_one_as_it_was(
    store: GreengrassComponents, greengrass: GreengrassServer, tmp_path: Path
) -> None:
    first = store.publish(recipe(), [artifact(tmp_path)])
    before = dict(greengrass.cloud.components[NAME, "1.0.0"].recipe)

    second = store.publish(recipe(), [artifact(tmp_path / "b", b"other")])

    assert (second.version, store.find(NAME, "1.0.1")) == ("1.0.1", second)
    assert greengrass.cloud.components[NAME, "1.0.0"].recipe == before
    (fetched,) = store.fetch(NAME, "1.0.0", tmp_path / "old")
    assert fetched.read_bytes() == (tmp_path / FILE).read_bytes()
    assert first.sha256 != second.sha256


def test_a_component_may_begin_above_the_versions_that_others_published(
    store: GreengrassComponents, tmp_path: Path
) -> None:
    first = store.publish(recipe(), [artifact(tmp_path)], first="2.1.100")
    second = store.publish(recipe(), [artifact(tmp_path, b"newer")], first="2.1.100")

    assert (first.version, second.version) == ("2.1.100", "2.1.101")


def test_a_new_version_that_is_not_found_at_first_is_waited_for(
    store: GreengrassComponents, greengrass: GreengrassServer, calls: list[Call], tmp_path: Path
) -> None:
    """AWS may not find for a moment what it has just made."""
    greengrass.cloud.unseen = 3

    published = store.publish(recipe(), [artifact(tmp_path)])

    assert published.version == "1.0.0"
    assert [c.status for c in calls if c.operation == "DescribeComponent"].count(404) == 3


def test_a_version_that_greengrass_calls_failed_is_told_with_its_errors_and_not_used_again(
    store: GreengrassComponents, greengrass: GreengrassServer, tmp_path: Path
) -> None:
    greengrass.cloud.component_errors[NAME] = {PLACE: "Access denied to the artifact"}
    with pytest.raises(PackageError, match=r"calls it FAILED.*Access denied to the artifact"):
        store.publish(recipe(), [artifact(tmp_path)])
    assert store.find(NAME, "1.0.0") is None

    greengrass.cloud.component_errors.clear()
    again = store.publish(recipe(), [artifact(tmp_path)])

    assert again.version == "1.0.1"


def test_a_version_that_is_never_deployable_is_not_waited_for_forever(
    fleet_account: Account, greengrass: GreengrassServer, calls: list[Call], tmp_path: Path
) -> None:
    greengrass.cloud.ready_after = 3600
    with pytest.raises(BackendUnavailableError, match=r"REQUESTED after 1 s.*Publish it again"):
        new_store(fleet_account, tmp_path, 1).publish(recipe(), [artifact(tmp_path)])
    greengrass.cloud.components[NAME, "1.0.0"].ready_at = 0

    published = new_store(fleet_account, tmp_path).publish(recipe(), [artifact(tmp_path)])

    assert (published.version, made(calls)) == ("1.0.0", 1)


def test_a_publication_that_was_cut_off_is_taken_up(
    store: GreengrassComponents, greengrass: GreengrassServer, tmp_path: Path
) -> None:
    """The artifact is there, the version is not."""
    greengrass.refuse("CreateComponentVersion", "AccessDeniedException")
    with pytest.raises(BackendBlockedError, match="Allow greengrass:CreateComponentVersion"):
        store.publish(recipe(), [artifact(tmp_path)])

    assert store.publish(recipe(), [artifact(tmp_path)]).version == "1.0.0"


def test_what_a_cut_off_publication_left_is_never_another_content_s_artifact(
    store: GreengrassComponents, greengrass: GreengrassServer, tmp_path: Path
) -> None:
    greengrass.refuse("CreateComponentVersion", "AccessDeniedException")
    with pytest.raises(BackendBlockedError):
        store.publish(recipe(), [artifact(tmp_path)])

    other = store.publish(recipe(), [artifact(tmp_path / "b", b"other")])

    assert other.version == "1.0.1"
    (fetched,) = store.fetch(NAME, "1.0.1", tmp_path / "c")
    assert fetched.read_bytes() == (tmp_path / "b" / FILE).read_bytes()


def test_runs_that_publish_at_once_get_versions_of_their_own(
    fleet_account: Account, greengrass: GreengrassServer, tmp_path: Path
) -> None:
    """A version is what a device trusts: two models must never share one."""
    versions: dict[int, str] = {}

    def publish(number: int) -> None:
        file = artifact(tmp_path / str(number), f"model {number % 3}".encode())
        versions[number] = new_store(fleet_account, tmp_path).publish(recipe(), [file]).version

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(versions.values())) == 3
    for number, version in versions.items():
        content = (tmp_path / str(number) / FILE).read_bytes()
        kept = greengrass.cloud.components[NAME, version].recipe["Manifests"][0]["Artifacts"][0]
        stored = fleet_account.client("s3").get_object(
            Bucket=BUCKET, Key=kept["Uri"].removeprefix(f"s3://{BUCKET}/")
        )
        assert stored["Body"].read() == content
        assert base64.b64decode(kept["Digest"]) == hashlib.sha256(content).digest()


def test_an_artifact_that_somebody_else_overwrote_meanwhile_is_not_shipped(
    store: GreengrassComponents,
    fleet_account: Account,
    greengrass: GreengrassServer,
    tmp_path: Path,
) -> None:
    def overwrite(operation: str) -> None:
        if operation == "CreateComponentVersion":
            key = PLACE.removeprefix(f"s3://{BUCKET}/")
            fleet_account.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"theirs")

    greengrass.on_request = overwrite

    with pytest.raises(PackageError, match="other bytes than were uploaded"):
        store.publish(recipe(), [artifact(tmp_path)])


def test_a_version_that_others_made_without_us_is_left_alone(
    store: GreengrassComponents,
    fleet_account: Account,
    greengrass: GreengrassServer,
    tmp_path: Path,
) -> None:
    """Somebody publishes with AWS's own tools, at the very same time."""
    theirs = with_version(
        recipe() | {"Manifests": [{"Platform": {"os": "*"}}]}, "1.0.0", lambda uri: uri
    )
    fleet_account.client("greengrassv2").create_component_version(
        inlineRecipe=json.dumps(theirs).encode()
    )
    greengrass.cloud.components[NAME, "1.0.0"].unseen = 1  # not listed yet

    published = store.publish(recipe(), [artifact(tmp_path)])

    assert published.version == "1.0.1"


def test_throttling_is_waited_out(
    store: GreengrassComponents, greengrass: GreengrassServer, tmp_path: Path
) -> None:
    greengrass.refuse("CreateComponentVersion", "ThrottlingException", times=2)

    assert store.publish(recipe(), [artifact(tmp_path)]).version == "1.0.0"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param("AccessDeniedException", "Allow greengrass:ListComponentVersions", id="deny"),
        pytest.param("ExpiredTokenException", "login has expired", id="expired"),
    ],
)
def test_what_only_a_person_can_mend_is_not_repeated(
    store: GreengrassComponents, greengrass: GreengrassServer, tmp_path: Path, code: str, said: str
) -> None:
    greengrass.refuse("*", code)

    with pytest.raises(BackendBlockedError, match=said):
        store.publish(recipe(), [artifact(tmp_path)])

    assert greengrass.cloud.components == {}


def test_an_unknown_version_is_not_found(store: GreengrassComponents, tmp_path: Path) -> None:
    assert store.find(NAME, "1.0.0") is None
    with pytest.raises(InvalidInputError, match="no such version"):
        store.fetch(NAME, "1.0.0", tmp_path)


def test_a_recipe_that_a_nucleus_would_refuse_is_not_published(
    store: GreengrassComponents, calls: list[Call], tmp_path: Path
) -> None:
    with pytest.raises(PackageError, match="Manifests"):
        store.publish(recipe() | {"Manifests": []}, [])
    with pytest.raises(PackageError, match=FILE):
        store.publish(recipe(), [])

    assert {call.service for call in calls} <= {"sts"}
