"""Trains on SageMaker: with the built-in image classification, or with an image of one's own."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backends import training_job
from backends.artifacts import PackedData, TrainedModel
from backends.aws import remote_jobs
from backends.aws.account import Account
from backends.aws.faults import told
from backends.aws.objects import S3Objects, sha256_of
from backends.aws.remote_jobs import Outcome, State
from backends.aws.sagemaker_sdk import AccountSession, given, sdk
from backends.aws.training_log import TrainingLog
from backends.aws.training_request import Inputs, training_image, training_request
from backends.errors import InvalidInputError, JobError, PackageError
from backends.ports import OnLine
from backends.tar_archives import unpack_tar

POLL_SECONDS = 10.0
_OUTCOMES: dict[str, Outcome] = {
    "Completed": "completed",
    "Failed": "failed",
    "Stopped": "stopped",
    "Stopping": "stopping",
}
_LIMITS = {
    "MaxRuntimeExceeded": "it took longer than EDGEWARD_AWS__MAX_RUN_SECONDS",
    "MaxWaitTimeExceeded": "no spot capacity came within EDGEWARD_AWS__MAX_WAIT_SECONDS; "
    "wait longer, or set EDGEWARD_AWS__SPOT=false",
}


class SageMakerTrainer:
    """One training job per piece of work; models come to `<root>/jobs/<job>/output`.

    `poll` is how many seconds lie between two looks at the job.
    """

    def __init__(
        self, account: Account, objects: S3Objects, root: Path, poll: float = POLL_SECONDS
    ) -> None:
        self._account = account
        self._objects = objects
        self._root = root
        self._poll = poll
        self._session = AccountSession(account)

    def train(
        self,
        job: str,
        data: PackedData,
        hyperparameters: Mapping[str, str],
        earlier: Path | None,
        on_line: OnLine,
    ) -> TrainedModel:
        """Train on what is packed, which is uploaded where it is not there yet.

        Broken off, the job is stopped; see backends/aws/remote_jobs.py.
        """
        checked = training_job.checked(hyperparameters)
        settings = self._account.settings
        _check_role(settings.training_role)
        _check_vpc(settings.subnets, settings.security_groups)
        own_image = bool(settings.training_image)
        _refuse_what_cannot_be_done(checked, earlier, own_image=own_image)
        values = checked.strings()
        image = training_image(self._account)
        files = _channel_files(data, earlier)
        inputs = Inputs(
            image,
            values if own_image else _for_the_built_in(values, earlier),
            self._upload(data.root.name, files, on_line),
            {channel: sha256_of(file) for channel, file in files.items()},
        )
        work = _Training(self._account, self._objects, self._session, inputs)
        base = remote_jobs.work_name(job, inputs.content)
        limit = settings.max_wait_seconds if settings.spot else settings.max_run_seconds
        curve = training_job.LearningCurve(validates=bool(data.validation))

        def follow(line: str) -> None:
            curve.feed(line)
            on_line(line)

        name = remote_jobs.run(work, job, base, limit, self._poll, follow)
        done = work.describe(name)
        archive = self._fetch(job, str(done.model_artifacts.s3_model_artifacts))
        seconds = float(given(done.training_time_in_seconds) or 0)
        billable = given(done.billable_time_in_seconds)
        return TrainedModel(
            archive=archive,
            classes=data.classes,
            width=checked.width,
            height=checked.height,
            epochs=curve.epochs,
            seconds=seconds,
            images_per_second=training_job.images_per_second(data.train, curve.epochs),
            hyperparameters=values,
            billable_seconds=float(billable) if billable is not None else seconds,
        )

    def _upload(self, packed: str, files: Mapping[str, Path], on_line: OnLine) -> dict[str, str]:
        """Put the channels into S3: a folder per channel, with nothing else in it."""
        channels = {}
        for channel, file in files.items():
            key, name = f"packed/{packed}/{channel}", file.name
            if channel == training_job.MODEL:
                key, name = f"training/models/{sha256_of(file)}", "model.tar.gz"
            on_line(f"Uploading channel {channel}, unless it is there: {self._objects.uri(key)}")
            self._objects.put(file, f"{key}/{name}")
            channels[channel] = f"{self._objects.uri(key)}/"
        return channels

    def _fetch(self, job: str, uri: str) -> Path:
        """Get model.tar.gz, and see that it is one. Raises JobError."""
        archive = self._objects.get(uri, self._root / "jobs" / job / "output" / "model.tar.gz")
        with tempfile.TemporaryDirectory(prefix="edgeward-model-") as scratch:
            try:
                folder = unpack_tar(archive, Path(scratch) / "model")
            except PackageError as error:
                raise JobError(job, f"{uri} {error.reason}") from error
            if not (any(folder.glob("*-symbol.json")) and any(folder.glob("*.params"))):
                raise JobError(job, f"{uri} holds no model (a symbol and its parameters)")
        return archive


class _Training:
    """A training job under any name; remote_jobs.RemoteJob says what that is."""

    def __init__(
        self,
        account: Account,
        objects: S3Objects,
        session: AccountSession,
        inputs: Inputs,
    ) -> None:
        self._account = account
        self._objects = objects
        self._session = session
        self._inputs = inputs
        self._log = TrainingLog(account)

    def describe(self, name: str) -> Any:
        resources, _ = sdk()
        with told("sagemaker", "DescribeTrainingJob", name):
            return remote_jobs.find(
                lambda: resources.TrainingJob.get(
                    name, session=self._session, region=self._account.region
                )
            )

    def state(self, name: str) -> State | None:
        """A completed job whose model is gone counts as failed: it must be trained again."""
        job = self.describe(name)
        if job is None:
            return None
        outcome = _OUTCOMES.get(str(job.training_job_status), "running")
        stages = tuple(map(_words, given(job.secondary_status_transitions) or ()))
        stages = stages or (str(job.secondary_status),)
        if limit := _LIMITS.get(str(job.secondary_status)):
            return State("stopped", stages, limit)
        if outcome == "completed" and not self._objects.exists(
            str(job.model_artifacts.s3_model_artifacts)
        ):
            return State("failed", stages, "its model is no longer in S3")
        return State(outcome, stages, str(given(job.failure_reason) or ""))

    def start(self, name: str, resumes: str) -> None:
        resources, _ = sdk()
        request = training_request(self._account, self._objects, self._inputs, name, resumes)
        with told("sagemaker", "CreateTrainingJob", name):
            remote_jobs.begin(
                lambda: resources.TrainingJob.create(
                    **request, session=self._session, region=self._account.region
                )
            )

    def stop(self, name: str) -> None:
        with told("sagemaker", "StopTrainingJob", name):
            self._account.client("sagemaker").stop_training_job(TrainingJobName=name)

    def read_log(self, name: str, on_line: OnLine) -> int:
        return self._log.read(name, on_line)


def _words(transition: Any) -> str:
    message = given(transition.status_message)
    return f"{transition.status}: {message}" if message else str(transition.status)


def _channel_files(data: PackedData, earlier: Path | None) -> dict[str, Path]:
    """The one file of each channel. Raises InvalidInputError where one is missing."""
    files = {training_job.TRAIN: data.channel("train") / "train.rec"}
    if data.validation:
        files[training_job.VALIDATION] = data.channel("validation") / "validation.rec"
    if earlier:
        files[training_job.MODEL] = earlier
    for channel, file in files.items():
        if not file.is_file():
            raise InvalidInputError(f"channel {channel}", f"there is no {file}", "Make it first.")
    return files


def _for_the_built_in(values: Mapping[str, str], earlier: Path | None) -> dict[str, str]:
    """Without what is ours alone. An earlier model comes as a channel, not as AWS's own weights."""
    known = {name: text for name, text in values.items() if name not in training_job.OWN}
    return known | ({"use_pretrained_model": "0"} if earlier else {})


