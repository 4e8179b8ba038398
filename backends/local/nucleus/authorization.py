"""What a component may do: its configuration's `accessControl`, as Greengrass reads it."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

Dialect = Literal["mqtt", "plain"]

MQTT_PROXY = "aws.greengrass.ipc.mqttproxy"
PUBSUB = "aws.greengrass.ipc.pubsub"
COMPONENT_METRIC = "aws.greengrass.ipc.componentmetric"
_ESCAPES = {"${*}": "*", "${?}": "?", "${$}": "$"}
_TOKEN = re.compile(r"\$\{[*?$]\}|.", re.DOTALL)


def is_allowed(access_control: Any, service: str, operation: str, resource: str) -> bool:
    """Whether any policy of `service` grants `operation` (full name) on `resource`.

    Resources of the MQTT proxy are topic filters; those of local pub/sub know only `*`.
    """
    policies = access_control.get(service) if isinstance(access_control, Mapping) else None
    if not isinstance(policies, Mapping):
        return False
    dialect: Dialect = "mqtt" if service == MQTT_PROXY else "plain"
    return any(
        _grants(policy, operation, resource, dialect)
        for policy in policies.values()
        if isinstance(policy, Mapping)
    )


def _grants(policy: Mapping[str, Any], operation: str, resource: str, dialect: Dialect) -> bool:
    operations = policy.get("operations")
    resources = policy.get("resources")
    if not isinstance(operations, list) or not isinstance(resources, list):
        return False
    if operation not in operations and "*" not in operations:
        return False
    return any(
        isinstance(pattern, str) and _compiled(pattern, dialect).fullmatch(resource) is not None
        for pattern in resources
    )


@lru_cache(maxsize=1024)
def _compiled(pattern: str, dialect: Dialect) -> re.Pattern[str]:
    """`*` is any text; in MQTT, `+` is a level, and `#` at the end is a level and all below it.

    A subscription's filter is matched as text: a granted `a/+` covers the filter `a/+`, not `a/#`.
    """
    if dialect == "mqtt" and (pattern == "#" or pattern.endswith("/#")):
        above = pattern[:-2] if pattern != "#" else None
        head = "" if above is None else "".join(_regex(t, dialect) for t in _TOKEN.findall(above))
        return re.compile(f"{head}(/.*)?" if above is not None else ".*", re.DOTALL)
    return re.compile("".join(_regex(t, dialect) for t in _TOKEN.findall(pattern)), re.DOTALL)


def _regex(token: str, dialect: Dialect) -> str:
    if token == "*":  # noqa: S105 - a wildcard
        return ".*"
    if token == "+" and dialect == "mqtt":  # noqa: S105 - a wildcard
        return "[^/#]*"
    return re.escape(_ESCAPES.get(token, token))
