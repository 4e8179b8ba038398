"""What every set of adapters promises to the tasks: one suite, over this machine's and AWS's."""

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from backends.artifacts import ComponentVersion, PackedData
from backends.aws.account import Account
from backends.aws.components import GreengrassComponents
from backends.aws.fleet import GreengrassFleet
from backends.aws.neo import NeoCompiler
from backends.aws.objects import S3Objects
from backends.aws.trainer import SageMakerTrainer
from backends.errors import DeploymentError, InvalidInputError, JobError, PackageError
from backends.local.compiler import LocalCompiler
from backends.local.components import LocalComponents
from backends.local.fleet import LocalFleet
from backends.local.jobs import LocalJobs
from backends.local.objects import LocalObjects
from backends.local.trainer import LocalTrainer
from backends.ports import Compiler, ComponentArchive, ComponentStore, DeployedFleet, Fleet, Trainer
from backends.settings import Settings
from tests.fakes.greengrass_player import CoreDevicePlayer
from tests.fakes.greengrass_server import GreengrassServer
from tests.fakes.iot_broker import IotBroker
from tests.fakes.sagemaker_player import SageMakerPlayer
from tests.fakes.tiny_pictures import CLASSES, pack

pytestmark = [pytest.mark.slow, pytest.mark.jobs]

THING = "hub-1"
NAME = "edgeward.Promise"
FILE = "promise.zip"
HYPERPARAMETERS = {
    "num_classes": "3",
    "num_training_samples": "60",
    "num_layers": "20",
    "image_shape": "3,8,8",
    "epochs": "2",
    "mini_batch_size": "20",
}
EACH = pytest.mark.parametrize("kind", ["local", "aws"])


class Store(ComponentStore, ComponentArchive, Protocol):
    """Both sides of a component store."""


class AnyFleet(Fleet, DeployedFleet, Protocol):
    """Both sides of a fleet."""


@dataclass(frozen=True)
class Site:
    """A store and a fleet that has one thing, `hub-1`."""

    store: Store
    fleet: AnyFleet
    folder: Path

    def publish(self, content: str = "first", script: str = "exec sleep 1000") -> ComponentVersion:
        return self.store.publish(recipe(script), [artifact(self.folder, content)])

    def deploy(self, *versions: ComponentVersion, **merge: object) -> str:
        wanted = {each.name: each.version for each in versions}
        return self.fleet.deploy(THING, wanted, {NAME: merge} if merge else {}).status


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if kind == "local":
        return LocalComponents(
            tmp_path / "home/components", LocalObjects(tmp_path / "home/objects")
        )
    account: Account = request.getfixturevalue("fleet_account")
    return GreengrassComponents(account, S3Objects(account), tmp_path / "recipes")


