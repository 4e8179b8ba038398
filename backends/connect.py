"""The one place that builds adapters."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backends.artifacts import Reporting
from backends.errors import BackendBlockedError, InvalidInputError
from backends.local.compiler import HOST_CPU, LocalCompiler
from backends.local.components import LocalComponents
from backends.local.fleet import LocalFleet
from backends.local.jobs import LocalJobs
from backends.local.notices import MqttChannel, has_broker
from backends.local.objects import LocalObjects
from backends.local.packer import LocalPacker
from backends.local.predictor import LocalPredictor
from backends.local.statistics import LocalStatistics
from backends.local.telemetry import LocalKeeper
from backends.local.trainer import LocalTrainer
from backends.local.verifier import LocalVerifier
from backends.local.wheels import LocalWheels
from backends.mail import MailChannel
from backends.ports import (
    Backend,
    Channel,
    CloudRules,
    ObjectStore,
    RestorableFleet,
    StatisticsStore,
    TelemetryKeeper,
    Tracker,
)
from backends.settings import PROJECT, Settings
from backends.tracking import MlflowTracker
from backends.webhook import WebhookChannel

if TYPE_CHECKING:
    from backends.aws.account import Account
    from backends.aws.components import GreengrassComponents
    from backends.aws.removal import AwsRemoval
    from backends.aws.results_store import StoredResults

SECONDS_AN_HOUR = 3600


def connect(settings: Settings, max_usd: float, folder: Path | None = None) -> Backend:
    """Build everything that a run needs; nothing is started or imported that is not used yet.

    `max_usd` bounds how long the jobs may take together, at the price of an hour in the settings.
    With kind aws, what is asked of AWS is written down in `folder`, the run's. Raises
    InvalidInputError (settings that are wrong), BackendBlockedError.
    """
    here = _on_this_machine(settings, max_usd)
    if settings.backend.kind == "aws":
        return _in_an_account(settings, here, folder or settings.root)
    if settings.backend.compiler == "neo":
        raise InvalidInputError(
            "EDGEWARD_BACKEND__COMPILER",
            "neo compiles in an AWS account",
            "Leave it empty, or set EDGEWARD_BACKEND__KIND=aws.",
        )
    return here


def _in_an_account(settings: Settings, here: Backend, folder: Path) -> Backend:
    """Training, compilation, components and devices are AWS's; the rest is done here as ever."""
    from backends.aws.checking import check

    account = aws_account(settings, folder)
    check(settings.aws)
    from backends.aws.components import GreengrassComponents
    from backends.aws.fleet import GreengrassFleet
    from backends.aws.neo import NeoCompiler
    from backends.aws.objects import S3Objects
    from backends.aws.trainer import SageMakerTrainer

    objects = S3Objects(account)
    components = GreengrassComponents(account, objects, settings.root / "aws" / "components")
    with_tvm = settings.backend.compiler == "tvm"
    return replace(
        here,
        trainer=SageMakerTrainer(account, objects, settings.root),
        compiler=fleet_compiler(settings)
        if with_tvm
        else NeoCompiler(account, objects, settings.root),
        components=components,
        fleet=GreengrassFleet(account, components),
        device_python="",
    )


def _on_this_machine(settings: Settings, max_usd: float) -> Backend:
    root = settings.root
    local = settings.backend
    jobs = LocalJobs(
        root,
        local.jobs_python,
        local.job_seconds,
        threads=local.job_threads,
        budget=_budget_seconds(local.usd_per_hour, max_usd),
    )
    return Backend(
        packer=LocalPacker(jobs),
        trainer=LocalTrainer(jobs),
        predictor=LocalPredictor(jobs),
        compiler=LocalCompiler(jobs, local.compile_cpu),
        verifier=LocalVerifier(local.device_python, PROJECT, root / "jobs"),
        wheels=LocalWheels(root / "cache" / "wheels", PROJECT / "requirements" / "device.txt"),
        components=local_components(settings),
        fleet=local_fleet(settings),
        tracker=tracker(settings),
        device_python=str(local.device_python),
    )


def fleet_compiler(settings: Settings) -> LocalCompiler:
    """Compiles for devices elsewhere: never for what only the CPU of this machine has."""
    local = settings.backend
    jobs = LocalJobs(settings.root, local.jobs_python, local.job_seconds, threads=local.job_threads)
    return LocalCompiler(jobs, "" if local.compile_cpu == HOST_CPU else local.compile_cpu)


def local_components(settings: Settings) -> LocalComponents:
    """The component store of this machine."""
    root = settings.root
    return LocalComponents(root / "components", LocalObjects(root / "objects"))


def local_fleet(settings: Settings) -> LocalFleet:
    """The devices of this machine."""
    return LocalFleet(settings)


def restorable_fleet(settings: Settings) -> RestorableFleet:
    """The devices of the settings' kind, and what they ran. Raises InvalidInputError."""
    if settings.backend.kind == "local":
        return local_fleet(settings)
    account = aws_account(settings)
    from backends.aws.components import GreengrassComponents
    from backends.aws.fleet import GreengrassFleet
    from backends.aws.objects import S3Objects

    folder = settings.root / "aws" / "components"
    store = GreengrassComponents(account, S3Objects(account), folder)
    return GreengrassFleet(account, store)


