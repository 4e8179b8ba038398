"""Where the pipeline runs. What it does is in the flows' parameters; how good, in targets.toml.

Read from the environment and from `.env`, e.g. `EDGEWARD_HOME=/data/edgeward`,
`EDGEWARD_MQTT__PORT=1883`.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from backends.artifacts import Severity
from backends.deployment_terms import JobConfiguration
from backends.errors import InvalidInputError
from backends.quiet_time import parse_quiet_time
from backends.workers import Cluster, Workers

PREFIX = "EDGEWARD_"
PROJECT = Path(__file__).resolve().parents[1]


class BackendSettings(BaseModel):
    """Where the work is done, and how it is done on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local", "aws"] = Field(
        "local", description="Where the work is done: `local`, this machine; `aws`, an account."
    )
    compiler: Literal["", "tvm", "neo"] = Field(
        "",
        description="`tvm`: on this machine; `neo`: SageMaker Neo; empty: `tvm` for kind local, "
        "`neo` for aws.",
    )
    jobs_python: Path = Field(
        PROJECT / ".venvs/jobs/bin/python",
        description="Interpreter that has MXNet and TVM; the default lies in the project.",
    )
    device_python: Path = Field(
        PROJECT / ".venvs/device/bin/python",
        description="Interpreter that has the device's requirements and nothing else; the default "
        "lies in the project.",
    )
    job_seconds: int = Field(4 * 3600, ge=1, description="Time limit of one job.")
    compile_cpu: str = Field(
        "host",
        description="x86-64 CPU to compile for: `host` (this machine's), empty (any since 2013), "
        "or LLVM's name of one.",
    )
    job_threads: int = Field(
        0,
        ge=0,
        description="Threads of one job; 0: one per core. The last bits of a trained model depend "
        "on it.",
    )
    workers: int = Field(
        0, ge=0, description="Processes that read and prepare pictures; 0: one per core."
    )
    usd_per_hour: float = Field(
        0,
        ge=0,
        description="What an hour of this machine costs; 0: nothing. With it, `cost.max_usd` of "
        "the targets bounds how long the jobs of a run may take together.",
    )


