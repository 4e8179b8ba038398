"""What a deployment is made to: a thing, or the settings' thing group that it belongs to."""

import re
from dataclasses import dataclass
from typing import Literal

from backends.aws.account import Account
from backends.aws.core_devices import CoreDevices
from backends.errors import InvalidInputError
from edge.contract import THING_NAME


@dataclass(frozen=True, slots=True)
class Target:
    kind: Literal["thing", "thinggroup"]
    arn: str


def target_of(account: Account, devices: CoreDevices, thing: str) -> Target:
    """Raises InvalidInputError: no thing's name, or a thing that is not in the group."""
    check_thing(thing)
    owner = f"arn:{account.partition}:iot:{account.region}:{account.identity['Account']}"
    group = account.settings.thing_group
    if not group:
        return Target("thing", f"{owner}:thing/{thing}")
    target = Target("thinggroup", f"{owner}:thinggroup/{group}")
    if thing not in devices.members(target.arn):
        raise InvalidInputError(
            thing,
            f"it is no core device of the thing group {group!r}",
            f"Add it (`aws iot add-thing-to-thing-group --thing-group-name {group} "
            f"--thing-name {thing}`), or mend EDGEWARD_AWS__THING_GROUP.",
        )
    return target


def check_thing(thing: str) -> str:
    """Raises InvalidInputError unless `thing` is a name that AWS IoT would take."""
    if not re.fullmatch(THING_NAME, thing):
        remedy = "Use 1 to 128 letters, digits, ':', '_' or '-'."
        raise InvalidInputError("thing", f"{thing!r} is no thing's name", remedy)
    return thing
