"""Compiles with SageMaker Neo, and makes of its archive the folder that the device expects."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backends.artifacts import CompiledModel, ModelInput, Platform, TrainedModel
from backends.aws import remote_jobs
from backends.aws.account import Account
from backends.aws.faults import told
from backends.aws.neo_archive import Compilation, as_model_folder
from backends.aws.objects import S3Objects, sha256_of
from backends.aws.remote_jobs import Outcome, State
from backends.aws.sagemaker_sdk import AccountSession, given, sdk
from backends.compiled_folder import digest_of, size_of
from backends.errors import InvalidInputError, JobError, PackageError
from backends.ports import OnLine
from backends.tar_archives import unpack_tar

LIMIT_SECONDS = 900
POLL_SECONDS = 5.0
FRAMEWORK = "MXNET"
_OUTCOMES: dict[str, Outcome] = {
    "COMPLETED": "completed",
    "FAILED": "failed",
    "STOPPED": "stopped",
    "STOPPING": "stopping",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What Neo compiles for: a platform, or one of the devices that it has names for.

    Source: SageMaker API Reference, OutputConfig. A device brings options of its own.
    """

    arch: str
    options: Mapping[str, object]
    device: str = ""

    @property
    def name(self) -> str:
        """As Neo writes it into the name of its archive."""
        return self.device or f"LINUX_{self.arch}"


# Any such device of the last ten years; the compile job of this project takes the same baselines.
TARGETS: dict[Platform, Target] = {
    "linux-x86_64": Target("X86_64", {"mcpu": "core-avx2"}),
    "linux-aarch64": Target("ARM64", {}),
    "linux-armv7l": Target("ARM_EABIHF", {"mattr": ["+neon"]}),
}


def target_of(platform: Platform, device: str, cpu: str = "") -> Target:
    """For `device`, if one is named; `cpu` is LLVM's name of one, for x86_64 only."""
    target = TARGETS[platform]
    if device:
        return Target(target.arch, {}, device)
    if cpu and platform == "linux-x86_64":
        return Target(target.arch, {**target.options, "mcpu": cpu})
    return target


class NeoCompiler:
    """One compilation job per model and platform; folders come to `<root>/jobs/<job>/model`.

    `poll` is how many seconds lie between two looks at the job.
    """

    def __init__(
        self,
        account: Account,
        objects: S3Objects,
        root: Path,
        cpu: str = "",
        poll: float = POLL_SECONDS,
    ) -> None:
        self._account = account
        self._objects = objects
        self._root = root
        self._cpu = cpu
        self._poll = poll
        self._session = AccountSession(account)

    def compile(
        self,
        job: str,
        model: TrainedModel,
        platform: Platform,
        on_line: OnLine,
        takes: ModelInput = "model",
    ) -> CompiledModel:
        """Compile `model`, which is uploaded where it is not there yet.

        Broken off, the job is stopped; see backends/aws/remote_jobs.py. Raises JobError.
        """
        if takes != "model":
            raise InvalidInputError(
                f"input {takes}",
                "Neo compiles a model as it was trained, and puts nothing before it",
                "Compile it here: EDGEWARD_BACKEND__COMPILER=tvm.",
            )
        if not self._account.settings.training_role:
            raise InvalidInputError(
                "EDGEWARD_AWS__TRAINING_ROLE",
                "Neo needs a role that it may take",
                "Give the ARN of one; docs/how-to/aws.md has its policy.",
            )
        digest = sha256_of(model.archive)
        target = target_of(platform, self._account.settings.compile_device, self._cpu)
        shape = {"data": [1, 3, model.height, model.width]}
        source = self._objects.put(model.archive, f"training/models/{digest}/model.tar.gz")
        work = _Compilation(self._account, self._objects, self._session, source, shape, target)
        content = {"model": digest, "shape": shape, "target": target.name, **target.options}
        base = remote_jobs.work_name(job, content)
        name = remote_jobs.run(work, job, base, LIMIT_SECONDS, self._poll, on_line)
        done = work.describe(name)
        folder = self._fetch(job, model, platform, target, done)
        ended, began = given(done.compilation_end_time), given(done.compilation_start_time)
        return CompiledModel(
            folder=folder,
            platform=platform,
            compiler="neo",
            compiler_version=_as_of(ended),
            target=target.name,
            flags=_flags(target),
            seconds=(ended - began).total_seconds() if ended and began else 0.0,
            bytes=size_of(folder),
            sha256=digest_of(folder),
        )

    def _fetch(
        self, job: str, model: TrainedModel, platform: Platform, target: Target, done: Any
    ) -> Path:
        """Get the archive, compare its digest, and put the folder in place whole."""
        uri = str(done.model_artifacts.s3_model_artifacts)
        folder = self._root / "jobs" / job / "model"
        folder.parent.mkdir(parents=True, exist_ok=True)
        compilation = Compilation(
            platform=platform,
            target=target.name,
            version=_as_of(given(done.compilation_end_time)),
            flags=_flags(target),
        )
        with tempfile.TemporaryDirectory(prefix=".neo-", dir=folder.parent) as scratch:
            archive = self._objects.get(uri, Path(scratch) / "compiled.tar.gz")
            _check_digest(job, archive, uri, done)
            try:
                unpacked = unpack_tar(archive, Path(scratch) / "model")
                as_model_folder(unpacked, model, compilation)
            except PackageError as error:
                raise JobError(job, f"{uri}: {error.reason}") from error
            shutil.rmtree(folder, ignore_errors=True)
            unpacked.replace(folder)
        return folder


