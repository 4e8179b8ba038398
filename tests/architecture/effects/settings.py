"""What each variable of the environment changes."""

import contextlib
import json
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from backends.artifacts import TrainedModel
from backends.connect import connect
from backends.errors import BackendBlockedError, EnvironmentMissingError, JobError
from backends.local.fleet import LocalFleet
from backends.settings import (
    AwsSettings,
    BackendSettings,
    MlflowSettings,
    MqttSettings,
    NotifySettings,
    PrefectSettings,
    Settings,
)
from edge.contract import RUNTIME_COMPONENT
from flows.automations import notices
from flows.cycle import Cycle, understand_data
from flows.plan import CyclePlan
from flows.workshop import Workshop
from tasks.packaging import package_runtime
from tasks.recipes import runtime_recipe
from tasks.recording import Run, recorded
from tests.architecture.effects.effect import Effect
from tests.architecture.effects.jobs import ask_a_job, interpreter
from tests.architecture.effects.runs import released, without_a_flow
from tests.fakes.open_broker import open_broker

NEVER = "exec sleep 1000"
THREADS = 'echo "$OMP_NUM_THREADS"'


@dataclass(frozen=True, slots=True)
class Connected:
    """Where the cloud side of the devices connected to, and as whom."""

    port: int
    logins: tuple[tuple[str, str], ...]


def adapters(**backend: str) -> tuple[str, str]:
    """Who trains and who compiles."""
    aws = AwsSettings(
        region="eu-west-1", bucket="ours", training_role="arn:aws:iam::123456789012:role/one"
    )
    settings = Settings(backend=BackendSettings.model_validate(backend), aws=aws)
    connected = connect(settings, 1)
    return type(connected.trainer).__name__, type(connected.compiler).__name__


def published(home: Path, folder: Path) -> Path:
    """Where a component lies once it is published."""
    store = connect(Settings(home=home), 1).components
    return store.publish(runtime_recipe(), [package_runtime(folder)]).recipe


def job(folder: Path, script: str, **backend: float) -> tuple[str, ...]:
    """What a job says and how it ends."""
    answer = ask_a_job(folder, BackendSettings.model_validate(backend), 0.25, script)
    return *answer.lines, str(answer.error)


def compiled_for(folder: Path, cpu: str) -> str:
    """What the compile job is given."""
    program = interpreter(folder, 'cat "$SM_ML_ROOT/input/config/hyperparameters.json"; exit 3')
    backend = BackendSettings(jobs_python=program, compile_cpu=cpu)
    (folder / "model.tar.gz").touch()
    model = TrainedModel(folder / "model.tar.gz", ("cat", "dog"), 8, 8, (), 0, 0, {})
    compiler = connect(Settings(home=folder, backend=backend), 1).compiler
    lines: list[str] = []
    with contextlib.suppress(JobError):
        compiler.compile("compile", model, "linux-x86_64", lines.append)
    return "".join(lines)


def missing_interpreter(folder: Path, name: str) -> str:
    backend = BackendSettings(jobs_python=folder / name)
    packer = connect(Settings(home=folder, backend=backend), 1).packer
    lists = folder / "lists"
    lists.mkdir(exist_ok=True)
    try:
        packer.pack("pack", lists, folder / "packed", lambda _line: None)
    except EnvironmentMissingError as error:
        return str(error)
    raise AssertionError("it ran without an interpreter")


def device_python(folder: Path, name: str) -> object:
    """The interpreter that the device is told to use."""
    return released(folder / name, Path("/device") / name).configuration(
        RUNTIME_COMPONENT, "Python"
    )


def helpers(folder: Path, workers: int) -> bool:
    """Whether the pictures are drawn and looked at by other processes than this one."""
    settings = Settings(home=folder, backend=BackendSettings(workers=workers))
    plan = CyclePlan.model_validate({"driveway": {"images": 70, "seed": workers}})
    run = Run("run", folder / "run")
    this = Cycle(plan, settings, connect(settings, 1), run)
    seen: set[int] = set()
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(seen, over))
    watcher.start()
    try:
        with recorded(run, {}), without_a_flow():
            understand_data(this)
    finally:
        over.set()
        watcher.join()
    return bool(seen)


def _watch(seen: set[int], over: threading.Event) -> None:
    """Collect the workers: they are children of the fork server, which is a child of ours."""
    while not over.wait(0.02):
        for child in psutil.Process().children():
            try:
                if any("forkserver" in word for word in child.cmdline()):
                    seen |= {worker.pid for worker in child.children()}
            except psutil.NoSuchProcess:
                continue