@pytest.fixture
def site(kind: str, store: Store, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if kind == "local":
        fleet = LocalFleet(Settings(home=tmp_path / "home"), deploy_seconds=90, settle_seconds=1)
        yield Site(store, fleet, tmp_path)
        fleet.stop_everything()
        return
    greengrass: GreengrassServer = request.getfixturevalue("greengrass")
    account: Account = request.getfixturevalue("fleet_account")
    with IotBroker(tmp_path / "certificates") as broker:
        certificate, key = map(str, broker.authority.client)
        heard = {
            "iot_endpoint": f"localhost:{broker.tls_port}",
            "certificate": certificate,
            "private_key": key,
            "ca_file": str(broker.authority.certificate),
        }
        hearing = Account(account.settings.model_copy(update=heard))
        assert isinstance(store, GreengrassComponents)
        remote = GreengrassFleet(hearing, store, deploy_seconds=90)
        with CoreDevicePlayer(greengrass, account, tmp_path / "hub", THING, broker.plain_port):
            yield Site(store, remote, tmp_path)
            remote.stop_started()


@pytest.fixture(scope="session")
def packed(jobs_python: Path, tmp_path_factory: pytest.TempPathFactory) -> PackedData:
    return pack(jobs_python, tmp_path_factory.mktemp("packed"))


@dataclass(frozen=True)
class Works:
    """A trainer, a compiler, and how many jobs there have been."""

    trainer: Trainer
    compiler: Compiler
    jobs: Callable[[], int]


@pytest.fixture
def works(kind: str, request: pytest.FixtureRequest, jobs_python: Path, tmp_path: Path) -> Works:
    home = tmp_path / "home"
    if kind == "local":
        jobs = LocalJobs(home, jobs_python, 300, threads=1)
        done = lambda: len(list(home.glob("jobs/*/log.txt")))  # noqa: E731
        return Works(LocalTrainer(jobs), LocalCompiler(jobs, ""), done)
    player: SageMakerPlayer = request.getfixturevalue("sagemaker")
    account: Account = request.getfixturevalue("account")
    endpoints = {"endpoint_urls": {"sagemaker": player.url}}
    account = Account(account.settings.model_copy(update=endpoints))
    objects = S3Objects(account)
    return Works(
        SageMakerTrainer(account, objects, home, 0.2),
        NeoCompiler(account, objects, home, poll=0.2),
        lambda: len(player.trainings) + len(player.compilations),
    )


def recipe(script: str = "exec sleep 1000") -> dict[str, Any]:
    return {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": NAME,
        "ComponentPublisher": "Edgeward",
        "ComponentConfiguration": {"DefaultConfiguration": {"Word": "default"}},
        "Manifests": [
            {
                "Platform": {"os": "linux", "runtime": "*"},
                "Lifecycle": {"Run": {"Script": script}},
                "Artifacts": [{"Uri": f"s3://BUCKET/{FILE}", "Unarchive": "ZIP"}],
            }
        ],
    }


def artifact(folder: Path, content: str) -> Path:
    with zipfile.ZipFile(folder / FILE, "w") as archive:
        archive.writestr(zipfile.ZipInfo("content.txt"), content)
    return folder / FILE


def now() -> str:
    return datetime.now(UTC).isoformat()


def quiet(_line: str) -> None:
    """Nobody listens."""


@EACH
def test_the_same_content_is_the_same_version_and_another_the_next(
    store: Store, tmp_path: Path
) -> None:
    first = store.publish(recipe(), [artifact(tmp_path, "one")])
    again = store.publish(recipe(), [artifact(tmp_path, "one")])
    other = store.publish(recipe(), [artifact(tmp_path, "two")])

    assert (first.version, again, other.version) == ("1.0.0", first, "1.0.1")
    assert store.find(NAME, "1.0.0") == first
    assert store.find(NAME, "2.0.0") is None


@EACH
def test_the_first_version_may_be_chosen(store: Store, tmp_path: Path) -> None:
    published = store.publish(recipe(), [artifact(tmp_path, "one")], first="2.1.100")

    assert published.version == "2.1.100"


@EACH
def test_a_version_gives_its_artifacts_back(store: Store, tmp_path: Path) -> None:
    published = store.publish(recipe(), [artifact(tmp_path, "one")])
    store.publish(recipe(), [artifact(tmp_path, "two")])

    (fetched,) = store.fetch(NAME, published.version, tmp_path / "fetched")

    assert zipfile.ZipFile(fetched).read("content.txt") == b"one"
    with pytest.raises(InvalidInputError, match=r"7\.0\.0"):
        store.fetch(NAME, "7.0.0", tmp_path)


@EACH
def test_what_no_nucleus_would_take_is_not_published(store: Store, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="Manifests"):
        store.publish({**recipe(), "Manifests": []}, [])
    with pytest.raises(PackageError, match=FILE):
        store.publish(recipe(), [])

    assert store.publish(recipe(), [artifact(tmp_path, "one")]).version == "1.0.0"


@EACH
def test_a_deployment_is_told_as_it_ended_and_known_afterwards(site: Site) -> None:
    version = site.publish()

    assert site.deploy(version, Word="merged") == "SUCCEEDED"

    versions, merges = site.fleet.deployed(THING)
    assert versions == {NAME: version.version}
    assert merges[NAME] == {"Word": "merged"}
    assert site.fleet.platform_of(THING) == "linux-x86_64"


@EACH
def test_a_failed_deployment_says_why_and_the_former_goes_on(site: Site) -> None:
    good = site.publish()
    site.deploy(good)

    with pytest.raises(DeploymentError, match=NAME) as failed:
        site.deploy(site.publish("second", "exit 3"))

    assert "ROLLBACK_COMPLETE" in failed.value.status + failed.value.reason
    assert site.fleet.deployed(THING)[0] == {NAME: good.version}


@EACH
def test_one_can_go_back_to_what_was_deployed_before_a_moment(site: Site) -> None:
    first = site.publish()
    site.deploy(first, Word="first")
    moment = now()
    site.deploy(site.publish("second"), Word="second")

    site.fleet.roll_back(THING, moment)

    versions, merges = site.fleet.deployed(THING)
    assert versions == {NAME: first.version}
    assert merges[NAME] == {"Word": "first"}


@EACH
def test_a_name_that_is_none_is_refused(site: Site) -> None:
    for call in (
        lambda: site.fleet.deploy("two words", {}, {}),
        lambda: site.fleet.deployed("two words"),
        lambda: site.fleet.platform_of("two words"),
        lambda: site.fleet.results("two words", now(), 1, 0),
    ):
        with pytest.raises(InvalidInputError, match="two words"):
            call()


@EACH
def test_a_training_is_told_as_it_goes_and_the_same_again_is_joined(
    works: Works, packed: PackedData
) -> None:
    lines: list[str] = []
    trained = works.trainer.train("train-1", packed, HYPERPARAMETERS, None, lines.append)
    jobs = works.jobs()

    again = works.trainer.train("train-1", packed, HYPERPARAMETERS, None, quiet)

    assert trained.classes == CLASSES
    assert [epoch.epoch for epoch in trained.epochs] == [1, 2]
    assert any("Validation-accuracy" in line for line in lines)
    assert again.archive.read_bytes() == trained.archive.read_bytes()
    assert works.jobs() == jobs


@EACH
def test_a_hyperparameter_that_cannot_be_is_named_before_anything_begins(
    works: Works, packed: PackedData
) -> None:
    with pytest.raises(InvalidInputError, match="hyperparameter num_layers"):
        works.trainer.train("train-1", packed, {**HYPERPARAMETERS, "num_layers": "7"}, None, quiet)

    assert works.jobs() == 0


@EACH
def test_a_compiled_model_says_what_it_takes_and_what_it_answers(
    works: Works, packed: PackedData
) -> None:
    trained = works.trainer.train("train-1", packed, HYPERPARAMETERS, None, quiet)

    compiled = works.compiler.compile("compile-1", trained, "linux-x86_64", quiet)
    jobs = works.jobs()
    again = works.compiler.compile("compile-1", trained, "linux-x86_64", quiet)

    about = json.loads((compiled.folder / "compiled.meta").read_text())["Edgeward"]
    assert tuple(about["labels"]) == CLASSES
    assert {path.suffix for path in compiled.folder.glob("compiled*")} >= {".so", ".params"}
    assert (again.sha256, works.jobs()) == (compiled.sha256, jobs)


@EACH
def test_what_is_no_model_gives_a_job_error(
    works: Works, packed: PackedData, tmp_path: Path
) -> None:
    trained = works.trainer.train("train-1", packed, HYPERPARAMETERS, None, quiet)
    broken = tmp_path / "model.tar.gz"
    broken.write_bytes(b"no archive")

    with pytest.raises(JobError):
        works.compiler.compile("compile-2", replace(trained, archive=broken), "linux-x86_64", quiet)
