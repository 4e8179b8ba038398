"""The one place that builds adapters."""

from backends.local.compiler import LocalCompiler
from backends.local.components import LocalComponents
from backends.local.fleet import LocalFleet
from backends.local.jobs import LocalJobs
from backends.local.objects import LocalObjects
from backends.local.packer import LocalPacker
from backends.local.predictor import LocalPredictor
from backends.local.trainer import LocalTrainer
from backends.local.verifier import LocalVerifier
from backends.ports import Backend
from backends.settings import PROJECT, Settings
from backends.tracking import MlflowTracker

SECONDS_AN_HOUR = 3600


def connect(settings: Settings, max_usd: float) -> Backend:
    """Build everything that a run needs; nothing is started or imported that is not used yet.

    `max_usd` bounds how long a job may take, at the price of an hour that the settings name.
    """
    root = settings.root
    local = settings.backend
    seconds = _job_seconds(settings, max_usd)
    jobs = LocalJobs(root, local.jobs_python, seconds, threads=local.job_threads)
    return Backend(
        packer=LocalPacker(jobs),
        trainer=LocalTrainer(jobs),
        predictor=LocalPredictor(jobs),
        compiler=LocalCompiler(jobs),
        verifier=LocalVerifier(local.device_python, PROJECT, root / "jobs"),
        components=LocalComponents(root / "components", LocalObjects(root / "objects")),
        fleet=local_fleet(settings),
        tracker=MlflowTracker(root / "mlflow", settings.mlflow.uri),
        device_python=str(local.device_python),
    )


def local_fleet(settings: Settings) -> LocalFleet:
    """The devices of this machine."""
    return LocalFleet(settings)


def _job_seconds(settings: Settings, max_usd: float) -> float:
    limit = float(settings.backend.job_seconds)
    price = settings.backend.usd_per_hour
    return min(limit, max_usd / price * SECONDS_AN_HOUR) if price else limit
