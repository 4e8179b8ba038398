"""Compiling with Neo: what is asked for, and what is made of the archive that comes back."""

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backends.artifacts import CompiledModel, Platform, TrainedModel
from backends.aws.account import Account, Call
from backends.aws.neo import NeoCompiler
from backends.aws.objects import S3Objects
from backends.errors import InvalidInputError, JobError
from backends.local.verifier import LocalVerifier
from backends.package_rules import check_model_folder
from backends.settings import PROJECT, AwsSettings
from edge.model_folder import read_metadata
from tasks.packaging import package_model
from tests.backends.aws.conftest import BUCKET
from tests.fakes.sagemaker_player import Fate, SageMakerPlayer
from tests.tiny_model import CLASSES, TinyModel

POLL = 0.1


@dataclass
class Site:
    """A compiler, and the Neo that it talks to."""

    player: SageMakerPlayer
    settings: AwsSettings
    home: Path
    calls: list[Call]

    def compile(
        self, model: TrainedModel, platform: Platform = "linux-x86_64", **changed: Any
    ) -> CompiledModel:
        cpu = changed.pop("cpu", "")
        on_line = changed.pop("on_line", lambda _line: None)
        takes = changed.pop("takes", "model")
        account = Account(self.settings.model_copy(update=changed), self.calls.append)
        compiler = NeoCompiler(account, S3Objects(account), self.home, cpu, POLL)
        return compiler.compile("compile-1234", model, platform, on_line, takes)

    def requested(self, model: TrainedModel, platform: Platform, **changed: Any) -> dict[str, Any]:
        """What CreateCompilationJob is asked for; the job does nothing and is stopped."""

        def leave(_line: str) -> None:
            raise KeyboardInterrupt

        self.player.next_job(Fate(hangs=True))
        with pytest.raises(KeyboardInterrupt):
            self.compile(model, platform, on_line=leave, **changed)
        *_, job = self.player.compilations.values()
        return dict(job.request)

    def replace_archive(self, files: dict[str, bytes]) -> None:
        """Put another archive where the last job has put its own, and let it vouch for it."""
        *_, job = self.player.compilations.values()
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        key = job.artifact.removeprefix(f"s3://{BUCKET}/")
        client = Account(self.settings).client("s3")
        client.put_object(Bucket=BUCKET, Key=key, Body=content.getvalue())


@pytest.fixture
def site(
    aws_settings: AwsSettings,
    sagemaker: SageMakerPlayer,
    calls: list[Call],
    tmp_path: Path,
) -> Site:
    settings = aws_settings.model_copy(update={"endpoint_urls": {"sagemaker": sagemaker.url}})
    return Site(sagemaker, settings, tmp_path / "home", calls)


@pytest.fixture
def model(tmp_path: Path) -> TrainedModel:
    """One that is not compiled in earnest."""
    (tmp_path / "model.tar.gz").write_bytes(b"no model")
    return TrainedModel(tmp_path / "model.tar.gz", CLASSES, 40, 24, (), 0, 0, {})


@pytest.mark.slow
@pytest.mark.jobs
@pytest.mark.device
def test_what_neo_compiled_ships_and_answers_like_the_trained_model(
    site: Site, tiny_model: TinyModel, device_python: Path, tmp_path: Path
) -> None:
    """The very zip, in the device's runtime, with the library that Neo put into the archive."""
    compiled = site.compile(tiny_model.trained)

    package = package_model(compiled, tmp_path, tiny_model.known)
    verifier = LocalVerifier(device_python, PROJECT, tmp_path / "jobs")
    verified = verifier.verify(
        "verify", package, "linux-x86_64", tiny_model.pictures, tiny_model.expected
    )

    assert sorted(path.name for path in compiled.folder.iterdir()) == [
        "compiled.meta",
        "compiled.params",
        "compiled.so",
        "compiled_model.json",
        "libdlr.so",
        "synset.txt",
    ]
    assert read_metadata(compiled.folder).labels == CLASSES
    assert (compiled.compiler, compiled.target) == ("neo", "LINUX_X86_64")
    assert compiled.compiler_version.startswith("of 20")
    assert verified.executed
    assert (verified.max_abs_diff or 0) < 1e-4
    assert verified.top1_agreement == 1.0


@pytest.mark.slow
@pytest.mark.jobs
def test_the_same_compilation_again_is_joined(site: Site, tiny_model: TinyModel) -> None:
    first = site.compile(tiny_model.trained, "linux-armv7l")

    again = site.compile(tiny_model.trained, "linux-armv7l")

    assert again == first
    assert len(site.player.compilations) == 1
    check_model_folder(again.folder, "linux-armv7l", "model")


