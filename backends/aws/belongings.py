"""What the project created in the account, found by its tag and by nothing else.

The tagging API knows most resources. Topic rules, Greengrass components and deployments are found
by their own lists as well: that API may not know them. Devices, buckets and roles are not ours.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from backends.aws.account import Account
from backends.aws.faults import told
from backends.aws.rule_texts import PURPOSES, rule_name
from backends.errors import EdgewardError

Kind = Literal[
    "topic rule",
    "SNS topic",
    "log group",
    "training job",
    "compilation job",
    "deployment",
    "component version",
    "stored objects",
]
_CANCELLABLE = "ACTIVE"


@dataclass(frozen=True, slots=True)
class Belonging:
    """One thing of ours. `identifier` is what its service knows it by; `name` is for people."""

    kind: Kind
    identifier: str
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What was found, and where nobody could look, and why."""

    found: tuple[Belonging, ...]
    unseen: tuple[str, ...]


class Belongings:
    """Looks only. What one service refuses to tell does not hide what others do."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._prefix = account.settings.prefix

    def find(self, *, data: bool = False) -> Inventory:
        """In the order in which they can be removed; with `data`, what is stored in S3 as well.

        Raises BackendUnavailableError where nobody is logged in.
        """
        _ = self._account.identity
        looks: list[tuple[str, Callable[[], Iterator[Belonging]]]] = [
            ("topic rules", self._rules),
            ("SNS topics", self._topics),
            ("jobs", self._running_jobs),
            ("deployments", self._deployments),
            ("component versions", self._component_versions),
            ("log groups", self._log_groups),
        ]
        if data:
            looks.append(("stored objects", self._objects))
        found: list[Belonging] = []
        unseen: list[str] = []
        for what, look in looks:
            try:
                found += look()
            except EdgewardError as error:
                unseen.append(f"{what}: {error}")
        return Inventory(tuple(found), tuple(unseen))

    def _topics(self) -> Iterator[Belonging]:
        return (Belonging("SNS topic", arn, _last(arn)) for arn in self._of("sns"))

    def _log_groups(self) -> Iterator[Belonging]:
        for arn in self._of("logs"):
            name = arn.partition(":log-group:")[2].removesuffix(":*")
            yield Belonging("log group", name, name)

    def _of(self, service: str) -> Iterator[str]:
        return (arn for arn in self._tagged if arn.split(":")[2] == service)

    @functools.cached_property
    def _tagged(self) -> tuple[str, ...]:
        """ARNs of all that the tagging API finds."""
        client = self._account.client("resourcegroupstaggingapi")
        filters = [{"Key": "edgeward", "Values": [self._prefix]}]
        with told("tag", "GetResources"):
            pages = client.get_paginator("get_resources").paginate(TagFilters=filters)
            return tuple(
                found["ResourceARN"] for page in pages for found in page["ResourceTagMappingList"]
            )

    def _rules(self) -> Iterator[Belonging]:
        ours = {rule_name(self._prefix, purpose) for purpose in PURPOSES}
        iot = self._account.client("iot")
        for rule in self._listed("iot", "ListTopicRules", "list_topic_rules", "rules"):
            if rule["ruleName"] not in ours:
                continue
            with told("iot", "ListTagsForResource", rule["ruleArn"]):
                tags = iot.list_tags_for_resource(resourceArn=rule["ruleArn"])["tags"]
            if self._is_ours({tag["Key"]: tag["Value"] for tag in tags}):
                yield Belonging("topic rule", rule["ruleName"], rule["ruleName"])

    def _running_jobs(self) -> Iterator[Belonging]:
        """Those that cost money; what has ended stays in SageMaker's history, which costs none."""
        training = self._listed(
            "sagemaker",
            "ListTrainingJobs",
            "list_training_jobs",
            "TrainingJobSummaries",
            StatusEquals="InProgress",
        )
        yield from self._jobs("training job", "TrainingJob", training)
        for status in ("STARTING", "INPROGRESS"):
            compilation = self._listed(
                "sagemaker",
                "ListCompilationJobs",
                "list_compilation_jobs",
                "CompilationJobSummaries",
                StatusEquals=status,
            )
            yield from self._jobs("compilation job", "CompilationJob", compilation)

    def _jobs(self, kind: Kind, field: str, jobs: Iterator[Any]) -> Iterator[Belonging]:
        """The tagging API may know a job late; SageMaker knows it at once, and few are running."""
        client = self._account.client("sagemaker")
        for job in jobs:
            arn = job[f"{field}Arn"]
            with told("sagemaker", "ListTags", arn):
                tags = client.list_tags(ResourceArn=arn)["Tags"]
            if self._is_ours({tag["Key"]: tag["Value"] for tag in tags}):
                yield Belonging(kind, job[f"{field}Name"], job[f"{field}Name"], "is running")

    def _deployments(self) -> Iterator[Belonging]:
        client = self._account.client("greengrassv2")
        listed = self._listed(
            "greengrass", "ListDeployments", "list_deployments", "deployments", historyFilter="ALL"
        )
        for deployment in listed:
            identifier = deployment["deploymentId"]
            with told("greengrass", "GetDeployment", identifier):
                answer = client.get_deployment(deploymentId=identifier)
            if self._is_ours(answer.get("tags") or {}):
                name = f"{identifier} to {_last(deployment['targetArn'])}"
                status = deployment["deploymentStatus"]
                yield Belonging("deployment", identifier, name, _cancel_first(status))

    def _component_versions(self) -> Iterator[Belonging]:
        client = self._account.client("greengrassv2")
        for component in self._listed(
            "greengrass", "ListComponents", "list_components", "components", scope="PRIVATE"
        ):
            for version in self._listed(
                "greengrass",
                "ListComponentVersions",
                "list_component_versions",
                "componentVersions",
                arn=component["arn"],
            ):
                with told("greengrass", "ListTagsForResource", version["arn"]):
                    answer = client.list_tags_for_resource(resourceArn=version["arn"])
                if self._is_ours(answer.get("tags") or {}):
                    name = f"{version['componentName']} {version['componentVersion']}"
                    yield Belonging("component version", version["arn"], name)

    def _objects(self) -> Iterator[Belonging]:
        bucket, prefix = self._account.settings.bucket, f"{self._prefix}/"
        count = sum(1 for _ in object_versions(self._account, prefix))
        if count:
            where = f"s3://{bucket}/{prefix}"
            yield Belonging("stored objects", prefix, where, f"{count} objects and versions")

    def _listed(
        self, service: str, action: str, method: str, key: str, **asked: str
    ) -> Iterator[Any]:
        client = self._account.client(_CLIENTS.get(service, service))
        with told(service, action):
            for page in client.get_paginator(method).paginate(**asked):
                yield from page[key]

    def _is_ours(self, tags: Mapping[str, str]) -> bool:
        return tags.get("edgeward") == self._prefix


def object_versions(account: Account, prefix: str) -> Iterator[dict[str, str]]:
    """`Key` and `VersionId` of all below `prefix`: versions, and marks of what was deleted."""
    bucket = account.settings.bucket
    with told("s3", "ListBucketVersions", f"s3://{bucket}/{prefix}"):
        pages = account.client("s3").get_paginator("list_object_versions")
        for page in pages.paginate(Bucket=bucket, Prefix=prefix):
            for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                yield {"Key": found["Key"], "VersionId": found["VersionId"]}


_CLIENTS = {"greengrass": "greengrassv2"}


def _last(arn: str) -> str:
    return arn.rpartition(":")[2]


def _cancel_first(status: str) -> str:
    return "is active" if status == _CANCELLABLE else ""