def connected(folder: Path, **mqtt: object) -> Connected:
    """Start the cloud side; `port` -1 stands for the port of a broker that is there already."""
    with open_broker() as (theirs, logins):
        values = mqtt | ({"port": theirs} if mqtt.get("host") else {})
        settings = Settings(home=folder, mqtt=MqttSettings.model_validate(values))
        fleet = LocalFleet(settings)
        try:
            fleet.ensure_cloud()
            endpoint = json.loads((folder / "cloud/endpoint.json").read_text())
        finally:
            fleet.stop_everything()
        port = -1 if endpoint["port"] == theirs else endpoint["port"]
        return Connected(port, tuple(logins))


def logins(folder: Path, username: str, password: str) -> object:
    return connected(folder, host="127.0.0.1", username=username, password=password).logins


def _hosts(folder: Path) -> tuple[object, object]:
    own, theirs = connected(folder / "a"), connected(folder / "b", host="127.0.0.1")
    assert theirs.port == -1
    return own.logins, theirs.logins


def _ports(folder: Path) -> tuple[object, object]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    chosen = connected(folder / "b", port=free).port
    assert chosen == free
    return connected(folder / "a").port, chosen


def tracked(folder: Path, uri: str) -> bool:
    """Whether a run is kept below EDGEWARD_HOME."""
    settings = Settings(home=folder / "home", mlflow=MlflowSettings(uri=uri))
    connect(settings, 1).tracker.start("driveway", "run", {})
    return (folder / "home/mlflow/mlflow.db").exists()


def _prefect_ports(folder: Path) -> tuple[object, object]:
    """Where the server would listen: another program is there already."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        return refused_port(folder, one), refused_port(folder, other)


def refused_port(folder: Path, theirs: socket.socket) -> str:
    port = theirs.getsockname()[1]
    settings = Settings(home=folder, prefect=PrefectSettings(port=port))
    with pytest.raises(BackendBlockedError, match=str(port)) as refused:
        Workshop(settings).up("hub-1")
    return str(refused.value)


def silence(settings: NotifySettings) -> list[object]:
    return [notice.trigger.within for notice in notices(settings)]


EFFECTS: dict[str, Effect] = {
    "home": lambda folder: (
        published(folder / "a", folder),
        published(folder / "b", folder),
    ),
    "backend.kind": lambda _folder: (adapters(kind="local"), adapters(kind="aws")),
    "backend.compiler": lambda _folder: (
        adapters(kind="aws", compiler="tvm"),
        adapters(kind="aws", compiler="neo"),
    ),
    "backend.jobs_python": lambda folder: (
        missing_interpreter(folder, "one"),
        missing_interpreter(folder, "other"),
    ),
    "backend.device_python": lambda folder: (
        device_python(folder, "one"),
        device_python(folder, "other"),
    ),
    "backend.job_seconds": lambda folder: (
        job(folder / "a", "sleep 1.1; exit 3", job_seconds=1),
        job(folder / "b", "sleep 1.1; exit 3", job_seconds=60),
    ),
    "backend.compile_cpu": lambda folder: (
        compiled_for(folder / "a", "host"),
        compiled_for(folder / "b", "haswell"),
    ),
    "backend.job_threads": lambda folder: (
        job(folder / "a", THREADS, job_threads=1)[0],
        job(folder / "b", THREADS, job_threads=7)[0],
    ),
    "backend.workers": lambda folder: (helpers(folder / "a", 1), helpers(folder / "b", 2)),
    "backend.usd_per_hour": lambda folder: (
        job(folder / "a", NEVER, usd_per_hour=3600),
        job(folder / "b", NEVER, usd_per_hour=1800),
    ),
    "mqtt.host": _hosts,
    "mqtt.port": _ports,
    "mqtt.username": lambda folder: (
        logins(folder / "a", "ward", "secret"),
        logins(folder / "b", "other", "secret"),
    ),
    "mqtt.password": lambda folder: (
        logins(folder / "a", "ward", "secret"),
        logins(folder / "b", "ward", "other"),
    ),
    "prefect.port": _prefect_ports,
    "notify.silence_minutes": lambda folder: (
        silence(NotifySettings(silence_minutes=1)),
        silence(NotifySettings(silence_minutes=2)),
    ),
    "mlflow.uri": lambda folder: (
        tracked(folder / "a", ""),
        tracked(folder / "b", f"sqlite:///{folder}/elsewhere.db"),
    ),
}