class MqttSettings(BaseModel):
    """The broker that devices publish to. Without a host, one is started on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("", description="The broker; empty: one is started on loopback.")
    port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Its port; 0: any free port (own broker), 1883 (another).",
    )
    username: str = Field("", description="At another broker, shared by all devices.")
    password: SecretStr = Field(SecretStr(""), description="Likewise.")


class AwsSettings(BaseModel):
    """The AWS account, for backend kind aws. Credentials come from AWS's own chain only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str = Field(
        "",
        description="The account's region; empty: that of AWS's own chain (`AWS_REGION`, the "
        "profile).",
    )
    bucket: str = Field("", description="S3 bucket for everything; it must exist, in that region.")
    prefix: str = Field(
        "edgeward",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$",
        description="First part of every key, of the names of rules and topics, and the value of "
        "the tag `edgeward` of all that we create: letters, digits, `_`, `-`, up to 32.",
    )
    training_role: str = Field("", description="ARN of the role that SageMaker and Neo take.")
    rule_role: str = Field(
        "", description="ARN of the role that topic rules take; for `edgeward rules create`."
    )
    training_image: str = Field(
        "",
        description="Own training image in ECR; empty: SageMaker's built-in image classification.",
    )
    instance_type: str = Field("ml.g4dn.xlarge", pattern=r"^ml\.", description="For training.")
    volume_gb: int = Field(30, ge=1, le=16384, description="Disk of the training instance.")
    max_run_seconds: int = Field(3600, ge=60, description="Time limit of one training job.")
    spot: bool = Field(True, description="Train on managed spot instances, with checkpoints.")
    max_wait_seconds: int = Field(
        7200,
        ge=60,
        description="Limit of waiting for spot capacity and training together; not below the limit "
        "of training.",
    )
    compile_device: str = Field(
        "",
        description="Neo's name of a device to compile for, as `rasp4b`; empty: the platform of "
        "the run.",
    )
    usd_per_hour: float = Field(
        0,
        ge=0,
        description="What an hour of the training instance costs, on demand; 0: as listed under "
        "cost in docs/reference/aws.md.",
    )
    spot_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="What a spot instance is expected to cost, as a share of that.",
    )
    kms_key: str = Field(
        "",
        description="KMS key (ARN or id) that encrypts data, models and messages; empty: S3's own "
        "encryption.",
    )
    subnets: tuple[str, ...] = Field(
        (),
        description='VPC subnets of training jobs, as `["subnet-…"]`; with security groups, or '
        "not at all.",
    )
    security_groups: tuple[str, ...] = Field((), description="VPC security groups of those.")
    tags: dict[str, str] = Field(
        {},
        description='Up to 9 more tags on everything that we create, as `{"team": "hubs"}`.',
    )
    thing_group: str = Field(
        "", description="Deploy to this thing group, of which the run's thing is a member."
    )
    rollout: dict[str, Any] = Field(
        {},
        description="How deployments to the group spread: `iotJobConfiguration` of "
        "CreateDeployment, as JSON; empty: 5 a minute, twice as fast after each 5 that succeeded, "
        "and no further once a fifth of 5 or more failed.",
    )
    deploy_seconds: float = Field(
        900,
        gt=0,
        description="How long the run waits for its device to carry out a deployment.",
    )
    iot_endpoint: str = Field(
        "",
        description="Where results are heard, `HOST` or `HOST:PORT`; empty: the account's own, as "
        "`aws iot describe-endpoint --endpoint-type iot:Data-ATS` gives it.",
    )
    certificate: str = Field(
        "",
        description="PEM file of a certificate of IoT Core, to hear results with mutual TLS; "
        "empty: over websockets that are signed with the credentials of AWS's own chain.",
    )
    private_key: str = Field("", description="PEM file of its private key.")
    ca_file: str = Field(
        "",
        description="PEM file of the authority that vouches for the endpoint; empty: those of the "
        "system, Amazon's among them.",
    )
    endpoint_url: str = Field("", description="An AWS-compatible server; empty: AWS.")
    endpoint_urls: dict[str, str] = Field(
        {}, description='The same by service, as `{"greengrassv2": "http://…"}`.'
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

    uri: str = Field(
        "", description="An MLflow tracking server; empty: sqlite and files under EDGEWARD_HOME."
    )


class PrefectSettings(BaseModel):
    """The Prefect server that `edgeward up` starts, on loopback."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = Field(
        4200, ge=0, le=65535, description="Where it listens, on loopback; 0: any free port."
    )


class NotifySettings(BaseModel):
    """Who is told of failures, refused gates, drift, rollbacks and silence, how and when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook: SecretStr = Field(
        SecretStr(""),
        description="URL that gets a JSON message by POST of what people are "
        "told; empty: none does.",
    )
    webhook_least: Severity = Field(
        "info", description="What is less severe than this does not go to the webhook."
    )
    mail_to: tuple[str, ...] = Field(
        (), description="Addresses that get an e-mail, as a JSON list; empty: none does."
    )
    mail_from: str = Field("", description="The sender's address.")
    mail_least: Severity = Field("warning", description="The same as for the webhook, for e-mail.")
    smtp_host: str = Field("", description="The mail server.")
    smtp_port: int = Field(587, ge=1, le=65535, description="The mail server's port.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="`tls` from the first byte, or asked for by `starttls`."
    )
    smtp_username: str = Field("", description="The login's name; empty: without a login.")
    smtp_password: SecretStr = Field(SecretStr(""), description="The login's password.")
    sns_topic: str = Field(
        "",
        description="ARN of an SNS topic; empty: with kind aws, that of the devices' alerts, "
        "else none.",
    )
    sns_least: Severity = Field("warning", description="The same as for the webhook, for SNS.")
    quiet: str = Field(
        "",
        description="When only what is critical is told, as in `22:00-07:00 Europe/Berlin`; the "
        "rest comes as one message afterwards.",
    )
    group_seconds: float = Field(
        30, ge=0, le=3600, description="What happens within so long is told as one message."
    )
    silence_minutes: float = Field(
        45,
        ge=1 / 6,
        description="After so long without a look at the devices somebody is told; at least 10 "
        "seconds.",
    )

    @field_validator("webhook")
    @classmethod
    def _is_a_web_address(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not value.get_secret_value().startswith(
            ("http://", "https://")
        ):
            raise ValueError("it must begin with http:// or https://")
        return value

    @field_validator("sns_topic")
    @classmethod
    def _is_a_topic(cls, value: str) -> str:
        if value and not re.fullmatch(r"arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+", value):
            raise ValueError("it must be an ARN like arn:aws:sns:eu-west-1:123456789012:hubs")
        return value

    @field_validator("quiet")
    @classmethod
    def _is_a_time_of_day(cls, value: str) -> str:
        parse_quiet_time(value)
        return value

    @model_validator(mode="after")
    def _has_all_for_mail(self) -> Self:
        if self.mail_to and not (self.smtp_host and self.mail_from):
            raise ValueError("mail_to needs smtp_host and mail_from as well")
        return self


class TelemetrySettings(BaseModel):
    """How long what devices reported is kept, in days since it arrived."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    results_days: int = Field(
        90, ge=2, description="Days that results are kept; then they are removed."
    )
    statistics_days: int = Field(
        400, ge=7, description="Likewise windows, which the monitor reads."
    )
    heartbeats_days: int = Field(30, ge=2, description="Likewise heartbeats.")
    alerts_days: int = Field(400, ge=2, description="Likewise alerts.")
    quarantine_days: int = Field(
        30, ge=2, description="Likewise messages set aside, and each day's counts."
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
        description="Scheduler of a Dask cluster, as in `tcp://127.0.0.1:8786`, that looks at "
        "pictures, adds up windows and compacts; empty: processes of this machine do.",
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
    settings = read_settings()
    if isinstance(settings, Settings):
        return settings
    raise settings[0]


def read_settings() -> Settings | tuple[InvalidInputError, ...]:
    """The settings; or all that is wrong with them, a variable each."""
    known = known_variables()
    whole_groups = {PREFIX + group.upper() for group in GROUPS}  # a group as one JSON text
    try:
        given = sorted(_given())
    except (OSError, UnicodeDecodeError) as error:
        reason = f"it cannot be read: {error}"
        return (InvalidInputError(".env", reason, "Mend it, or move it away."),)
    unknown = [_unknown(name, known) for name in given if name not in {*known, *whole_groups}]
    if unknown:
        return tuple(unknown)
    try:
        return Settings()
    except ValidationError as error:
        return tuple(_wrong(one, known) for one in error.errors())
    except SettingsError as error:
        remedy = f"Write one variable per key, e.g. {known[-1]}=…."
        return (InvalidInputError(f"{PREFIX}*", f"{error}", remedy),)


def _wrong(error: Mapping[str, Any], known: Sequence[str]) -> InvalidInputError:
    variable = PREFIX + "__".join(str(part) for part in error["loc"]).upper()
    if error["type"] == "extra_forbidden":
        return _unknown(variable, known)
    return InvalidInputError(variable, error["msg"], "Give a possible value.")


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
