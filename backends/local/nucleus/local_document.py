"""A local deployment: what `greengrass-cli deployment create` asks of a device, without the cloud.

It starts from what the device runs, then removes, then adds; other targets' wishes stay.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from backends.local.nucleus.document import (
    ComponentDeployment,
    ConfigurationUpdate,
    Document,
    Merge,
    UpdatePolicy,
)
from backends.local.nucleus.targets import LOCAL_DEPLOYMENT, Target

_CONFIG = ConfigDict(frozen=True, extra="forbid")
_ANY = "*"


class LocalUpdate(BaseModel):
    """One component's configuration, as `--update-config` has it."""

    model_config = _CONFIG

    MERGE: Merge = {}
    RESET: tuple[str, ...] = ()


class LocalDocument(BaseModel):
    """`creationTimestamp` is in milliseconds. `groupId` changes what that thing group brought."""

    model_config = _CONFIG

    deploymentId: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")  # noqa: N815 - as in the contract's documents
    creationTimestamp: int  # noqa: N815 - likewise
    componentsToMerge: dict[str, str] = {}  # noqa: N815 - likewise
    componentsToRemove: tuple[str, ...] = ()  # noqa: N815 - likewise
    configurationUpdate: dict[str, LocalUpdate] = {}  # noqa: N815 - likewise
    groupId: str = ""  # noqa: N815 - likewise
    failureHandlingPolicy: Literal["ROLLBACK", "DO_NOTHING"] = "ROLLBACK"  # noqa: N815 - likewise

    @property
    def target(self) -> str:
        return f"thinggroup/{self.groupId}" if self.groupId else LOCAL_DEPLOYMENT

    def wanted(self, former: Target | None, versions: Mapping[str, str]) -> Target:
        """What its target wants after it; `versions` are those of the components that run.

        The revision stays the cloud's, so that its next deployment still counts as newer.
        """
        known = former or Target({})
        roots = {name: versions.get(name, wish) for name, wish in known.roots.items()}
        kept = {n: wish for n, wish in roots.items() if n not in self.componentsToRemove}
        return Target({**kept, **self.componentsToMerge}, known.revision, known.created)

    def as_document(self, roots: Mapping[str, str]) -> Document:
        """In the form of a deployment from the cloud. Components are not asked for consent."""
        configured = dict.fromkeys(self.configurationUpdate, _ANY)
        return Document(
            deploymentId=self.deploymentId,
            creationTimestamp=self.creationTimestamp,
            components={
                name: ComponentDeployment(version=version, configurationUpdate=self._update(name))
                for name, version in {**configured, **roots}.items()
            },
            failureHandlingPolicy=self.failureHandlingPolicy,
            componentUpdatePolicy=UpdatePolicy(action="SKIP_NOTIFY_COMPONENTS"),
        )

    def _update(self, name: str) -> ConfigurationUpdate:
        update = self.configurationUpdate.get(name, LocalUpdate())
        return ConfigurationUpdate(merge=update.MERGE, reset=update.RESET)