def component_archive(settings: Settings) -> "LocalComponents | GreengrassComponents":
    """Where component versions are kept and can be had again. Raises InvalidInputError."""
    if settings.backend.kind == "local":
        return local_components(settings)
    account = aws_account(settings)
    from backends.aws.components import GreengrassComponents
    from backends.aws.objects import S3Objects

    folder = settings.root / "aws" / "components"
    return GreengrassComponents(account, S3Objects(account), folder)


def tracker(settings: Settings) -> Tracker:
    """Where runs and model versions are kept."""
    return MlflowTracker(settings.root / "mlflow", settings.mlflow.uri)


def cloud_rules(settings: Settings) -> CloudRules:
    """The rules for the devices' messages; on this machine they are the broker's own."""
    if settings.backend.kind != "aws":
        remedy = "Set EDGEWARD_BACKEND__KIND=aws for those of an AWS account."
        raise InvalidInputError("rules", "on this machine they are built in", remedy)
    account = aws_account(settings)
    from backends.aws.topic_rules import TopicRules

    return TopicRules(account)


def reporting_of(settings: Settings, thing: str) -> Reporting:
    """What is known about when `thing` should report, and last did; of an account's, nothing."""
    if settings.backend.kind != "local":
        return Reporting(thing)
    from backends.local.reporting import reporting

    return reporting(local_fleet(settings), settings.root, thing)


def statistics_store(settings: Settings) -> StatisticsStore:
    """Where the windows of devices are. Raises InvalidInputError (the settings)."""
    if settings.backend.kind == "local":
        return LocalStatistics(settings.root / "cloud" / "statistics")
    account = aws_account(settings)
    from backends.aws.results_store import StoredMessages

    return StoredMessages(account, "statistics")


def telemetry_keeper(settings: Settings) -> TelemetryKeeper:
    """Who keeps the store of what devices reported small. Raises InvalidInputError (settings)."""
    if settings.backend.kind == "local":
        return LocalKeeper(settings.root / "cloud")
    account = aws_account(settings)
    from backends.aws.telemetry import S3Keeper

    return S3Keeper(account)


def results_source(settings: Settings, thing: str) -> "LocalFleet | StoredResults":
    """Whose `results` tell what devices said. Raises InvalidInputError (the settings)."""
    if settings.backend.kind == "local":
        return local_fleet(settings)
    if not thing:
        reason = "an account does not say which devices there are"
        raise InvalidInputError("--thing", reason, "Name the device.")
    account = aws_account(settings)
    from backends.aws.results_store import StoredResults

    return StoredResults(account)


def channels(settings: Settings) -> Sequence[Channel]:
    """Every way to tell people that the settings have. Raises InvalidInputError (the settings)."""
    notify, aws = settings.notify, settings.backend.kind == "aws"
    found: list[Channel] = []
    if not aws and has_broker(settings.root / "cloud"):
        found.append(MqttChannel(settings.root / "cloud"))
    if address := notify.webhook.get_secret_value():
        found.append(WebhookChannel(address, notify.webhook_least))
    if notify.mail_to:
        found.append(MailChannel(notify))
    if aws or notify.sns_topic:
        found.append(_sns(settings))
    return found


def _sns(settings: Settings) -> Channel:
    """A topic of one's own may be in any account and region; boto3 finds the credentials."""
    topic = settings.notify.sns_topic
    account = _account_of(settings, topic) if topic else aws_account(settings)
    from backends.aws.notices import SnsChannel

    return SnsChannel(account, topic, settings.notify.sns_least)


def _account_of(settings: Settings, topic: str) -> "Account":
    try:
        from backends.aws.account import Account
    except ModuleNotFoundError as error:
        raise BackendBlockedError(
            "SNS", "boto3 is not installed", "Run `make setup-aws`."
        ) from error
    region = topic.split(":")[3]
    return Account(settings.aws.model_copy(update={"region": region}))


def aws_removal(settings: Settings) -> "AwsRemoval":
    """What can be taken away of an account. Raises InvalidInputError (the settings)."""
    account = aws_account(settings)
    from backends.aws.removal import AwsRemoval

    return AwsRemoval(account)


def account_objects(settings: Settings) -> ObjectStore:
    """What lies in the account's bucket. Raises InvalidInputError (the settings)."""
    account = aws_account(settings)
    from backends.aws.objects import S3Objects

    return S3Objects(account)


def aws_account(settings: Settings, folder: Path | None = None) -> "Account":
    """The account of the settings, which are checked for what every use of it needs.

    A transcript of what is asked of it goes to `folder`. Raises InvalidInputError that lists all
    that is wrong; BackendBlockedError without boto3.
    """
    from backends.aws.checking import check

    try:
        from backends.aws.account import Account
    except ModuleNotFoundError as error:
        raise BackendBlockedError(
            "AWS", "boto3 is not installed", "Run `make setup-aws`."
        ) from error
    check(settings.aws, training=False)
    from backends.aws.transcript import FILE, Transcript

    return Account(settings.aws, Transcript(folder / FILE) if folder else None)


def _budget_seconds(usd_per_hour: float, max_usd: float) -> float:
    return max_usd / usd_per_hour * SECONDS_AN_HOUR if usd_per_hour else math.inf