def _check_role(role: str) -> None:
    if not role:
        raise InvalidInputError(
            "EDGEWARD_AWS__TRAINING_ROLE",
            "SageMaker needs a role that it may take",
            "Give the ARN of one; docs/how-to/aws.md has its policy.",
        )


def _check_vpc(subnets: tuple[str, ...], security_groups: tuple[str, ...]) -> None:
    if bool(subnets) != bool(security_groups):
        missing = "SECURITY_GROUPS" if subnets else "SUBNETS"
        raise InvalidInputError(
            f"EDGEWARD_AWS__{missing}", "a VPC needs subnets and security groups", "Give both."
        )


def _refuse_what_cannot_be_done(
    wanted: training_job.Hyperparameters, earlier: Path | None, *, own_image: bool
) -> None:
    """The job would refuse these as well, after minutes that are paid for."""
    refusals = [
        ("multi_label", wanted.multi_label, "a picture has one label here"),
        ("kv_store", wanted.kv_store is not None, "there is one instance"),
    ]
    if own_image:
        no_earlier = wanted.use_pretrained_model and not earlier
        refusals += [
            ("precision_dtype", wanted.precision_dtype == "float16", "a CPU trains in float32"),
            ("use_pretrained_model", no_earlier, "there is no earlier model to start from"),
        ]
    for name, asked, reason in refusals:
        if asked:
            raise InvalidInputError(f"hyperparameter {name}", reason, "Leave it out.")
