"""What a deployment is made to: a thing, or a thing group; and its names in AWS's own form."""

import re
from dataclasses import dataclass
from typing import Literal

from backends.errors import InvalidInputError
from backends.local.groups import GROUP_NAME
from edge.contract import THING_NAME

_ACCOUNT = "local:000000000000"
_KINDS: dict[str, Literal["thing", "thinggroup"]] = {
    "thing": "thing",
    "group": "thinggroup",
    "thinggroup": "thinggroup",
}


@dataclass(frozen=True, slots=True)
class Target:
    kind: Literal["thing", "thinggroup"]
    name: str

    def __str__(self) -> str:
        """`thing/hub-1` or `group/porch`, as on the command line."""
        return f"{'thing' if self.kind == 'thing' else 'group'}/{self.name}"

    @property
    def arn(self) -> str:
        return f"arn:aws:iot:{_ACCOUNT}:{self.kind}/{self.name}"

    def configuration_arn(self, revision: int) -> str:
        return f"arn:aws:greengrass:{_ACCOUNT}:configuration:{self.kind}/{self.name}:{revision}"


def parse_target(text: str) -> Target:
    """Of `thing/NAME`, `group/NAME`, `thinggroup/NAME`, or the ARN. Raises InvalidInputError."""
    kind, _, name = text.removeprefix(f"arn:aws:iot:{_ACCOUNT}:").partition("/")
    pattern = THING_NAME if kind == "thing" else GROUP_NAME
    if kind not in _KINDS or not re.fullmatch(pattern, name):
        remedy = "Write thing/NAME or group/NAME."
        raise InvalidInputError("target", f"{text!r} is no thing and no thing group", remedy)
    return Target(_KINDS[kind], name)