@pytest.mark.slow
@pytest.mark.jobs
def test_an_archive_that_is_not_neos_is_refused(site: Site, tiny_model: TinyModel) -> None:
    """A model folder's libdlr.so is executed on the device: its digest is Neo's, or it is out."""
    site.compile(tiny_model.trained)
    site.replace_archive({"libdlr.so": b"another"})

    with pytest.raises(JobError, match=r"has SHA-256 [0-9a-f]{64}, and Neo made"):
        site.compile(tiny_model.trained)


@pytest.mark.slow
@pytest.mark.jobs
def test_a_library_for_another_cpu_and_a_missing_part_are_refused(
    site: Site, tiny_model: TinyModel
) -> None:
    compiled = site.compile(tiny_model.trained, "linux-aarch64")
    files = {path.name: path.read_bytes() for path in compiled.folder.iterdir()}
    *_, job = site.player.compilations.values()
    job.digest = ""  # it need not be told
    site.replace_archive({name: data for name, data in files.items() if "params" not in name})

    with pytest.raises(JobError, match=r"lacks compiled\.params"):
        site.compile(tiny_model.trained, "linux-aarch64")

    site.replace_archive(files | {"compiled.so": files["compiled_model.json"]})
    with pytest.raises(JobError, match="is for no ELF file, and linux-aarch64 was asked for"):
        site.compile(tiny_model.trained, "linux-aarch64")


def test_a_failed_compilation_carries_neos_reason(site: Site, model: TrainedModel) -> None:
    reason = "ClientError: InputConfiguration: TVM cannot convert the MXNet model."
    site.player.next_job(Fate(fails=reason))

    with pytest.raises(JobError, match=r"failed: ClientError: InputConfiguration: TVM cannot"):
        site.compile(model)


@pytest.mark.parametrize(
    ("platform", "arch", "options"),
    [
        ("linux-x86_64", "X86_64", {"mcpu": "core-avx2"}),
        ("linux-aarch64", "ARM64", None),
        ("linux-armv7l", "ARM_EABIHF", {"mattr": ["+neon"]}),
    ],
)
def test_each_platform_is_asked_for_in_neos_words(
    site: Site, model: TrainedModel, platform: Platform, arch: str, options: object
) -> None:
    request = site.requested(model, platform)

    output = request["OutputConfig"]
    assert output["TargetPlatform"] == {"Os": "LINUX", "Arch": arch}
    assert json.loads(output.get("CompilerOptions", "null")) == options
    name = request["CompilationJobName"]
    assert output["S3OutputLocation"] == f"s3://{BUCKET}/edgeward/compiled/{name}/"
    assert json.loads(request["InputConfig"]["DataInputConfig"]) == {"data": [1, 3, 24, 40]}
    assert request["InputConfig"]["Framework"] == "MXNET"
    assert request["Tags"] == [{"Key": "edgeward", "Value": "edgeward"}]
    *_, job = site.player.compilations.values()
    assert job.stopping.is_set()  # the wait was broken off


def test_a_cpu_and_a_key_of_ones_own_are_asked_for(site: Site, model: TrainedModel) -> None:
    request = site.requested(model, "linux-x86_64", cpu="skylake-avx512", kms_key="alias/ours")

    output = request["OutputConfig"]
    assert json.loads(output["CompilerOptions"]) == {"mcpu": "skylake-avx512"}
    assert output["KmsKeyId"] == "alias/ours"


@pytest.mark.slow
@pytest.mark.jobs
def test_a_device_that_neo_has_a_name_for_is_compiled_for(
    site: Site, tiny_model: TinyModel
) -> None:
    compiled = site.compile(tiny_model.trained, "linux-armv7l", compile_device="rasp4b")

    with pytest.raises(JobError, match="is for linux-armv7l, and linux-aarch64 was asked for"):
        site.compile(tiny_model.trained, "linux-aarch64", compile_device="rasp4b")

    assert compiled.target == "rasp4b"
    *_, job = site.player.compilations.values()
    assert job.request["OutputConfig"]["TargetDevice"] == "rasp4b"
    check_model_folder(compiled.folder, "linux-armv7l", "model")


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"training_role": ""}, "TRAINING_ROLE"), ({"takes": "public-component"}, "COMPILER=tvm")],
    ids=["role", "input"],
)
def test_what_cannot_work_is_refused_before_anything_is_uploaded(
    site: Site, model: TrainedModel, changed: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidInputError, match=named):
        site.compile(model, **changed)

    assert site.calls == []
