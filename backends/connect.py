"""The one place that builds adapters."""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from backends.errors import BackendBlockedError, InvalidInputError
from backends.local.compiler import HOST_CPU, LocalCompiler
from backends.local.components import LocalComponents
from backends.local.fleet import LocalFleet
from backends.local.jobs import LocalJobs
from backends.local.objects import LocalObjects
from backends.local.packer import LocalPacker
from backends.local.predictor import LocalPredictor
from backends.local.statistics import LocalStatistics
from backends.local.telemetry import LocalKeeper
from backends.local.trainer import LocalTrainer
from backends.local.verifier import LocalVerifier
from backends.local.wheels import LocalWheels
from backends.ports import Backend, CloudRules, StatisticsStore, TelemetryKeeper
from backends.settings import PROJECT, Settings
from backends.tracking import MlflowTracker

if TYPE_CHECKING:
    from backends.aws.account import Account
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
        tracker=MlflowTracker(root / "mlflow", settings.mlflow.uri),
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


def cloud_rules(settings: Settings) -> CloudRules:
    """The rules for the devices' messages; on this machine they are the broker's own."""
    if settings.backend.kind != "aws":
        remedy = "Set EDGEWARD_BACKEND__KIND=aws for those of an AWS account."
        raise InvalidInputError("rules", "on this machine they are built in", remedy)
    account = aws_account(settings)
    from backends.aws.topic_rules import TopicRules

    return TopicRules(account)


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


def aws_removal(settings: Settings) -> "AwsRemoval":
    """What can be taken away of an account. Raises InvalidInputError (the settings)."""
    account = aws_account(settings)
    from backends.aws.removal import AwsRemoval

    return AwsRemoval(account)


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
