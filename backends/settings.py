"""Where the pipeline runs. What it does is in the flows' parameters; how good, in targets.toml.

Read from the environment and from `.env`, e.g. `EDGEWARD_HOME=/data/edgeward`,
`EDGEWARD_MQTT__PORT=1883`.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from backends.deployment_terms import JobConfiguration
from backends.errors import InvalidInputError
from backends.workers import Cluster, Workers

PREFIX = "EDGEWARD_"
PROJECT = Path(__file__).resolve().parents[1]


class BackendSettings(BaseModel):
    """Where the work is done, and how it is done on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local", "aws"] = Field(
        "local", description="Where the work is done: this machine, or an AWS account."
    )
    compiler: Literal["", "tvm", "neo"] = Field(
        "", description="tvm: on this machine; neo: SageMaker Neo; empty: as the kind has it."
    )
    jobs_python: Path = Field(
        PROJECT / ".venvs/jobs/bin/python", description="Interpreter that has MXNet and TVM."
    )
    device_python: Path = Field(
        PROJECT / ".venvs/device/bin/python",
        description="Interpreter that has the device's requirements and nothing else.",
    )
    job_seconds: int = Field(4 * 3600, ge=1, description="Time limit of one job.")
    compile_cpu: str = Field(
        "host",
        description="x86-64 CPU to compile for: host (this machine's), empty (any since 2013), "
        "or LLVM's name of one.",
    )
    job_threads: int = Field(
        0, ge=0, description="Threads of one job; 0: one per core. A model depends on it."
    )
    workers: int = Field(0, ge=0, description="Processes for ingest; 0: one per core.")
    usd_per_hour: float = Field(
        0, ge=0, description="What an hour of this machine costs; 0: nothing."
    )


class MqttSettings(BaseModel):
    """The broker that devices publish to. Without a host, one is started on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("", description="Empty: a broker of our own on loopback.")
    port: int = Field(0, ge=0, le=65535, description="0: any free port (own broker), else 1883.")
    username: str = ""
    password: SecretStr = SecretStr("")


class AwsSettings(BaseModel):
    """The AWS account, for backend kind aws. Credentials come from AWS's own chain only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str = Field("", description="Empty: that of AWS's own chain (AWS_REGION, profile).")
    bucket: str = Field("", description="S3 bucket for everything; it must exist.")
    prefix: str = Field(
        "edgeward",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$",
        description="First part of every key, and the tag of everything that we create.",
    )
    training_role: str = Field("", description="ARN of the role that SageMaker and Neo take.")
    rule_role: str = Field("", description="ARN of the role that IoT's topic rules take.")
    training_image: str = Field(
        "", description="Own training image (ECR URI); empty: the built-in image-classification."
    )
    instance_type: str = Field("ml.g4dn.xlarge", pattern=r"^ml\.", description="For training.")
    volume_gb: int = Field(30, ge=1, le=16384, description="Disk of the training instance.")
    max_run_seconds: int = Field(3600, ge=60, description="Time limit of one training job.")
    spot: bool = Field(True, description="Train on managed spot instances, with checkpoints.")
    max_wait_seconds: int = Field(
        7200, ge=60, description="Limit of waiting for spot capacity and training together."
    )
    compile_device: str = Field(
        "", description="Neo's name of a device, as in rasp4b; empty: the platform of the run."
    )
    usd_per_hour: float = Field(
        0, ge=0, description="What an hour of instance_type costs; 0: as in docs/reference.md."
    )
    spot_share: float = Field(
        0.5, gt=0, le=1, description="What spot costs, as a share of usd_per_hour."
    )
    kms_key: str = Field("", description="KMS key (ARN or id); empty: S3's own encryption.")
    subnets: tuple[str, ...] = Field((), description="VPC subnets of training jobs.")
    security_groups: tuple[str, ...] = Field((), description="VPC security groups of those.")
    tags: dict[str, str] = Field({}, description="More tags on everything that we create.")
    thing_group: str = Field(
        "", description="Deploy to this group, of which the run's thing is a member."
    )
    rollout: dict[str, Any] = Field(
        {},
        description="iotJobConfiguration of deployments to the group, as CreateDeployment takes "
        "it; empty: ever faster, and no further when a fifth of five or more things failed.",
    )
    deploy_seconds: float = Field(
        900, gt=0, description="How long a device may take to carry out a deployment."
    )
    iot_endpoint: str = Field(
        "", description="Where results are heard, HOST or HOST:PORT; empty: as IoT describes it."
    )
    certificate: str = Field(
        "", description="File (PEM) to hear results with mutual TLS; empty: signed websockets."
    )
    private_key: str = Field("", description="File (PEM) of the certificate's private key.")
    ca_file: str = Field("", description="File (PEM) of the endpoint's CA; empty: the system's.")
    endpoint_url: str = Field("", description="An AWS-compatible server; empty: AWS.")
    endpoint_urls: dict[str, str] = Field(
        {}, description='The same by service, as in {"greengrassv2": "http://…"}.'
    )

    @field_validator("rollout")
    @classmethod
    def _is_a_job_configuration(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            JobConfiguration.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"{where}: {first['msg']}") from error
        return value

    def endpoint_of(self, service: str) -> str | None:
        return self.endpoint_urls.get(service) or self.endpoint_url or None