class _Compilation:
    """A compilation job under any name; remote_jobs.RemoteJob says what that is."""

    def __init__(
        self,
        account: Account,
        objects: S3Objects,
        session: AccountSession,
        source: str,
        shape: Mapping[str, object],
        target: Target,
    ) -> None:
        self._account = account
        self._objects = objects
        self._session = session
        self._source = source
        self._shape = shape
        self._target = target

    def describe(self, name: str) -> Any:
        resources, _ = sdk()
        with told("sagemaker", "DescribeCompilationJob", name):
            return remote_jobs.find(
                lambda: resources.CompilationJob.get(
                    name, session=self._session, region=self._account.region
                )
            )

    def state(self, name: str) -> State | None:
        """A completed job whose archive is gone counts as failed: it must be compiled again."""
        job = self.describe(name)
        if job is None:
            return None
        status = str(job.compilation_job_status)
        outcome = _OUTCOMES.get(status, "running")
        if outcome == "completed" and not self._objects.exists(
            str(job.model_artifacts.s3_model_artifacts)
        ):
            return State("failed", (status,), "its archive is no longer in S3")
        return State(outcome, (status,), str(given(job.failure_reason) or ""))

    def start(self, name: str, resumes: str) -> None:
        del resumes  # a compilation has no checkpoints
        resources, shapes = sdk()
        settings, account = self._account.settings, self._account
        key = {"kms_key_id": settings.kms_key} if settings.kms_key else {}
        with told("sagemaker", "CreateCompilationJob", name):
            remote_jobs.begin(
                lambda: resources.CompilationJob.create(
                    compilation_job_name=name,
                    role_arn=settings.training_role,
                    input_config=shapes.InputConfig(
                        s3_uri=self._source,
                        data_input_config=json.dumps(self._shape),
                        framework=FRAMEWORK,
                    ),
                    output_config=shapes.OutputConfig(
                        s3_output_location=f"{self._objects.uri(f'compiled/{name}')}/",
                        **self._compiles_for(shapes),
                        **key,
                    ),
                    stopping_condition=shapes.StoppingCondition(
                        max_runtime_in_seconds=LIMIT_SECONDS
                    ),
                    tags=[{"key": key, "value": text} for key, text in account.tags.items()],
                    session=self._session,
                    region=account.region,
                )
            )

    def _compiles_for(self, shapes: Any) -> dict[str, Any]:
        target = self._target
        if target.device:
            return {"target_device": target.device}
        platform = {"target_platform": shapes.TargetPlatform(os="LINUX", arch=target.arch)}
        if not target.options:
            return platform
        return platform | {"compiler_options": json.dumps(dict(target.options))}

    def stop(self, name: str) -> None:
        with told("sagemaker", "StopCompilationJob", name):
            self._account.client("sagemaker").stop_compilation_job(CompilationJobName=name)

    def read_log(self, name: str, on_line: OnLine) -> int:
        """Neo's log says nothing that a person needs: its failures carry their reason."""
        del name, on_line
        return 0


def _check_digest(job: str, archive: Path, uri: str, done: Any) -> None:
    digests = given(done.model_digests)
    expected = str(given(digests.artifact_digest) or "") if digests else ""
    kind, _, digest = expected.rpartition(":")
    if kind.lower() not in ("", "sha256") or not digest:
        return
    if digest.lower() != (found := sha256_of(archive)):
        raise JobError(job, f"{uri} has SHA-256 {found}, and Neo made {digest}")


def _flags(target: Target) -> dict[str, str]:
    options = {name: json.dumps(value).strip('"') for name, value in target.options.items()}
    return {"framework": FRAMEWORK, **options}


def _as_of(ended: datetime | None) -> str:
    """Neo tells no version of itself: the day stands for it."""
    return f"of {(ended or datetime.now(UTC)).date().isoformat()}"
