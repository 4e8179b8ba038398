"""The deployments of one target, as Greengrass keeps them: each replaces the one before.

Components of ours are told by their names, deployments of ours by their tags: when we asked, by our
own clock, and whether the device was seen to take it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from backends.aws.account import Account
from backends.aws.faults import code_of, told
from backends.aws.waiting import found
from backends.deployment_terms import Policies
from backends.moments import parse_moment

ASKED = "edgeward:asked"
SUCCEEDED = "edgeward:succeeded"
"""Tags of a deployment: the moments (ISO 8601) when we asked for it, and saw it succeed."""

HISTORY = 200  # deployments of a target that are listed
LOOK_BACK = 30  # of those, how many are read
_OURS = "edgeward."
_STANDING = ("ACTIVE", "COMPLETED")
_IN_VAIN = ("FAILED", "CANCELED")

Component = Mapping[str, Any]
"""One component of a deployment as the API has it: componentVersion, configurationUpdate, …"""


@dataclass(frozen=True, slots=True)
class Revision:
    """One deployment to a target."""

    id: str
    status: str
    created: datetime
    components: Mapping[str, Component] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> datetime:
        """When it was asked for: by our own clock, where it was we who asked."""
        return parse_moment(self.tags[ASKED]) if ASKED in self.tags else self.created

    @property
    def ours(self) -> dict[str, Component]:
        return {n: c for n, c in self.components.items() if n.startswith(_OURS)}

    @property
    def others(self) -> dict[str, Component]:
        """The components that somebody else deploys, as they are."""
        return {n: c for n, c in self.components.items() if not n.startswith(_OURS)}

    @property
    def was_good(self) -> bool:
        """Whether its device was seen to take it; of others' deployments, whether none failed."""
        if ASKED in self.tags:
            return SUCCEEDED in self.tags
        return self.status not in _IN_VAIN

    def stands_for(self, components: Mapping[str, Component]) -> bool:
        """Whether it is in force and asks for just these components."""
        return self.status in _STANDING and _plain(self.components) == _plain(components)


def component(
    version: str, merge: Mapping[str, object] | None = None, reset: Sequence[str] = ()
) -> Component:
    """Of a deployment. `merge` is JSON as text in the API."""
    update: dict[str, Any] = {"merge": json.dumps(dict(merge), sort_keys=True)} if merge else {}
    if reset:
        update["reset"] = list(reset)
    return {"componentVersion": version, **({"configurationUpdate": update} if update else {})}


def merged(one: Component) -> dict[str, Any]:
    """What a component's deployment merges into its configuration."""
    return dict(json.loads((one.get("configurationUpdate") or {}).get("merge") or "{}"))


class Revisions:
    """Every method raises BackendUnavailableError or BackendBlockedError, and may be repeated."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def latest(self, target: str) -> Revision | None:
        """What the target is to have now."""
        return next(self.history(target, only_latest=True), None)

    def history(self, target: str, only_latest: bool = False) -> Iterator[Revision]:
        """The target's deployments, newest first, LOOK_BACK at most."""
        which = "LATEST_ONLY" if only_latest else "ALL"
        pages = self._greengrass.get_paginator("list_deployments")
        with told("greengrass", "ListDeployments", target):
            listed = (
                entry
                for page in pages.paginate(targetArn=target, historyFilter=which)
                for entry in page.get("deployments", ())
            )
            entries = list(islice(listed, HISTORY))
        entries.sort(key=lambda entry: entry["creationTimestamp"], reverse=True)
        for entry in entries[:LOOK_BACK]:
            yield self.read(entry["deploymentId"])

    def read(self, identifier: str) -> Revision:
        with told("greengrass", "GetDeployment", identifier):
            answer = found(lambda: self._greengrass.get_deployment(deploymentId=identifier))
        return Revision(
            identifier,
            str(answer.get("deploymentStatus", "")),
            answer["creationTimestamp"],
            answer.get("components") or {},
            answer.get("tags") or {},
        )

    def create(
        self, target: str, components: Mapping[str, Component], job: Mapping[str, Any]
    ) -> str:
        """The target's next revision; its id. Devices that fail go back to what they had.

        Not to be repeated: that gives another revision, which replaces this one.
        """
        asked = {ASKED: datetime.now(UTC).isoformat()}
        with told("greengrass", "CreateDeployment", target):
            answer = self._greengrass.create_deployment(
                targetArn=target,
                deploymentName=self._account.settings.prefix,
                components=dict(components),
                deploymentPolicies=Policies().model_dump(),
                tags={**self._account.tags, **asked},
                **({"iotJobConfiguration": dict(job)} if job else {}),
            )
        return str(answer["deploymentId"])

    def cancel(self, identifier: str) -> None:
        """One that has ended is left as it is."""
        with told("greengrass", "CancelDeployment", identifier):
            try:
                self._greengrass.cancel_deployment(deploymentId=identifier)
            except ClientError as error:
                if code_of(error) != "ConflictException":
                    raise

    def mark_good(self, identifier: str) -> None:
        """Remember that the device was seen to take it."""
        account = self._account
        owner = account.identity["Account"]
        arn = (
            f"arn:{account.partition}:greengrass:{account.region}:{owner}:deployments:{identifier}"
        )
        tags = {SUCCEEDED: datetime.now(UTC).isoformat()}
        with told("greengrass", "TagResource", arn):
            self._greengrass.tag_resource(resourceArn=arn, tags=tags)

    @property
    def _greengrass(self) -> Any:
        return self._account.client("greengrassv2")


def _plain(components: Mapping[str, Component]) -> dict[str, Any]:
    """Two that are the same to a device are equal."""
    return {
        name: (
            one["componentVersion"],
            merged(one),
            list((one.get("configurationUpdate") or {}).get("reset") or ()),
            one.get("runWith") or {},
        )
        for name, one in components.items()
    }
