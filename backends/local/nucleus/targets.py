"""Who wants what of this device: the root components of each target, combined.

A target is the thing itself (`thing/hub-1`), a thing group that it belongs to (`thinggroup/porch`),
or the device's own local deployments. A deployment replaces what its own target wants, and nothing
else; a component leaves the device when no target lists it, and nothing that is listed needs it.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backends.errors import InvalidInputError
from backends.local.groups import Groups

logger = logging.getLogger(__name__)

LOCAL_DEPLOYMENT = "LOCAL_DEPLOYMENT"
_GROUP = "thinggroup/"


@dataclass(frozen=True, slots=True)
class Target:
    """What one target wants: root components and their version requirements.

    `revision` and `created` (milliseconds since 1970) are those of its newest applied deployment.
    """

    roots: Mapping[str, str]
    revision: int = 0
    created: int = 0


def targets_from(state: Mapping[str, Any], thing: str) -> dict[str, Target]:
    """Of a device's stored state.

    Before there were targets, everything on a device came from deployments to its thing.
    """
    stored = state.get("targets")
    if stored is None:
        components = state.get("components", {})
        return {f"thing/{thing}": Target(components)} if components else {}
    return {name: Target(**target) for name, target in stored.items()}


def to_json(targets: Mapping[str, Target]) -> dict[str, Any]:
    return {name: asdict(target) for name, target in targets.items()}


def only_local(targets: Mapping[str, Target]) -> set[str]:
    """The components that local deployments list, and nobody else."""
    others = {
        c for name, target in targets.items() if name != LOCAL_DEPLOYMENT for c in target.roots
    }
    local = targets.get(LOCAL_DEPLOYMENT, Target({}))
    return set(local.roots) - others


def groups_of(thing: str, membership: Path | None) -> frozenset[str] | None:
    """The thing groups that `thing` belongs to; None when that cannot be told."""
    if membership is None or not membership.exists():
        return None
    try:
        groups = Groups(membership).all()
    except InvalidInputError as error:
        logger.warning("the thing groups cannot be told: %s", error)
        return None
    return frozenset(name for name, things in groups.items() if thing in things)


def why_it_stays(component: str, targets: Mapping[str, Target]) -> str:
    """Why a component that one target gave up is still there."""
    who = [name for name, target in targets.items() if component in target.roots]
    return f"{component} stays: {' and '.join(who) or 'another component'} wants it"


def without_left_groups(
    targets: Mapping[str, Target], groups: frozenset[str] | None
) -> dict[str, Target]:
    """`targets` but those of thing groups that the device has left."""
    return {
        name: target
        for name, target in targets.items()
        if groups is None or not name.startswith(_GROUP) or name.removeprefix(_GROUP) in groups
    }