class MlflowSettings(BaseModel):
    """Where runs and model versions are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str = Field("", description="Empty: sqlite under EDGEWARD_HOME.")


class PrefectSettings(BaseModel):
    """The Prefect server that `edgeward up` starts, on loopback."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = Field(4200, ge=0, le=65535, description="0: any free port.")


class NotifySettings(BaseModel):
    """Whom the Prefect server tells of failures, refused gates, drift and silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook: SecretStr = Field(
        SecretStr(""), description="URL that gets a JSON message by POST; empty: nobody is told."
    )
    silence_minutes: float = Field(
        45, ge=1 / 6, description="Without a look at the devices for so long, somebody is told."
    )


class TelemetrySettings(BaseModel):
    """How long what devices reported is kept, in days since it arrived."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    results_days: int = Field(90, ge=2, description="Results, one a picture.")
    statistics_days: int = Field(400, ge=7, description="Windows, which the monitor reads.")
    heartbeats_days: int = Field(30, ge=2, description="Heartbeats, one a minute.")
    alerts_days: int = Field(400, ge=2, description="Alerts.")
    quarantine_days: int = Field(
        30, ge=2, description="Messages that were set aside, and the counts of each day."
    )

    def by_table(self) -> dict[str, int]:
        """Days by the name of the table."""
        return {name.removesuffix("_days"): days for name, days in self.model_dump().items()}


class DaskSettings(BaseModel):
    """The cluster that looks at pictures and adds up windows, instead of processes here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(
        "",
        pattern=r"^$|^(tcp|tls|ws|wss)://.+:\d+$",
        description="Of Dask's scheduler, as in tcp://127.0.0.1:8786; empty: no cluster.",
    )


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        frozen=True,
        extra="ignore",  # .env may hold other programs' variables
    )

    home: Path = Field(Path(".edgeward"), description="Folder that holds everything a run writes.")
    backend: BackendSettings = BackendSettings()
    aws: AwsSettings = AwsSettings()
    mqtt: MqttSettings = MqttSettings()
    mlflow: MlflowSettings = MlflowSettings()
    prefect: PrefectSettings = PrefectSettings()
    notify: NotifySettings = NotifySettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    dask: DaskSettings = DaskSettings()

    @property
    def workers(self) -> Workers:
        """Who looks at pictures and adds up windows."""
        return Cluster(self.dask.address) if self.dask.address else self.backend.workers

    @property
    def root(self) -> Path:
        """`home` as an absolute path."""
        return self.home.expanduser().resolve()


GROUPS: dict[str, type[BaseModel]] = {
    "backend": BackendSettings,
    "aws": AwsSettings,
    "mqtt": MqttSettings,
    "mlflow": MlflowSettings,
    "prefect": PrefectSettings,
    "notify": NotifySettings,
    "telemetry": TelemetrySettings,
    "dask": DaskSettings,
}


def load_settings() -> Settings:
    """Read the settings; raises InvalidInputError naming the variable that is unknown or wrong."""
    known = known_variables()
    whole_groups = {PREFIX + group.upper() for group in GROUPS}  # a group as one JSON text
    for variable in sorted(_given()):
        if variable not in {*known, *whole_groups}:
            raise _unknown(variable, known)
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        variable = PREFIX + "__".join(str(part) for part in first["loc"]).upper()
        if first["type"] == "extra_forbidden":
            raise _unknown(variable, known) from error
        raise InvalidInputError(variable, first["msg"], "Give a possible value.") from error
    except SettingsError as error:
        raise InvalidInputError(
            f"{PREFIX}*", f"{error}", f"Write one variable per key, e.g. {known[-1]}=…."
        ) from error


def known_variables() -> tuple[str, ...]:
    """Every variable that means something, as it is written in the environment or in `.env`."""
    keys = [f"{group}__{key}" for group, model in GROUPS.items() for key in model.model_fields]
    return (f"{PREFIX}HOME", *(f"{PREFIX}{key}".upper() for key in keys))


def _given() -> set[str]:
    """The variables of ours in the environment and in `.env`, which may hold others' as well."""
    sources = (EnvSettingsSource(Settings), DotEnvSettingsSource(Settings))
    names = {name.upper() for source in sources for name in source.env_vars}
    return {name for name in names if name.startswith(PREFIX)}


def _unknown(variable: str, known: Sequence[str]) -> InvalidInputError:
    keys = [name.removeprefix(PREFIX) for name in known]
    near = difflib.get_close_matches(variable.removeprefix(PREFIX), keys, n=1, cutoff=0.5)
    remedy = f"Did you mean {PREFIX}{near[0]}?" if near else f"Known: {', '.join(known)}."
    return InvalidInputError(variable, "no such setting", remedy)
