"""The AWS account that a run works in: clients, who we are, and a record of every call.

Credentials come from AWS's own chain (environment, profile, SSO, instance role) and from nowhere
else; none is ever kept, logged or recorded.
"""

import functools
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from backends.aws.faults import told
from backends.settings import AwsSettings

# What names the target of a call, most telling first. Bodies, credentials and configuration are
# not among them, so a transcript holds no secret.
_TARGETS = (
    "TrainingJobName", "CompilationJobName", "ruleName", "TopicArn", "TopicName", "targetArn",
    "arn", "resourceArn", "ResourceArn", "deploymentId", "coreDeviceThingName", "thingName",
    "logGroupName", "RoleName", "Name", "RoleArn",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """One request to AWS: what was asked, of what, and how it went (HTTP status; 0: no answer)."""

    service: str
    operation: str
    target: str
    status: int
    at: str


class Account:
    """One account and region. Clients are made once, and thread-safe as boto3's are.

    `endpoint_url`s are for AWS-compatible servers; empty: AWS. `on_call` is told of every call.
    """

    def __init__(
        self, settings: AwsSettings, on_call: Callable[[Call], None] | None = None
    ) -> None:
        self.settings = settings
        self.session = boto3.Session(region_name=settings.region or None)
        self._on_call = on_call
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        events = self.session.events
        events.register("before-parameter-build.*.*", _remember_target)
        events.register("after-call.*.*", self._note)
        events.register("after-call-error.*.*", self._note)

    @property
    def region(self) -> str:
        return self.session.region_name or ""

    @property
    def partition(self) -> str:
        return str(self.session.get_partition_for_region(self.region))

    @functools.cached_property
    def identity(self) -> Mapping[str, str]:
        """Who we are: `Account`, `Arn`, `UserId`. Raises BackendUnavailableError."""
        with told("sts", "GetCallerIdentity"):
            answer = self.client("sts").get_caller_identity()
        return {key: str(answer[key]) for key in ("Account", "Arn", "UserId")}

    @property
    def tags(self) -> dict[str, str]:
        """What everything that we create carries, so that `edgeward down` finds it."""
        return {"edgeward": self.settings.prefix, **self.settings.tags}

    def client(self, service: str) -> Any:
        """boto3's client, with bounded waits and boto3's own retries of what is safe to repeat."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self.session.client(
                    service,
                    endpoint_url=self.settings.endpoint_of(service),
                    config=Config(
                        connect_timeout=10,
                        read_timeout=60,
                        retries={"mode": "standard", "max_attempts": 5},
                        user_agent_extra="edgeward",
                    ),
                )
            return self._clients[service]

    def _note(self, event_name: str, context: Mapping[str, Any], **answer: Any) -> None:
        if self._on_call is None:
            return
        _, service, operation = event_name.split(".")
        status = int(getattr(answer.get("http_response"), "status_code", 0))
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        target = str(context.get("edgeward_target", ""))
        self._on_call(Call(service, operation, target, status, moment))


def _remember_target(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
    if "Bucket" in params:
        key = str(params.get("Key", params.get("Prefix", "")))
        context["edgeward_target"] = f"s3://{params['Bucket']}/{key}"
        return
    if "inlineRecipe" in params:
        recipe = json.loads(params["inlineRecipe"])
        context["edgeward_target"] = f"{recipe['ComponentName']} {recipe['ComponentVersion']}"
        return
    named = (str(params[name]) for name in _TARGETS if params.get(name))
    context["edgeward_target"] = next(named, "")
